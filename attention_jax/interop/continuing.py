"""What a model of others writes: the likeliest token at every place, by the marks that it knows."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from attention_jax.interop.marks import Marks
from attention_jax.models.decoder_only import DecoderOnly


def to_the_front(
    tokens: Int[Any, "B S"], mask: Bool[Any, "B S"], padding: int
) -> Int[np.ndarray, "B S"]:
    """Rows as models here take them, padding at the end, from rows and a mask of what is real.

    Others fill rows up in front as well as behind, often with a token that texts hold too, and say
    by a mask (`attention_mask`) what is real.

    Args:
      tokens: of texts.
      mask: true, or 1, where a token is real.
      padding: the model's `config.padding`.

    Returns:
      Each row's real tokens in their order, and behind them the padding.

    Raises:
      ValueError: the shapes differ, or a real token is the one that fills rows up.
    """
    tokens, mask = np.asarray(tokens), np.asarray(mask) != 0
    if tokens.ndim != 2 or tokens.shape != mask.shape:
        raise ValueError(
            f"tokens have shape {list(tokens.shape)} and mask {list(mask.shape)}; [B, S], the same "
            "of both, would fit"
        )
    if (tokens[mask] == padding).any():
        raise ValueError(f"a real token is {padding}, which is never seen: it is padding")
    order = np.argsort(~mask, axis=1, kind="stable")
    found = np.take_along_axis(np.where(mask, tokens, padding), order, 1)
    return found.astype(np.int32)


def padded(rows: list[list[int]], padding: int, multiple: int = 1) -> Int[np.ndarray, "B S"]:
    """Rows of tokens as one array, filled up at the end to a multiple of a length."""
    longest = max(map(len, rows), default=0)
    found = np.full((len(rows), -(-longest // multiple) * multiple), padding, np.int32)
    for row, ids in enumerate(rows):
        found[row, : len(ids)] = ids
    return found


def continuation(
    model: Any, tokens: Int[Any, "B S"], length: int, marks: Marks
) -> Int[np.ndarray, "B T"]:
    """What a decoder writes behind texts, or one with an encoder for them, greedily.

    Args:
      model: with `start` and `step`; a decoder alone goes on from each row's last token, one with
        an encoder begins with `marks.start`.
      tokens: padding (`model.config.padding`) at the end, at least one real token in each row.
      length: the most tokens that are written.
      marks: see `Marks`.

    Returns:
      Tokens, each row up to the mark of its end if it came to one, then padding.

    Raises:
      ValueError: a row is empty or has padding in its middle, length is below 1, or the model has
        an encoder and nothing says what its decoder begins with.
    """
    tokens, padding = np.asarray(tokens, np.int32), model.config.padding
    real = tokens != padding
    if length < 1:
        raise ValueError(f"length is {length}; at least 1 would fit")
    if tokens.ndim != 2 or not real.any(1).all() or (real[:, 1:] > real[:, :-1]).any():
        raise ValueError(
            f"tokens of shape {list(tokens.shape)} have a row without a token, or padding in front "
            f"of one; [B, S] with padding, {padding}, at the end would fit (see to_the_front)"
        )
    if not isinstance(model, DecoderOnly):
        if marks.start is None:
            raise ValueError("decoder_start_token_id is missing; a token would fit")
        first = np.full(len(tokens), marks.start, np.int32)
    else:
        ends = real.sum(1) - 1
        first = tokens[np.arange(len(tokens)), ends]
        tokens = np.where(np.arange(tokens.shape[1]) == ends[:, None], padding, tokens)[:, :-1]
    graph, params = nnx.split(model, nnx.Param)
    return np.asarray(_search(graph, params, tokens, first, length, marks))


@partial(jax.jit, static_argnums=(0, 4, 5))
def _search(graph, params, tokens, first, length: int, marks: Marks) -> Int[Array, "B T"]:
    model = nnx.merge(graph, params)
    padding = model.config.padding

    class Loop(NamedTuple):
        place: Int[Array, ""]
        written: Int[Array, "B T"]
        last: Int[Array, " B"]
        ended: Bool[Array, " B"]
        cache: Any

    def proceed(loop: Loop) -> Bool[Array, ""]:
        return (loop.place < length) & ~loop.ended.all()

    def advance(loop: Loop) -> Loop:
        logits, cache = model.step(loop.cache, loop.last)
        chosen = _fitting(logits, marks).argmax(-1).astype(jnp.int32)
        if marks.last is not None:
            chosen = jnp.where(loop.place == length - 1, marks.last, chosen)
        chosen = jnp.where(loop.ended, padding, chosen)
        written = jax.lax.dynamic_update_index_in_dim(loop.written, chosen, loop.place, axis=1)
        ended = loop.ended
        for end in marks.ends:
            ended |= chosen == end
        return Loop(loop.place + 1, written, chosen, ended, cache)

    empty = jnp.full((len(first), length), padding, jnp.int32)
    cache = jax.tree.map(jnp.asarray, model.start(tokens, length))
    begin = Loop(jnp.int32(0), empty, jnp.asarray(first), jnp.zeros(len(first), bool), cache)
    return jax.lax.while_loop(proceed, advance, begin).written


def _fitting(logits: Float[Array, "B V"], marks: Marks) -> Float[Array, "B V"]:
    if not marks.never:
        return logits
    tokens = jnp.arange(logits.shape[-1])
    never = jnp.isin(tokens, jnp.asarray(marks.never))
    return jnp.where(never[None], -jnp.inf, logits)
