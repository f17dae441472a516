"""Which backend computes an attention, and why."""

import dataclasses
import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from attention_jax.axes import align, fit
from attention_jax.functional import fused
from attention_jax.functional.biases import Bias, as_bias
from attention_jax.functional.masks import Mask, visible
from attention_jax.functional.normalize import Normalize, softmax
from attention_jax.functional.scores import Score, scaled_dot
from attention_jax.functional.tile_plan import share_seen

BACKENDS = ("auto", "reference", "chunked", "cudnn", "splash", "tokamax")
FUSED = {"gpu": ("cudnn",), "cuda": ("cudnn",), "tpu": ("splash",)}  # what "auto" tries there
# From so many sources on, tiles are faster than whole arrays on a CPU: measured, forward and
# backward, by experiments/benchmarks/attention.py. From 0.12 on XLA fuses whole attention well;
# what it cannot do is leave out what a mask hides.
CHUNKED_FROM = 4096 if jax.__version_info__ >= (0, 12) else 512
CHUNKED_FROM_IF_HIDDEN = 512
WHOLE_BYTES = 2**30  # logits of more than this are not kept whole on any platform


@dataclasses.dataclass(frozen=True)
class Plan:
    """Which backend computes an attention, and why."""

    backend: str
    reason: str

    def __str__(self) -> str:
        return f"{self.backend}: {self.reason}"


def plan_attention(
    query: Float[Array, "*B T H K"],
    key: Float[Array, "*B S G J"],
    value: Float[Array, "*B S G E"],
    *,
    score: Score = scaled_dot,
    normalize: Normalize = softmax,
    mask: Bool[Array, "..."] | Mask | None = None,
    bias: Float[Array, "..."] | Bias | None = None,
    backend: str = "auto",
    platform: str | None = None,
) -> Plan:
    """Which backend `attend` takes for these arguments, and why.

    Args:
      query: as in `attend`; shapes are enough (`jax.ShapeDtypeStruct`), for key and value too.
      key: as in `attend`.
      value: as in `attend`.
      score: as in `attend`.
      normalize: as in `attend`.
      mask: as in `attend`.
      bias: as in `attend`.
      backend: "auto", or the one that must serve.
      platform: "cpu", "gpu" or "tpu": where it will run; None for where it runs here.

    Returns:
      The backend's name and the reason in words.

    Raises:
      ValueError: there is no such backend, or it cannot do what is asked; the message names the
        option at fault.
    """
    shape = logits_shape(query, key, value)
    check_fit(mask, bias, shape)
    if backend not in BACKENDS:
        known = ", ".join(repr(name) for name in BACKENDS)
        raise ValueError(f"backend={backend!r} is not one of {known}")
    if backend in ("reference", "chunked"):
        return Plan(backend, "asked for by name")

    platform = jax.default_backend() if platform is None else platform
    options = {"score": score, "normalize": normalize, "mask": mask, "bias": bias}
    if backend != "auto":
        why = fused.refusal(backend, query, key, value, **options, platform=platform)
        if why is not None:
            raise ValueError(f"backend={backend!r} cannot serve this: {why}")
        return Plan(backend, "asked for by name")

    refused = []
    for name in FUSED.get(platform, ()):
        why = fused.refusal(name, query, key, value, **options, platform=platform)
        if why is None:
            return Plan(name, f"the fastest on a {platform}, and it can do what is asked")
        refused.append(f"{name} cannot: {why}")
    beside = "; ".join(["", *refused])
    if platform == "cpu" and shape[-2] > 1:
        if shape[-1] >= CHUNKED_FROM:
            return Plan("chunked", f"the fastest on a CPU from {CHUNKED_FROM} sources on")
        if shape[-1] >= CHUNKED_FROM_IF_HIDDEN and (seen := share_seen(mask, shape)) < 0.9:
            return Plan("chunked", f"the mask leaves {seen:.0%} of the tiles to be computed")
    size = 4 * math.prod(shape)
    if size > WHOLE_BYTES and shape[-2] > 1:
        return Plan("chunked", f"the logits alone would take {size / 2**30:.1f} GiB{beside}")
    return Plan("reference", f"the logits are small: {size / 2**20:.1f} MiB{beside}")


def logits_shape(query: Array, key: Array, value: Array | None = None) -> tuple[int, ...]:
    """`[*B, H, T, S]`, once query, key and value are seen to fit each other."""
    arguments = {"query": (query, "*B T H K"), "key": (key, "*B S G J")}
    if value is not None:
        arguments["value"] = (value, "*B S G E")
    for name, (x, _) in arguments.items():
        if not jnp.issubdtype(x.dtype, jnp.floating):
            raise ValueError(f"{name} has dtype {x.dtype}, wanted floating point numbers")
    batch, n = fit(**{name: (x.shape, letters) for name, (x, letters) in arguments.items()})
    return *batch, n["H"], n["T"], n["S"]


def check_fit(
    mask: Bool[Array, "..."] | Mask | None,
    bias: Float[Array, "..."] | Bias | None,
    shape: tuple[int, ...],
) -> None:
    """Refuses a mask or a bias that does not fit the logits, without making either."""
    if mask is not None:
        jax.eval_shape(lambda: visible(mask, shape))
    if bias is not None:
        jax.eval_shape(lambda: align("bias", as_bias(bias).array(*shape[-2:]), shape))
