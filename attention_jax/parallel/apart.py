"""Attention of each device's rows and heads alone: whole sequences, nothing sent.

A partitioner cannot look into a kernel, nor cut the loop of `chunked` over rows of a batch: left to
itself it would gather all rows on every device.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Float

from attention_jax.functional.attend import attend_on
from attention_jax.functional.masks import Mask
from attention_jax.functional.normalize import softmax
from attention_jax.functional.plan import logits_shape
from attention_jax.functional.scores import Score, scaled_dot
from attention_jax.parallel.layout import fitting
from attention_jax.parallel.split_masks import Outline, outline


@dataclass(frozen=True)
class _Share:
    """All that a device's program depends on, besides arrays."""

    score: Score
    outline: Outline
    backend: str
    platform: str


def attend(
    query: Float[Array, "*B T H K"],
    key: Float[Array, "*B S G J"],
    value: Float[Array, "*B S G E"],
    *,
    mesh: Mesh,
    score: Score = scaled_dot,
    mask: Mask | None = None,
    backend: str = "auto",
) -> Float[Array, "*B T H E"]:
    """What `functional.attend` gives, on a mesh: rows along `data` and `fsdp`, heads along `model`.

    A batch, or heads, that the devices do not divide stay whole.

    Args:
      query: as in `functional.attend`.
      key: as in `functional.attend`.
      value: as in `functional.attend`.
      mesh: of a `Layout`.
      score: as in `functional.attend`; without arrays of its own.
      mask: known by position; see `sequence.attend`.
      backend: as in `functional.attend`; "auto" is what the mesh's devices do best, which need not
        be there.

    Returns:
      One row for each query position and head, in the dtype of value.

    Raises:
      ValueError: an argument does not fit.
    """
    shape = logits_shape(query, key, value)
    heads = fitting("H", query.shape[-2:-1], mesh)[0]
    if key.shape[-2] % mesh.shape["model"]:
        heads = None
    rows = fitting("B", shape[:1], mesh)[0] if len(shape) > 3 else None
    between = [None] * (len(shape) - 4)
    spec = PartitionSpec(*([rows] if len(shape) > 3 else []), *between, None, heads, None)
    known, arrays = outline(mask, shape[:-3], rows)
    share = _Share(score, known, backend, mesh.devices.flat[0].platform)
    return jax.shard_map(
        partial(_here, share),
        mesh=mesh,
        in_specs=(spec, spec, spec, known.specs),
        out_specs=spec,
        check_vma=False,  # the loops of attention start from constants, which vary nowhere
    )(query, key, value, arrays)


def _here(share: _Share, query, key, value, arrays: Sequence[Array]) -> Array:
    options: dict[str, Any] = {"score": share.score, "mask": share.outline.filled(arrays)}
    options |= {"normalize": softmax, "bias": None, "backend": share.backend}
    return attend_on(share.platform, query, key, value, **options)
