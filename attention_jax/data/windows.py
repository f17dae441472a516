"""Rows for a language model: windows of one long text, drawn or in order."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from attention_jax.data.lines import DataError


class Windows(NamedTuple):
    """Rows of a text; a label is the token after.

    Attributes:
      tokens: [B, T] int32: what the model reads.
      labels: [B, T] int32: what comes next.
      weights: [B, T] float32: 0 where there is none.
    """

    tokens: Any
    labels: Any
    weights: Any


def drawn_windows(
    text: np.ndarray, length: int, rows: int
) -> Callable[[np.random.Generator], Windows]:
    """From a generator to a batch of windows that begin anywhere in the text, each place alike.

    Args:
      text: all its tokens.
      length: T, tokens that a window reads.
      rows: B, windows of a batch.

    Raises:
      DataError: the text is too short for one.
    """
    places = len(text) - length
    if places < 1:
        raise DataError(
            f"the text to learn from has {len(text):,} tokens; windows of {length} need at least "
            f"{length + 1}."
        )
    weights, columns = np.ones((rows, length), np.float32), np.arange(length)

    def make(chance: np.random.Generator) -> Windows:
        # Raw bits keep their meaning between NumPy versions.
        starts = (chance.bit_generator.random_raw(rows) % np.uint64(places)).astype(np.int64)
        where = starts[:, None] + columns
        return Windows(text[where], text[where + 1], weights)

    return make


def windows_in_order(text: np.ndarray, length: int) -> Windows:
    """The text in windows that stand side by side: each token but the first is a label once.

    Raises:
      DataError: the text has fewer than two tokens.
    """
    labels = len(text) - 1
    if labels < 1:
        raise DataError(f"the held-out text has {len(text)} tokens; at least 2 are needed.")
    count = -(-labels // length)
    tokens, wanted = np.zeros((2, count * length), np.int32)
    weights = np.zeros(count * length, np.float32)
    tokens[:labels], wanted[:labels], weights[:labels] = text[:-1], text[1:], 1
    return Windows(*(side.reshape(count, length) for side in (tokens, wanted, weights)))
