"""Masked text: some tokens hidden, some falsified, and what stood there.

Source: Devlin et al. 2019, "BERT", section 3.1 and appendix A.1: of 15% of the tokens, 80% become
the mask, 10% a random token and 10% stay as they are, so that no token can be trusted.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from attention_jax.data.marked import Marked
from attention_jax.data.tokens import END


class MaskedBatch(NamedTuple):
    """Texts with some of their tokens to tell.

    Attributes:
      tokens: [B, S] int32: START, tokens, END, perhaps those of a second text and END, then PAD.
      types: [B, S] int32: the language of each token.
      positions: [B, S] int32: from 0, and from 1 again in a second text.
      places: [B, M] int32: positions to tell; 0 where the weight is.
      labels: [B, M] int32: what stood there.
      weights: [B, M] float32: 1 where there is something to tell.
    """

    tokens: Any
    types: Any
    positions: Any
    places: Any
    labels: Any
    weights: Any


def unmasked(rows: Marked, share: float) -> MaskedBatch:
    """Texts with how many of their tokens are to tell, none of them chosen yet.

    Args:
      rows: the texts; marks and padding are never masked.
      share: of the tokens, rounded; at least one of each text that has any.

    Raises:
      ValueError: the share is no share.
    """
    if not 0 < share < 1:
        raise ValueError(f"share is {share}; a number between 0 and 1 would fit")
    eligible = (rows.tokens > END).sum(1)
    most = max(1, math.ceil(share * (rows.tokens.shape[1] - 2)))
    counts = np.where(eligible, np.clip(np.rint(share * eligible), 1, most), 0)
    weights = np.float32(np.arange(most)[None] < counts[:, None])
    places = np.zeros(weights.shape, np.int32)
    return MaskedBatch(*rows, places, places, weights)


def masked(
    batch: MaskedBatch, chance: np.random.Generator, *, mask: int, random: bool = True
) -> MaskedBatch:
    """The batch with tokens chosen, hidden and falsified.

    Args:
      batch: of `unmasked`; its weights say how many of each row.
      chance: where the draws come from.
      mask: the token that hides others; those from END to it are the words.
      random: False masks all that is chosen.
    """
    told = batch.weights != 0
    places = np.where(told, _chosen(chance, batch.tokens, batch.places.shape[1]), 0)
    labels = np.where(told, np.take_along_axis(batch.tokens, places, 1), 0)
    others = (END + 1 + _draws(chance, places.shape) % np.uint64(mask - END - 1)).astype(np.int32)
    kinds = _draws(chance, places.shape) % np.uint64(10) if random else np.zeros(places.shape)
    written = np.where(kinds < 8, mask, np.where(kinds == 8, others, labels))
    tokens, (rows, columns) = batch.tokens.copy(), np.nonzero(told)
    tokens[rows, places[rows, columns]] = written[rows, columns]
    return batch._replace(tokens=tokens, places=places, labels=labels)


def one_each(batch: MaskedBatch, *, mask: int, most: int, seed: int = 0) -> MaskedBatch:
    """Each text several times, with one token masked: all others can be read.

    Args:
      batch: of `unmasked`.
      mask: the token that hides others.
      most: times that a text is there, at most; each time another token is masked.
      seed: of the choice.
    """
    places = _chosen(np.random.Generator(np.random.PCG64(seed)), batch.tokens, most)
    real = np.take_along_axis(batch.tokens, places, 1) > END
    rows, columns = np.nonzero(real)[0], places[real]
    tokens = batch.tokens[rows]
    labels = tokens[np.arange(len(rows)), columns]
    tokens[np.arange(len(rows)), columns] = mask
    weights: Float[np.ndarray, "N 1"] = np.ones((len(rows), 1), np.float32)
    found = MaskedBatch(*(array[rows] for array in batch))
    told = {"places": columns[:, None], "labels": labels[:, None], "weights": weights}
    return found._replace(tokens=tokens, **told)


def _chosen(chance: np.random.Generator, tokens: np.ndarray, most: int) -> np.ndarray:
    """Places of words in each row, in a random order; what is behind the last one is no word's."""
    draws = _draws(chance, tokens.shape) >> np.uint64(1)
    draws[tokens <= END] = np.iinfo(np.uint64).max
    return np.argsort(draws, 1, kind="stable")[:, :most].astype(np.int32)


def _draws(chance: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Raw bits, which keep their meaning between NumPy versions."""
    return chance.bit_generator.random_raw(math.prod(shape)).reshape(shape)
