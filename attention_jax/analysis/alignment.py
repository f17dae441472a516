"""Which word translates which, as a head's attention to the source says it, against gold links.

A decoder position reads one target token and predicts the next, so two positions can speak for a
token: the one that predicts it, and the one after, which has read it. Both are offered.
"""

from collections.abc import Collection, Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from attention_jax.data import END, PAD, START, Batch, Pair, Tokenizer

Reading = Literal["predicting", "having read"]
"""Whose weights speak for a target token: those of the decoder position that predicts it, or of the
next one, whose input it is. The second knows the word that it aligns; Chen et al. 2020, section 3,
find it better in deep models. With two decoder layers on the phrasebook the first is better by far
(`experiments/alignment_over_training.py`), so it is what is taken unless told."""

Link = tuple[int, int]
"""(source word, target word), counted from 0."""


class Words(NamedTuple):
    """The word that each token of a batch belongs to, counted from 0; -1 for marks and padding."""

    source: Int[Any, "B S"]
    target: Int[Any, "B T"]


class Aligned(NamedTuple):
    """The words of a batch, and which of them translate each other."""

    words: Words
    gold: np.ndarray
    """[B, T, S] bool: target word, source word; there are no more words than tokens"""


def alignment_error(
    links: Collection[Link], sure: Collection[Link], possible: Collection[Link] | None = None
) -> float:
    """How far links are from gold ones: 1 - (|A ∩ S| + |A ∩ P|) / (|A| + |S|).

    Args:
      links: A, those found.
      sure: S, those that must be found.
      possible: P, those that may be found, the sure ones among them; None for the sure ones alone.
        Then this is one minus the F1 score.

    Returns:
      From 0, all sure and none but possible ones, to 1; NaN if there are neither.

    Source: Och and Ney 2003, section 5, "alignment error rate".
    """
    found, must = set(links), set(sure)
    may = must if possible is None else must | set(possible)
    total = len(found) + len(must)
    return 1 - (len(found & must) + len(found & may)) / total if total else float("nan")


def word_of_each(tokenizer: Tokenizer, ids: Sequence[int]) -> list[int]:
    """The word that each token belongs to, as `text.split()` counts them; -1 for what is in none.

    A word carries the space before it, so a token belongs to the word that the text ends with once
    the token is written.

    Args:
      tokenizer: whose tokens they are.
      ids: tokens of one sentence; START may stand before them, END and PAD after.
    """
    words = []
    for end, token in enumerate(map(int, ids), start=1):
        if token in (PAD, START, END) or tokenizer.decode([token]).isspace():
            words.append(-1)
        else:
            words.append(len(tokenizer.decode(map(int, ids[:end])).split()) - 1)
    return words


def align(
    batches: Sequence[Batch],
    pairs: Sequence[Pair],
    tokenizer: Tokenizer,
    *,
    reading: Reading = "predicting",
) -> list[Aligned]:
    """Words and gold links of batches.

    Args:
      batches: of these pairs, in their order; rows of padding may follow.
      pairs: sentences with gold alignments.
      tokenizer: that of the batches.
      reading: whose weights speak for a target token.

    Raises:
      ValueError: the batches have fewer rows than there are pairs, or a link names a word that its
        sentence has not; the message names it.
    """
    room = sum(len(batch.source) for batch in batches)
    if room < len(pairs):
        raise ValueError(f"pairs are {len(pairs)}, but the batches have {room} rows for them")
    found, start = [], 0
    for batch in batches:
        rows, length = batch.source.shape
        target = batch.target_out if reading == "predicting" else batch.target_in
        words = Words(*(_words(tokenizer, np.asarray(side)) for side in (batch.source, target)))
        gold = np.zeros((rows, target.shape[1], length), bool)
        here = pairs[start : start + rows]
        for row, pair in enumerate(here):
            sizes = words.source[row].max() + 1, words.target[row].max() + 1
            for one, other in pair.alignment:
                if not (0 <= one < sizes[0] and 0 <= other < sizes[1]):
                    raise ValueError(
                        f"pairs[{start + row}] links the words {one} and {other}, but has "
                        f"{sizes[0]} and {sizes[1]} words: {pair.source!r}, {pair.target!r}"
                    )
                gold[row, other, one] = True
        found.append(Aligned(words, gold))
        start += len(here)
    return found


def word_weights(weights: Float[Array, "B H T S"], words: Words) -> Float[Array, "B H T S"]:
    """Attention between words: summed over a source word's tokens, averaged over a target word's.

    Args:
      weights: of cross-attention, between tokens.
      words: of the tokens.

    Returns:
      For each target word and source word, counted along T and S; zeros where there is no word.
    """
    of_source, of_target = (
        jax.nn.one_hot(side, side.shape[1], dtype=weights.dtype) for side in words
    )
    sizes = of_target.sum(1, keepdims=True)  # tokens of each target word
    of_target = of_target / jnp.maximum(sizes, 1)
    # Padding times zero would be zero, unless it is no number.
    real = (words.target >= 0)[:, :, None] & (words.source >= 0)[:, None, :]
    weights = jnp.where(real[:, None], weights, 0)
    return jnp.einsum("BHTS,BTV,BSW->BHVW", weights, of_target, of_source)


def link_words(weights: Float[Array, "B H T S"], words: Words) -> Int[Array, "B H T"]:
    """The source word that each target word attends to most; where there is no word, any number."""
    return word_weights(weights, words).argmax(-1).astype(jnp.int32)


def error_rates(
    links: Sequence[Int[Any, "B H T"]], aligned: Sequence[Aligned]
) -> Float[np.ndarray, " H"]:
    """The alignment error rate of each head over all batches; every target word has one link.

    Args:
      links: what `link_words` found, by batch.
      aligned: what `align` made, by batch.
    """
    hits, count = 0, 0
    for found, (words, gold) in zip(links, aligned, strict=True):
        there = np.arange(gold.shape[1])[None] <= words.target.max(1, keepdims=True)
        taken = np.take_along_axis(gold[:, None], np.asarray(found)[..., None], axis=3)[..., 0]
        hits = hits + (taken & there[:, None]).sum((0, 2))
        count += int(there.sum() + gold.sum())
    return 1 - 2 * np.asarray(hits, np.float64) / count


def _words(tokenizer: Tokenizer, ids: np.ndarray) -> np.ndarray:
    words = np.full(ids.shape, -1, np.int32)
    for row, tokens in enumerate(ids):
        real = tokens[: np.flatnonzero(tokens)[-1] + 1] if tokens.any() else tokens[:0]
        words[row, : len(real)] = word_of_each(tokenizer, real)
    return words
