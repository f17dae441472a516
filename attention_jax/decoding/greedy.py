"""Greedy search: at every position the likeliest token, until each row has ended."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from attention_jax.data.tokens import END, PAD, START
from attention_jax.decoding.likeliest import likeliest

# (cache, tokens [N]) -> (logits [N, V] of the tokens that follow, the cache grown by one position).
# A cache is any pytree: arrays lead with the N rows, scalars (a position) are shared by all rows.
Step = Callable[[Any, Int[Array, " N"]], tuple[Float[Array, "N V"], Any]]

# Stands in for -inf, which turns into NaN as soon as two of them meet.
IMPOSSIBLE = -1e9


class Loop(NamedTuple):
    """Where a greedy search stands after `position` tokens."""

    position: Int[Array, ""]
    tokens: Int[Array, "rows length"]
    last: Int[Array, " rows"]
    closed: Bool[Array, " rows"]  # the row has ended
    cache: Any


def greedy(step: Step, cache: Any, *, rows: int, length: int) -> Int[Array, "rows length"]:
    """The likeliest token at every position, given the ones before it.

    A row ends with END; the last position can hold nothing else, so a row that did not end by
    itself is cut there. PAD and START are never chosen, equal logits go to the lower token id, and
    the loop stops once all rows have ended. To be called inside `jax.jit`.

    Args:
      step: the model, one target position at a time; the first tokens it gets are START.
      cache: what `step` starts from; every array in it leads with `rows`.
      rows: how many sequences are decoded side by side.
      length: the most tokens a row may hold, END included.

    Returns:
      Token ids in int32, each row closed by END and filled with PAD.

    Raises:
      ValueError: rows or length below 1; an array of the cache, or the logits, of another shape.
    """

    def proceed(loop: Loop) -> Bool[Array, ""]:
        return (loop.position < length) & ~jnp.all(loop.closed)

    start = first(cache, rows=rows, length=length)
    return jax.lax.while_loop(proceed, partial(advance, step), start).tokens


def first(cache: Any, *, rows: int, length: int) -> Loop:
    """Where greedy search begins, with the arguments of `greedy`."""
    check_sizes(cache, rows=rows, length=length)
    return Loop(
        position=jnp.int32(0),
        tokens=jnp.full((rows, length), PAD, jnp.int32),
        last=jnp.full(rows, START, jnp.int32),
        closed=jnp.zeros(rows, bool),
        cache=jax.tree.map(jnp.asarray, cache),
    )


def advance(step: Step, loop: Loop) -> Loop:
    """The search one position further; a row that has ended stays as it is."""
    logits, cache = step(loop.cache, loop.last)
    rows, length = loop.tokens.shape
    logits = allowed(known(logits, rows), loop.position == length - 1)
    chosen = jnp.where(loop.closed, PAD, likeliest(logits))
    tokens = jax.lax.dynamic_update_index_in_dim(loop.tokens, chosen, loop.position, axis=1)
    tokens = jnp.where(loop.closed[:, None], loop.tokens, tokens)
    return Loop(loop.position + 1, tokens, chosen, loop.closed | (chosen == END), cache)


def known(logits: Float[Array, "N V"], rows: int) -> Float[Array, "N V"]:
    """The logits in float32 and without -inf.

    Raises:
      ValueError: they are not [rows, V] with V past the marks.
    """
    if logits.ndim != 2 or logits.shape[0] != rows or logits.shape[1] <= END:
        raise ValueError(
            f"step gave logits of shape {logits.shape}; "
            f"[{rows}, V] with V of at least {END + 1} would fit"
        )
    return jnp.maximum(logits.astype(jnp.float32), IMPOSSIBLE)


def allowed(logits: Float[Array, "N V"], final: Bool[Array, ""]) -> Float[Array, "N V"]:
    """The logits with PAD and START made impossible and, at the final position, all but END."""
    ids = jnp.arange(logits.shape[-1], dtype=jnp.int32)
    fits = jnp.where(final, ids == END, (ids != PAD) & (ids != START))
    return jnp.where(fits[None, :], logits, IMPOSSIBLE)


def check_sizes(cache: Any, **sizes: int) -> None:
    """Refuses sizes below 1 and caches whose arrays do not lead with `rows`."""
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name} is {size}; it must be at least 1")
    for path, leaf in jax.tree_util.tree_leaves_with_path(cache):
        shape = jnp.shape(leaf)
        if shape and shape[0] != sizes["rows"]:
            raise ValueError(
                f"cache{jax.tree_util.keystr(path)} has shape {shape}; "
                f"its leading axis must be rows = {sizes['rows']}"
            )
