"""Sampling: tokens drawn as a language model finds them likely, and the cuts that keep it sane.

A cut makes tokens impossible (-inf) and leaves all other logits as they are, so that cuts can stand
one behind another.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from attention_jax.data.tokens import END, PAD, START


@dataclass(frozen=True)
class SamplingConfig:
    """How tokens are drawn: the temperature first, then the cuts, in this order."""

    temperature: float = 1.0
    """what logits are divided by: below 1 likely tokens become likelier; 0 takes the likeliest"""
    top_k: int | None = None
    """only the so many likeliest tokens; None: all"""
    top_p: float = 1.0
    """only the fewest likeliest tokens that have this share together; 1: all"""
    min_p: float = 0.0
    """only tokens with at least this share of what the likeliest has; 0: all"""
    stop: bool = True
    """a text may end; else its end is never drawn"""

    def __post_init__(self):
        """Refuses numbers that leave no token."""
        if not 0 <= self.temperature < math.inf:
            raise ValueError(
                f"temperature is {self.temperature}; a finite number from 0 up would fit"
            )
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k is {self.top_k}; at least 1, or None, would fit")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is {self.top_p}; above 0 and at most 1 would fit")
        if not 0 <= self.min_p <= 1:
            raise ValueError(f"min_p is {self.min_p}; from 0 to 1 would fit")


def draw(logits: Float[Array, "*B V"], rng: Array, config: SamplingConfig) -> Int[Array, "*B"]:
    """A token for each row; equal logits at temperature 0 go to the lower token.

    Args:
      logits: of the tokens; -inf for one that is impossible, but not for all.
      rng: a `jax.random` key.
      config: how.
    """
    if config.temperature == 0:
        return jnp.argmax(logits, axis=-1).astype(jnp.int32)
    logits = tempered(logits, config.temperature)
    if config.top_k is not None:
        logits = top_k(logits, config.top_k)
    logits = min_p(top_p(logits, config.top_p), config.min_p)
    return jax.random.categorical(rng, logits, axis=-1).astype(jnp.int32)


def tempered(logits: Float[Array, "*B V"], temperature: float) -> Float[Array, "*B V"]:
    """(logits - the largest) / temperature, in float32 at least: nothing overflows.

    Args:
      logits: of the tokens.
      temperature: above 0; far below 1 the likeliest takes all, far above all are alike.
    """
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    return (logits - logits.max(-1, keepdims=True)) / temperature


def top_k(logits: Float[Array, "*B V"], k: int) -> Float[Array, "*B V"]:
    """Only the `k` likeliest tokens of each row; of equal ones the lower.

    Args:
      logits: of the tokens.
      k: how many, at least 1; all where there are no more.

    Source: Fan et al. 2018, "Hierarchical Neural Story Generation", section 5.4.
    """
    if k >= logits.shape[-1]:
        return logits
    return jnp.where(_ranks(logits) < k, logits, -jnp.inf)


def top_p(logits: Float[Array, "*B V"], p: float) -> Float[Array, "*B V"]:
    """The nucleus: the fewest likeliest tokens whose shares sum to `p` or more.

    Args:
      logits: of the tokens; of equal ones the lower comes first.
      p: above 0; 1 leaves all.

    Source: Holtzman et al. 2020, "The Curious Case of Neural Text Degeneration", equation 2.
    """
    if p >= 1:
        return logits
    ranks = _ranks(logits)
    shares = -jnp.sort(-jax.nn.softmax(logits, axis=-1), axis=-1)
    before = jnp.cumsum(shares, axis=-1) - shares  # what those that are likelier have together
    return jnp.where(jnp.take_along_axis(before, ranks, axis=-1) < p, logits, -jnp.inf)


def min_p(logits: Float[Array, "*B V"], p: float) -> Float[Array, "*B V"]:
    """Only tokens at least `p` times as likely as the likeliest: the surer, the fewer.

    Args:
      logits: of the tokens.
      p: from 0, which leaves all, to 1.

    Source: Nguyen et al. 2024, "Turning Up the Heat: Min-p Sampling", section 3.
    """
    if p <= 0:
        return logits
    least = logits.max(-1, keepdims=True) + math.log(p)
    return jnp.where(logits >= least, logits, -jnp.inf)


def sample(
    model: Any,
    prompt: Int[Array, "B P"],
    length: int,
    rng: Array,
    config: SamplingConfig,
    *,
    context: int | None = None,
) -> Int[Array, "B T"]:
    """Goes on with each prompt, token by token, until all have ended; inside `jax.jit`.

    PAD and START are never drawn. After END a row has PAD alone.

    Args:
      model: a language model as `models.decoder_only.DecoderOnly`: its cache (`start`, `step`) is
        used, or, with a `context`, its call.
      prompt: tokens, padding at the end; each row has at least one.
      length: T, tokens to write at most, END included.
      rng: a `jax.random` key.
      config: how tokens are drawn.
      context: what is written depends on the last so many tokens alone, which are read anew each
        time: for texts longer than the positions that a model has learned; None: on all.
    """
    if prompt.shape[1] < 1 or length < 1:
        raise ValueError(
            f"the prompt has room for {prompt.shape[1]} tokens and length is {length}; at least 1 "
            "of each would fit"
        )
    start, step = (
        _cached(model, prompt, length)
        if context is None
        else _reread(model, prompt, length, context)
    )
    rows = prompt.shape[0]

    class Loop(NamedTuple):
        position: Int[Array, ""]
        written: Int[Array, "B T"]
        last: Int[Array, " B"]
        ended: Bool[Array, " B"]
        kept: Any

    def advance(loop: Loop) -> Loop:
        logits, kept = step(loop.kept, loop.last)
        ids = jnp.arange(logits.shape[-1], dtype=jnp.int32)[None]
        fits = (ids != PAD) & (ids != START) & (config.stop | (ids != END))
        key = jax.random.fold_in(rng, loop.position)
        token = draw(jnp.where(fits, logits, -jnp.inf), key, config)
        token = jnp.where(loop.ended, PAD, token)
        written = jax.lax.dynamic_update_index_in_dim(loop.written, token, loop.position, axis=1)
        return Loop(loop.position + 1, written, token, loop.ended | (token == END), kept)

    begin = Loop(
        jnp.int32(0),
        jnp.full((rows, length), PAD, jnp.int32),
        _last_of(prompt),
        jnp.zeros(rows, bool),
        start,
    )
    return jax.lax.while_loop(
        lambda loop: (loop.position < length) & ~loop.ended.all(), advance, begin
    ).written


@functools.partial(jax.jit, static_argnames=("graph", "length", "config", "context"))
def sampled(
    graph: nnx.GraphDef,
    params: Any,
    prompt: Int[Array, "B P"],
    rng: Array,
    *,
    length: int,
    config: SamplingConfig,
    context: int | None = None,
) -> Int[Array, "B T"]:
    """`sample` as one compiled program; models of one structure and shapes share it."""
    model = nnx.merge(graph, params)
    return sample(model, prompt, length, rng, config, context=context)


def continued(
    model: Any, codec: Any, texts: list[str], length: int, *, seed: int, config: SamplingConfig
) -> list[str]:
    """What a language model writes after each text; an empty one is a new document.

    Args:
      model: as in `sample`, with a config that says its `context`. Of longer texts it reads the
        last so many tokens each time, as it was trained on no more.
      codec: the tokenizer that it was trained with.
      texts: what stands before.
      length: tokens to write at most.
      seed: decides all draws.
      config: how they are drawn.

    Raises:
      ValueError: a text has what is not in the vocabulary.
    """
    rows = [codec.encode(text) or [START] for text in texts]
    prompt = np.full((len(rows), max(map(len, rows))), PAD, np.int32)
    for row, ids in enumerate(rows):
        prompt[row, : len(ids)] = ids
    most = model.config.context
    context = most if prompt.shape[1] - 1 + length > most else None
    graph, params = nnx.split(model, nnx.Param)
    key = jax.random.key(seed, impl="threefry2x32")
    found = sampled(graph, params, prompt, key, length=length, config=config, context=context)
    return [codec.decode(row) for row in np.asarray(found).tolist()]


def _cached(model: Any, prompt: Array, length: int) -> tuple[Any, Callable[..., Any]]:
    """A cache that has read all but each prompt's last token, and the step from there."""
    ends = _ends(prompt)
    before = jnp.arange(prompt.shape[1])[None] < ends[:, None] - 1
    return model.start(jnp.where(before, prompt, PAD)[:, :-1], length), model.step


def _reread(model: Any, prompt: Array, length: int, context: int) -> tuple[Any, Callable[..., Any]]:
    """The text so far and where it ends, and the step that reads the last of it."""
    rows, read = prompt.shape
    text = jnp.pad(prompt, ((0, 0), (0, length)))
    nothing = jnp.zeros((rows, 0), jnp.int32)

    def step(kept: tuple[Array, Array], last: Array) -> tuple[Array, tuple[Array, Array]]:
        text, ends = kept
        text = text.at[jnp.arange(rows), ends].set(last)
        starts = jnp.maximum(ends + 1 - context, 0)
        where = starts[:, None] + jnp.arange(context)[None]
        window = jnp.take_along_axis(text, jnp.minimum(where, read + length - 1), axis=1)
        # What stands behind the end is not seen from there.
        logits = model(nothing, window)
        at = (ends - starts)[:, None, None]
        return jnp.take_along_axis(logits, at, axis=1)[:, 0], (text, ends + 1)

    return (text, _ends(prompt) - 1), step


def _ends(prompt: Int[Array, "B P"]) -> Int[Array, " B"]:
    """How many tokens each prompt has."""
    return (prompt != PAD).sum(-1, dtype=jnp.int32)


def _last_of(prompt: Int[Array, "B P"]) -> Int[Array, " B"]:
    return jnp.take_along_axis(prompt, jnp.maximum(_ends(prompt) - 1, 0)[:, None], axis=1)[:, 0]


def _ranks(logits: Float[Array, "*B V"]) -> Int[Array, "*B V"]:
    """How many tokens are likelier than each, or as likely and lower."""
    order = jnp.argsort(-logits, axis=-1, stable=True)
    return jnp.argsort(order, axis=-1, stable=True)
