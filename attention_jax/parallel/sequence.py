"""Attention whose positions are spread over devices: around a ring, or heads for positions."""

import math
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Float

from attention_jax.functional.masks import Mask
from attention_jax.functional.plan import check_fit, logits_shape
from attention_jax.functional.scores import Score, scaled_dot
from attention_jax.functional.shield import clean
from attention_jax.parallel.all_to_all import Exchange, all_to_all
from attention_jax.parallel.layout import AXES, fitting
from attention_jax.parallel.ring import ring
from attention_jax.parallel.split_masks import outline
from attention_jax.parallel.trip import Trip
from attention_jax.parallel.zigzag import AXIS, counted, places, work

__all__ = ["attend", "work"]

EXCHANGES = ("ring", "all_to_all")


def attend(
    query: Float[Array, "*B T H K"],
    key: Float[Array, "*B S G J"],
    value: Float[Array, "*B S G E"],
    *,
    mesh: Mesh,
    score: Score = scaled_dot,
    mask: Mask | None = None,
    exchange: Literal["ring", "all_to_all"] = "ring",
    order: Literal["auto", "zigzag", "contiguous"] = "auto",
    backend: str = "auto",
) -> Float[Array, "*B T H E"]:
    """What `functional.attend` gives, for sequences that are too long for one device.

    Arrays are whole and in natural order, in and out; over the mesh, positions are cut along
    `sequence`, heads along `model`, rows of the batch along `data` and `fsdp`. Positions that the
    devices do not divide are filled up inside, and a batch that they do not divide stays whole.
    There is never an array of T×S, nor of one device's T by S. In a model:
    `model(..., attend=partial(sequence.attend, mesh=mesh))`.

    Args:
      query: one row for each query position and head.
      key: one row for each source position and key/value head; G divides H.
      value: one row for each source position and key/value head.
      mesh: of a `Layout`.
      score: `(query, key) -> logits`, without arrays of its own: `dot`, `scaled_dot`, `cosine`,
        `capped`, and `partial`s of these with numbers.
      mask: known by position: `Causal`, `Window`, `Dilated`, `Lengths`, `Segments`, `Prefix`, and
        what `&`, `|` and `~` make of them. As in `functional.attend`, what is masked influences
        nothing, and a row with nothing to see gives zeros.
      exchange: "ring" makes keys and values travel; any number of devices. "all_to_all" exchanges
        heads for positions: H and G must be multiples of sequence × model, and a device then holds
        whole sequences, but sends less.
      order: of positions on a ring: "zigzag" balances causal work, "contiguous" suits all else;
        "auto" asks the mask.
      backend: as in `functional.attend`, between the exchanges of "all_to_all"; "auto" never takes
        the reference, which keeps all logits.

    Returns:
      One row for each query position and head, in the dtype of value.

    Raises:
      ValueError: an argument does not fit, or the devices do not divide the heads; the message
        says what was found and what would fit.

    Source: Liu et al. 2023, "Ring Attention"; Jacobs et al. 2023, "DeepSpeed Ulysses".
    """
    shape = logits_shape(query, key, value)
    _check(mesh, exchange, shape[-3], key.shape[-2])
    _refuse_arrays(score, query, key)
    spec = _spec(query, mesh)
    known, arrays = outline(mask, shape[:-3], spec[0] if len(shape) > 3 else None)
    check_fit(mask, None, shape)
    if 0 in shape[-2:]:
        return jnp.zeros((*query.shape[:-1], value.shape[-1]), value.dtype)
    if exchange == "all_to_all":
        plan = Exchange(mesh, spec, (query.shape[-3], key.shape[-3]), score, known, backend)
        return _by_heads(plan, query, key, value, arrays)
    queries, sources = places(mask, _local(shape, mesh, spec), mesh.shape[AXIS], order)
    steps = counted(mask, queries, sources).shape[1]
    trip = Trip(mesh, spec, queries, sources, steps, score, known)
    return _by_positions(trip, query, key, value, arrays)


# One program each, where they are called outside of one.
@partial(jax.jit, static_argnums=0)
def _by_heads(plan: Exchange, query, key, value, arrays):
    devices = plan.mesh.shape[AXIS]
    queries, sources = (length + -length % devices for length in plan.lengths)
    query, key, value = (
        _filled(x, length) for x, length in ((query, queries), (key, sources), (value, sources))
    )
    return all_to_all(plan, query, key, value, arrays)[..., : plan.lengths[0], :, :]


@partial(jax.jit, static_argnums=0)
def _by_positions(trip: Trip, query, key, value, arrays):
    bad = None
    if trip.outline.filled(arrays) is not None:
        query, bad_queries = clean(query)
        key, bad_keys = clean(key)
        value, bad_values = clean(value)
        bad = bad_queries[..., None], (bad_keys | bad_values)[..., None]
    length = trip.queries.length
    queries, sources = length + trip.queries.spare, trip.sources.length + trip.sources.spare
    query, key, value = _filled(query, queries), _filled(key, sources), _filled(value, sources)
    if bad is not None:
        bad = _filled(bad[0], queries), _filled(bad[1], sources)
    found: Any = ring(trip, query, key, value, bad, arrays)
    output, hidden = found
    # A select and not a product, so that rows which nobody asks about pass no NaN backward.
    output = output if hidden is None else jnp.where(hidden, jnp.nan, output)
    return output[..., :length, :, :]


def _filled(x: Array, length: int) -> Array:
    """Zeros behind the last position, up to this length."""
    more = [(0, 0)] * (x.ndim - 3) + [(0, length - x.shape[-3]), (0, 0), (0, 0)]
    return jnp.pad(x, more) if length > x.shape[-3] else x


def _spec(query: Array, mesh: Mesh) -> PartitionSpec:
    """How `[*B, T, H, K]` is cut; further axes of *B, and a batch that does not fit, stay whole."""
    batch = query.shape[:-3]
    rows = list(fitting("B", batch[:1], mesh)) if batch else []
    return PartitionSpec(*rows, *[None] * (len(batch) - len(rows)), AXIS, "model", None)


def _local(shape: tuple[int, ...], mesh: Mesh, spec: PartitionSpec) -> tuple[int, ...]:
    """The logits' shape with the batch and the heads of one device."""
    *batch, heads, queries, sources = shape
    if batch and spec[0] is not None:
        batch[0] //= math.prod(mesh.shape[axis] for axis in ("data", "fsdp"))
    return *batch, heads // mesh.shape["model"], queries, sources


def _check(mesh: Mesh, exchange: str, heads: int, groups: int) -> None:
    missing = [axis for axis in AXES if axis not in mesh.shape]
    if missing:
        raise ValueError(
            f"mesh has the axes {list(mesh.shape)} and not {', '.join(missing)}; "
            "Layout(sequence=8).mesh() would fit"
        )
    if exchange not in EXCHANGES:
        raise ValueError(f"exchange is {exchange!r}; {' or '.join(EXCHANGES)} would fit")
    devices, axes = mesh.shape["model"], "model"
    if exchange == "all_to_all":
        devices, axes = devices * mesh.shape[AXIS], "sequence × model"
    for letter, size, what in (("H", heads, "heads"), ("G", groups, "key/value heads")):
        if size % devices:
            ring = "; exchange='ring' takes any number" if exchange == "all_to_all" else ""
            raise ValueError(
                f"{size} {what} ({letter}) over {axes} = {devices} devices; "
                f"a multiple of {devices} would fit{ring}"
            )


def _refuse_arrays(score: Score, query: Array, key: Array) -> None:
    """An array in a score would be whole on every device, whichever of the heads are there."""
    rows = [jax.ShapeDtypeStruct((1, *x.shape[-2:]), x.dtype) for x in (query, key)]
    held = [x for x in jax.make_jaxpr(score)(*rows).consts if isinstance(x, Array) or np.ndim(x)]
    if held:
        raise ValueError(
            f"score holds an array {list(held[0].shape)}, which a sequence over several devices "
            "cannot take; a score without arrays would fit: dot, scaled_dot, cosine, capped"
        )
