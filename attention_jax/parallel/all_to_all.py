"""All-to-all attention: heads are exchanged for positions, and back.

Between the two exchanges a device has whole sequences of some heads, and any kernel serves it. It
sends less than a ring does, as long as there are heads for all devices, and no device can have less
than one head's whole sequence.

Source: Jacobs et al. 2023, "DeepSpeed Ulysses".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Float

from attention_jax.functional import plan_attention, softmax
from attention_jax.functional.attend import attend_on
from attention_jax.functional.scores import Score
from attention_jax.parallel.split_masks import Outline
from attention_jax.parallel.zigzag import AXIS


@dataclass(frozen=True)
class Exchange:
    """All that the program depends on, besides arrays."""

    mesh: Mesh
    spec: PartitionSpec  # of [*B, T, H, K]
    lengths: tuple[int, int]  # T and S without what fills them up
    score: Score
    outline: Outline
    backend: str


def all_to_all(
    plan: Exchange,
    query: Float[Array, "*B T H K"],
    key: Float[Array, "*B S G J"],
    value: Float[Array, "*B S G E"],
    arrays: Sequence[Array],
) -> Float[Array, "*B T H E"]:
    """Each query's weighted mean of the values; the arrays are those of the mask."""
    return jax.shard_map(
        partial(_whole, plan),
        mesh=plan.mesh,
        in_specs=(plan.spec, plan.spec, plan.spec, plan.outline.specs),
        out_specs=plan.spec,
        check_vma=False,  # the loops of attention start from constants, which vary nowhere
    )(query, key, value, tuple(arrays))


def _whole(plan: Exchange, query, key, value, arrays):
    """On one device: all positions of its heads."""
    mask, (queries, sources) = plan.outline.filled(arrays), plan.lengths
    filling = query.shape[-3] * plan.mesh.shape[AXIS] - queries
    query, key, value = (
        _swapped(x, -2, -3)[..., :length, :, :]
        for x, length in ((query, queries), (key, sources), (value, sources))
    )
    options: dict[str, Any] = {"score": plan.score, "mask": mask, "backend": plan.backend}
    platform = plan.mesh.devices.flat[0].platform  # of devices that need not be here
    # What keeps all logits is no choice here, unless it is asked for by name.
    chosen = plan_attention(query, key, value, **options, platform=platform).backend
    if plan.backend == "auto" and chosen == "reference":
        options["backend"] = "chunked"
    output = attend_on(platform, query, key, value, **options, normalize=softmax, bias=None)
    spare = [(0, 0)] * (output.ndim - 3) + [(0, filling), (0, 0), (0, 0)]
    return _swapped(jnp.pad(output, spare), -3, -2)


def _swapped(x: Array, from_axis: int, to_axis: int) -> Array:
    """The devices' parts of one axis joined, and another cut in their place."""
    axes = {"split_axis": from_axis % x.ndim, "concat_axis": to_axis % x.ndim}
    return lax.all_to_all(x, AXIS, **axes, tiled=True)
