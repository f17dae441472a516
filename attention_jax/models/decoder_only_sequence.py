"""How a source and its target, or several texts, stand in one sequence."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from attention_jax.models.places import Part, Place


def to_the_front(
    source: Int[Array, "B S"], token: int = 0
) -> tuple[Int[Array, "B S"], Int[Array, " B"]]:
    """The source with each row's padding (`token`) moved to its front, and how much that is."""
    padding = (source == token).sum(-1, dtype=jnp.int32)
    length = source.shape[1]
    places = (jnp.arange(length)[None] - padding[:, None]) % max(length, 1)
    return jnp.take_along_axis(source, places, axis=1), padding


def target_to_source(
    weights: Float[Array, "B H N N"], source: Int[Array, "B S"], token: int = 0
) -> Float[Array, "B H T S"]:
    """What target positions give to source tokens: the part that cross-attention plays elsewhere.

    A target row also attends to the target before it, so what stands here sums to one at most.

    Args:
      weights: of one attention over source and target together, N = S + T, as `explain` gives them.
      source: as the model was given it, padding at the end.
      token: of padding.

    Returns:
      Source tokens where they stand in `source`; zeros where it has padding.
    """
    length = source.shape[1]
    padding = (source == token).sum(-1, dtype=jnp.int32)
    places = (jnp.arange(length)[None] + padding[:, None]) % max(length, 1)
    block = weights[:, :, length:, :length]
    return jnp.take_along_axis(block, places[:, None, None], axis=3)


def apart(weights: Mapping[Place, Array], length: int) -> dict[Place, Array]:
    """Attention over a source and its target as what three attentions do elsewhere.

    Args:
      weights: [..., N, N] by place, of a source without padding and its target behind it.
      length: S, tokens of the source.

    Returns:
      "encoder" [..., S, S], "decoder" [..., T, T] and "cross" [..., T, S]; rows of the last two sum
      to one together.
    """
    before, after = slice(None, length), slice(length, None)
    blocks: dict[Part, Any] = {
        "encoder": (before, before),
        "decoder": (after, after),
        "cross": (after, before),
    }
    return {
        Place(part, place.layer): found[(..., *block)]
        for part, block in blocks.items()
        for place, found in weights.items()
    }


def positions_in(segments: Int[Array, "B T"]) -> Int[Array, "B T"]:
    """Where each token stands in its own text: 0 where a text begins, and so on.

    Args:
      segments: which text each token belongs to; the tokens of one stand side by side.
    """
    places = jnp.arange(segments.shape[1], dtype=jnp.int32)[None]
    before = jnp.pad(segments, ((0, 0), (1, 0)), constant_values=-1)[:, :-1]
    return places - jax.lax.cummax(jnp.where(segments != before, places, 0), axis=1)
