"""Which engine trains: one device, pmap over the devices of one host, or a mesh of any."""

import functools
from collections.abc import Callable, Iterable
from typing import Any

import jax
from flax import nnx

from attention_jax.parallel.layout import Layout
from attention_jax.parallel.mesh import MeshPrograms
from attention_jax.parallel.replicated import ReplicatedPrograms
from attention_jax.training.programs import Optimizer, Programs

SINGLE, REPLICATE = "single", "replicate"


def engine(text: str = "auto") -> str | Layout:
    """What trains, from how a user says it.

    Args:
      text: "single", one device; "replicate", pmap over this host's devices; a mesh, such as
        "data=4,model=2"; or "auto": pmap where one process has several accelerators, rows over all
        devices where there are several processes, else one device. Devices of a CPU are parts of
        one processor, which one device uses whole: "auto" takes one.

    Returns:
      "single", "replicate" or a layout.

    Raises:
      ValueError: it is none of these, or the devices do not fit it.
    """
    processes, there = jax.process_count(), jax.devices()
    if text == "auto":
        if processes > 1:
            return Layout(data=len(there))
        return REPLICATE if len(there) > 1 and there[0].platform != "cpu" else SINGLE
    if text in (SINGLE, REPLICATE):
        if processes > 1:
            raise ValueError(
                f"mesh is {text!r}, which is for one process, and there are {processes}; auto, or "
                f"axes whose product is {len(there)}, such as data={len(there)}, would fit"
            )
        return text
    if "=" not in text:
        raise ValueError(
            f"mesh is {text!r}; auto, single, replicate or axes such as data=4,model=2 would fit"
        )
    layout = Layout.parse(text)
    layout.mesh()
    return layout


def check_heads(layout: Layout, counts: Iterable[int]) -> None:
    """Refuses heads that their devices do not divide.

    Args:
      layout: of the devices.
      counts: of heads, and of key/value heads, of all attentions.
    """
    across, axes = layout.model, f"model={layout.model}"
    if layout.exchange == "all_to_all" and layout.sequence > 1:
        across, axes = across * layout.sequence, f"{axes},sequence={layout.sequence} (all_to_all)"
    for count in sorted(set(counts)):
        if count % across:
            raise ValueError(
                f"mesh {layout}: {count} heads or key/value heads cannot be cut into {across} "
                f"parts ({axes}); a divisor of {count} would fit"
            )


def programs_on(
    how: str | Layout,
    make_model: Callable[[nnx.Rngs], nnx.Module],
    optimizer: Optimizer,
    **settings: Any,
) -> Programs:
    """What training compiles, on this engine; see `Programs` for the settings."""
    kinds: dict[Any, Callable[..., Programs]] = {SINGLE: Programs, REPLICATE: ReplicatedPrograms}
    kind = functools.partial(MeshPrograms, layout=how) if isinstance(how, Layout) else kinds[how]
    return kind(make_model, optimizer, **settings)
