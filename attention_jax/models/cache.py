"""What encoder-decoder Transformers keep between target positions, for one hypothesis or several.

Several hypotheses of one source share what they read of it, and each sees its own past alone.
Moving keys and values whenever one goes on from another is where a search spends its time; here
they stay where they were written, and a table of ancestors says whose they are.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from attention_jax.functional.mask_algebra import Dense, Mask
from attention_jax.functional.masks import Causal
from attention_jax.modules import MultiHeadAttention


class Cache(NamedTuple):
    """What decoding keeps between target positions; every array leads with the batch.

    One entry a decoder layer in each tuple. The position, shared by all rows, is a scalar. Heads
    stand before positions, as the products of every step want them. Of W hypotheses of each source
    keys and values are [B, G, W, T, K].
    """

    keys: tuple[Float[Array, "B G T K"], ...]
    values: tuple[Float[Array, "B G T K"], ...]
    cross_keys: tuple[Float[Array, "B G S K"], ...]
    cross_values: tuple[Float[Array, "B G S K"], ...]
    source_lengths: Int[Array, " B"]
    position: Int[Array, ""]
    ancestors: Int[Array, "B W T"] | None = None
    """which hypothesis wrote what each has at a target position; None: there is one of a source"""


def empty(
    layers: Sequence[MultiHeadAttention],
    cross: Sequence[tuple[Float[Array, "B S G K"], Float[Array, "B S G K"]]],
    lengths: Int[Array, " B"],
    room: int,
) -> Cache:
    """A cache with room for so many target positions.

    Args:
      layers: the attentions of the target to itself that will write there.
      cross: keys and values of the sources, for every layer that has its own.
      lengths: of the sources.
      room: T.
    """
    rows, dtype = len(lengths), cross[0][0].dtype
    keys = tuple(jnp.zeros((rows, one.groups, room, one.head_size), dtype) for one in layers)
    cross_keys, cross_values = zip(*(map(turned, pair) for pair in cross), strict=True)
    return Cache(keys, keys, cross_keys, cross_values, lengths, jnp.zeros((), jnp.int32))


def widened(cache: Cache, width: int) -> Cache:
    """The cache for `width` hypotheses of each source: what they share is kept once."""

    def side_by_side(array: Array) -> Array:
        return jnp.repeat(array[:, :, None], width, 2)

    keys, values = jax.tree.map(side_by_side, (cache.keys, cache.values))
    rows, _, length, _ = cache.keys[0].shape
    own = jnp.broadcast_to(jnp.arange(width)[None, :, None], (rows, width, length))
    return cache._replace(keys=keys, values=values, ancestors=own)


def repeated(cache: Cache, width: int) -> Cache:
    """The cache with every row `width` times, for models that ask how far apart sources stand."""
    return jax.tree.map(lambda leaf: jnp.repeat(leaf, width, 0) if leaf.ndim else leaf, cache)


def reordered(cache: Cache, rows: Int[Array, " N"]) -> Cache:
    """The cache after row i went on from row `rows[i]` of the same source."""
    if cache.ancestors is None:
        keys, values = jax.tree.map(lambda leaf: leaf[rows], (cache.keys, cache.values))
        return cache._replace(keys=keys, values=values)
    width = cache.ancestors.shape[1]
    parents = rows.reshape(-1, width, 1) % width
    return cache._replace(ancestors=jnp.take_along_axis(cache.ancestors, parents, 1))


def begun(cache: Cache) -> tuple[Cache, int, Mask]:
    """The cache at its position, before anything is written there.

    Returns:
      The cache, where every hypothesis is its own ancestor from here on; W; and what each sees of
      all W·T places at which those of its source write.
    """
    if cache.ancestors is None:
        return cache, 1, Causal(cache.position)
    rows, width, length = cache.ancestors.shape
    own = jnp.broadcast_to(jnp.arange(width)[None, :, None], (rows, width, 1))
    ancestors = jax.lax.dynamic_update_slice_in_dim(cache.ancestors, own, cache.position, 2)
    writers, places = jnp.arange(width)[None, None, :, None], jnp.arange(length)
    past = (places <= cache.position)[None, None, None]
    seen = ((ancestors[:, :, None] == writers) & past).reshape(rows, 1, width, width * length)
    return cache._replace(ancestors=ancestors), width, Dense(seen)


def written(
    kept: Float[Array, "B G *W T K"], new: Float[Array, "B W G K"], position: Int[Array, ""]
) -> Float[Array, "B G *W T K"]:
    """Keys or values with those of one target position in their place, of all W hypotheses."""
    new = turned(new)
    new = new[..., None, :] if kept.ndim == 5 else new
    return jax.lax.dynamic_update_slice_in_dim(kept, new, position, kept.ndim - 2)


def as_sources(kept: Float[Array, "B G *W T K"]) -> Float[Array, "B W*T G K"]:
    """Keys or values as sources of an attention, those of all hypotheses one behind another."""
    rows, groups, *places, features = kept.shape
    return turned(kept.reshape(rows, groups, math.prod(places), features))


def turned(kept: Float[Array, "B G S K"]) -> Float[Array, "B S G K"]:
    """Positions before heads, or the other way round; two in a row cost nothing."""
    return jnp.swapaxes(kept, 1, 2)
