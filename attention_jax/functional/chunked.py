"""Attention in memory that grows with T + S, not with T·S, forward and backward.

Queries go by in blocks of rows. Under a softmax, a block meets its sources in pieces that fit, and
the derivative is that of `online`; other normalizers get whole rows, made again backward. Sources
that no query of a block may see by its position (causality, a window) are not looked at.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import jaxpr_as_fun
from jaxtyping import Array, Bool, Float

from attention_jax.functional.biases import Bias, as_bias
from attention_jax.functional.learned_scores import additive, bilinear, concat, location
from attention_jax.functional.logits import score_rows
from attention_jax.functional.mask_algebra import Dense, Mask, as_mask, expand
from attention_jax.functional.normalize import Normalize, cooled, for_rows, hide, softmax
from attention_jax.functional.online import CLEAR, HIDDEN, PARTLY, Sight, Tile, online
from attention_jax.functional.placement import place
from attention_jax.functional.relative import relative
from attention_jax.functional.scores import Score, capped, cosine, dot, scaled_dot
from attention_jax.functional.tile_plan import even, sights, tile_sides
from attention_jax.functional.weigh import mix

# Scores that are made at once, and not through K numbers for each logit.
PRODUCTS = (dot, scaled_dot, cosine, bilinear, location, relative)
# Scores whose parameters have no leading axes, so that they serve each of the batch alone.
WITHOUT_BATCH = (dot, scaled_dot, cosine, bilinear, additive, concat)


def chunked(
    query: Float[Array, "*B T H K"],
    key: Float[Array, "*B S G J"],
    value: Float[Array, "*B S G E"],
    *,
    score: Score,
    normalize: Normalize,
    mask: Bool[Array, "..."] | Mask | None,
    bias: Float[Array, "..."] | Bias | None,
) -> Float[Array, "*B T H E"]:
    """What `attend` gives, block by block; it has looked at the arguments.

    Source: Rabe and Staats 2021, "Self-attention Does Not Need O(n²) Memory".
    """
    options = {"score": score, "normalize": normalize, "mask": mask, "bias": bias}
    if math.prod(query.shape[:-3]) > 1 and alike_along_the_batch(**options):
        # One after the other: the tiles are larger and what is moved about is smaller.
        flat = [x.reshape(-1, *x.shape[-3:]) for x in (query, key, value)]
        output = lax.map(lambda arrays: chunked(*arrays, **options), flat)
        return output.reshape(*query.shape[:-1], value.shape[-1])
    shape = (*query.shape[:-3], query.shape[-2], query.shape[-3], key.shape[-3])
    rows, columns = tile_sides(shape, 1 if _is_one_of(PRODUCTS, score) else query.shape[-1])
    if 0 in shape[-2:]:
        output = jnp.zeros((*query.shape[:-1], value.shape[-1]), value.dtype)
    elif _function(normalize) is softmax:
        output = _by_tiles(query, key, value, rows, columns, **options)
    else:
        output = _by_rows(query, key, value, max(1, rows * columns // shape[-1]), **options)
    return output.astype(value.dtype)


def _by_tiles(query, key, value, rows, columns, *, score, normalize, mask, bias) -> Array:
    """Under a softmax: each block of queries over one piece of the sources after another."""
    queries, sources = query.shape[-3], key.shape[-3]
    given = normalize.keywords if isinstance(normalize, partial) else {}
    temperature, sink = given.get("temperature", 1.0), given.get("sink")
    by_block = sights(mask, queries, sources, rows, columns)
    kinds = set(np.unique(by_block["kinds"]).tolist()) - {HIDDEN} or {PARTLY}
    # In memory heads stand before sources, as products want it, and each piece by itself.
    blocks, keys, values = (
        _swap(lax.optimization_barrier(_swap(_cut(x, size))))
        for x, size in ((query, rows), (key, columns), (value, columns))
    )
    firsts = columns * jnp.arange(len(keys), dtype=jnp.int32)

    def row(x):
        query, start, sight = x
        places = start + jnp.arange(rows, dtype=jnp.int32)

        def tile(kind, query, piece):
            key, first = piece
            from_first = first + jnp.arange(columns, dtype=jnp.int32)
            asked = mask if kind == PARTLY else None
            logits, seen = _tile(query, key, places, from_first, score, asked, bias)
            if kind == PARTLY and sources % columns:  # the last piece is filled up
                real = Dense((from_first < sources)[None, :])
                seen = real if seen is None else Dense(seen) & real
            logits = hide(logits, seen)
            usual = isinstance(temperature, int | float) and temperature == 1
            return logits if usual else cooled(logits, temperature)

        one = keys[0], firsts[0]
        tiles, held = zip(
            *(
                _opened(partial(tile, kind), query, one) if kind in kinds else (None, ())
                for kind in (CLEAR, PARTLY)
            ),
            strict=True,
        )
        peak = None
        if sink is not None:
            logits = jax.eval_shape(partial(tile, CLEAR), query, one)
            peak = jnp.broadcast_to(for_rows("sink", sink, logits), (*logits.shape[:-1], 1))
        return online(tiles, query, (keys, firsts), values, sight, peak, held)[0]

    sight = Sight(**{name: jnp.asarray(x, jnp.int32) for name, x in by_block.items()})
    starts = rows * jnp.arange(len(blocks), dtype=jnp.int32)
    given = blocks, starts, sight
    if len(blocks) == 1:
        return _swap(row(jax.tree.map(lambda x: x[0], given)))[..., :queries, :, :]
    return _joined(_swap(lax.map(row, given)), queries)


def _by_rows(query, key, value, rows, *, score, normalize, mask, bias) -> Array:
    """Under any other normalizer: each block of queries over all sources, made again backward."""
    queries, sources = query.shape[-3], np.arange(key.shape[-3])
    blocks = _cut(query, even(queries, min(rows, queries)))

    @partial(jax.checkpoint, prevent_cse=False)
    def block(x):
        query, start = x
        places = start + jnp.arange(query.shape[-3])
        logits, seen = _tile(query, key, places, sources, score, mask, bias)
        return _swap(mix(place(normalize, places, sources)(logits, seen), value))

    starts = blocks.shape[-3] * jnp.arange(len(blocks))
    return _joined(lax.map(block, (blocks, starts)), queries)


def _cut(x: Float[Array, "*B T H K"], size: int) -> Float[Array, "N *B T H K"]:
    """Blocks of so many positions on a first axis, the last filled up with zeros."""
    *batch, length, heads, features = x.shape
    several = math.ceil(length / size)
    if several * size > length:
        spare = [(0, several * size - length), (0, 0), (0, 0)]
        x = jnp.pad(x, [(0, 0)] * len(batch) + spare)
    return jnp.moveaxis(x.reshape(*batch, several, size, heads, features), len(batch), 0)


def _joined(blocks: Float[Array, "N *B T H K"], length: int) -> Float[Array, "*B T H K"]:
    """The blocks side by side again, without what the last was filled up with."""
    *batch, size, heads, features = blocks.shape[1:]
    x = jnp.moveaxis(blocks, 0, len(batch)).reshape(*batch, -1, heads, features)
    return x[..., :length, :, :]


def _opened(tile: Tile, *examples: Any) -> tuple[Tile, tuple[Array, ...]]:
    """The tile with all that it takes from outside as further arguments, and these.

    Its score may be any function, over arrays that are differentiated, mapped or of an outer loop.
    `online` defines its own derivative and can only follow what it is given.
    """
    program = jax.make_jaxpr(tile)(*examples)

    def opened(query, piece, *held):
        leaves = jax.tree.leaves((query, piece))
        return jaxpr_as_fun(program.replace(consts=list(held)))(*leaves)[0]

    return opened, tuple(program.consts)


def _tile(query, key, queries, sources, score, mask, bias) -> tuple[Array, Array | None]:
    """Logits of some queries and sources, and which of them may be seen."""
    logits = score_rows(score, query, key, queries, sources)
    if bias is not None:
        logits += expand(as_bias(bias).tile(queries, sources), logits.ndim)
    seen = None if mask is None else expand(as_mask(mask).tile(queries, sources), logits.ndim)
    return logits, seen


def alike_along_the_batch(
    score: Score,
    normalize: Normalize,
    mask: Bool[Array, "..."] | Mask | None,
    bias: Float[Array, "..."] | Bias | None,
) -> bool:
    """Whether the options surely have no leading axis *B, so that they serve each of the batch."""
    if _function(normalize) is not softmax or not _is_one_of(WITHOUT_BATCH, score):
        return False
    one = jnp.zeros(1, jnp.int32)
    given = [None if mask is None else as_mask(mask), None if bias is None else as_bias(bias)]
    tiles = [jax.eval_shape(x.tile, one, one) for x in given if x is not None]
    return all(len(tile.shape) <= 3 for tile in tiles)


def _is_one_of(functions: tuple[Callable[..., Array], ...], score: Score) -> bool:
    if _function(score) is capped:
        return _is_one_of(functions, score.keywords.get("score", scaled_dot))
    return any(_function(score) is one for one in functions)


def _function(joined: Any) -> Any:
    return joined.func if isinstance(joined, partial) else joined


def _swap(x: Array) -> Array:
    return jnp.swapaxes(x, -3, -2)
