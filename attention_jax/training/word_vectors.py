"""Learning word vectors from lines of tokens, and the file that keeps them."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from attention_jax.interop.tensors import read_metadata, read_tensors, write_tensors
from attention_jax.models.word_vectors import (
    Tables,
    WordVectorsConfig,
    kept,
    neighbours,
    noise_odds,
    skip_gram_loss,
    thinned,
)

KIND = "attention_jax.word_vectors 1"
"""what the file's metadata says it is"""
ROW = 32
"""places of a row of text, at least; pairs are looked for inside a row"""


class WordVectors(NamedTuple):
    """Vectors by the names of tokens, for those that have one."""

    tokens: tuple[str, ...]
    vectors: Float[np.ndarray, "V D"]


def train_word_vectors(
    lines: Iterable[Sequence[int]],
    tokens: Sequence[str],
    config: WordVectorsConfig | None = None,
    *,
    seed: int = 0,
    report: Callable[[int, float], None] | None = None,
) -> WordVectors:
    """Learns vectors of the tokens that lines are made of.

    Args:
      lines: sentences as token numbers, without marks; no window reaches over a line's end.
      tokens: the name of each token; number 0 is no word.
      config: how; None takes the defaults.
      seed: decides initial vectors, order, subsampling and noise.
      report: called with each epoch, counted from 1, and its mean loss in nats a pair.

    Returns:
      Vectors of the tokens that occur often enough, in the order of `tokens`.

    Raises:
      ValueError: a token has no name, or nothing in the lines is worth a vector.
    """
    config = config or WordVectorsConfig()
    text, counts = _rows(lines, len(tokens), config)
    often = np.flatnonzero(counts)
    size = max(1, min(len(text), config.batch // text.shape[-1]))
    steps = len(text) // size
    key = jax.random.key(seed, impl="threefry2x32")
    # As in word2vec: centres start small, contexts at zero, so that no pair stands out.
    shape = (len(tokens), config.width)
    first = jax.random.uniform(jax.random.fold_in(key, 0), shape, minval=-0.5, maxval=0.5)
    tables = Tables(first / config.width, jnp.zeros(shape))
    state = tables, _optimizer(config, config.epochs * steps).init(tables)
    order, seen = np.random.default_rng(seed), jnp.asarray(counts, jnp.float32)
    for epoch in range(1, config.epochs + 1):
        losses = []
        for rows in order.permutation(len(text))[: steps * size].reshape(steps, size):
            key, draw = jax.random.split(key)
            read = jnp.asarray(text[rows])
            state, loss = _step(config, config.epochs * steps, state, read, seen, draw)
            losses.append(loss)
        if report is not None:
            report(epoch, float(np.mean(jax.device_get(losses))))
    vectors = np.asarray(state[0].words)[often]
    return WordVectors(tuple(tokens[one] for one in often.tolist()), vectors)


def _optimizer(config: WordVectorsConfig, steps: int) -> optax.GradientTransformation:
    return optax.adam(optax.linear_schedule(config.rate, 0.0, steps))


@partial(jax.jit, static_argnums=(0, 1), donate_argnums=2)
def _step(
    config: WordVectorsConfig,
    steps: int,
    state: tuple[Tables, optax.OptState],
    rows: Int[Array, "B 2 T"],
    counts: Float[Array, " V"],
    key: Array,
) -> tuple[tuple[Tables, optax.OptState], Float[Array, ""]]:
    """One of so many steps: the state after it, and its loss."""
    drop, far, drawn = jax.random.split(key, 3)
    tokens, lines = rows[:, 0], rows[:, 1]
    stay = kept(counts, config.threshold)[tokens]
    tokens, lines = thinned(tokens, lines, jax.random.uniform(drop, tokens.shape) < stay)
    reach = jax.random.randint(far, tokens.shape, 1, config.window + 1)
    pairs = neighbours(tokens, lines, reach)
    upto = jnp.cumsum(noise_odds(counts, config.power))
    points = jax.random.uniform(drawn, (config.noise,)) * upto[-1]
    noise = jnp.searchsorted(upto, points, side="right").clip(max=len(upto) - 1)

    def loss_of(tables: Tables) -> Array:
        around = tables.words[tokens], tables.contexts[tokens], tables.contexts[noise]
        return skip_gram_loss(*around, pairs, negatives=config.negatives)

    tables, moments = state
    loss, gradient = jax.value_and_grad(loss_of)(tables)
    updates, moments = _optimizer(config, steps).update(gradient, moments, tables)
    return (jax.tree.map(jnp.add, tables, updates), moments), loss


def _rows(
    lines: Iterable[Sequence[int]], vocabulary: int, config: WordVectorsConfig
) -> tuple[Int[np.ndarray, "R 2 T"], Int[np.ndarray, " V"]]:
    """Rows of tokens over the lines that they stand in, and how often each token occurs there.

    Rows are filled without regard to lines, so that little of them is empty; a line may be cut by
    the end of its row. Rare tokens are left out, as if they were not in the text.
    """
    parts = [np.asarray(line, np.int32) for line in lines]
    flat = np.concatenate([np.zeros(0, np.int32), *parts])
    if flat.size and not 0 <= flat.min() <= flat.max() < vocabulary:
        wrong = flat.max() if flat.max() >= vocabulary else flat.min()
        raise ValueError(f"token {wrong} has no name; 0 to {vocabulary - 1} would fit")
    counts = np.bincount(flat, minlength=vocabulary)
    counts[0] = 0
    counts[counts < config.least] = 0
    if np.count_nonzero(counts) < 2:
        raise ValueError(
            f"fewer than 2 tokens occur {config.least} times in {flat.size} tokens of text; more "
            "text, or a lower least, would fit"
        )
    line = np.repeat(np.arange(len(parts), dtype=np.int32), [len(part) for part in parts])
    often = counts[flat] > 0
    length = max(ROW, 4 * config.window)
    found = np.stack([flat[often], line[often]])
    found = np.pad(found, ((0, 0), (0, -found.shape[1] % length)))
    return np.ascontiguousarray(found.reshape(2, -1, length).swapaxes(0, 1)), counts


def save_word_vectors(
    path: str | Path, found: WordVectors, config: WordVectorsConfig | None = None
) -> None:
    """Writes vectors with their tokens as one safetensors file, whole or not at all.

    Args:
      path: of the file.
      found: vectors and tokens.
      config: how they were learned, to be kept with them.

    Raises:
      ValueError: they do not go together.
      OSError: it cannot be written.
    """
    _check(found.tokens, found.vectors, "the vectors")
    metadata = {"kind": KIND, "tokens": json.dumps(found.tokens)}
    if config is not None:
        metadata["config"] = json.dumps(asdict(config))
    write_tensors(path, {"vectors": np.asarray(found.vectors, np.float32)}, metadata)


def read_word_vectors(path: str | Path) -> WordVectors:
    """Reads what `save_word_vectors` wrote, or a file made likewise, and takes nothing on trust.

    Raises:
      ValueError: it holds no word vectors, or is damaged; the message names the file.
      OSError: it cannot be read.
    """
    metadata, arrays = read_metadata(path), read_tensors(path)
    if metadata.get("kind") != KIND or set(arrays) != {"vectors"}:
        raise ValueError(
            f"{path} holds no word vectors: its kind is {metadata.get('kind')!r}, its arrays are "
            f"{', '.join(arrays)[:60]}; {KIND!r} and vectors would fit"
        )
    try:
        tokens = json.loads(metadata.get("tokens", ""))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} has no list of tokens: {error}") from error
    if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
        raise ValueError(f"{path} has no list of tokens; a list of text would fit")
    _check(tokens, arrays["vectors"], str(path))
    return WordVectors(tuple(tokens), arrays["vectors"].astype(np.float32))


def _check(tokens: Sequence[str], vectors: np.ndarray, what: str) -> None:
    if vectors.ndim != 2 or len(vectors) != len(tokens) or not vectors.size:
        raise ValueError(
            f"{what}: an array of {list(vectors.shape)} and {len(tokens)} tokens; "
            "[tokens, width] would fit"
        )
    if not np.issubdtype(vectors.dtype, np.floating) or not np.isfinite(vectors).all():
        raise ValueError(f"{what}: some number is not finite; finite float32 would fit")
    if len(set(tokens)) < len(tokens):
        twice = next(token for token in tokens if tokens.count(token) > 1)
        raise ValueError(f"{what}: {twice!r} stands there twice; one vector a token would fit")
