"""Alignment of any model that attends to its source: every head of every cross-attention.

A model is asked through `explain` alone, so that Bahdanau's one attention, a stack of convolutions
and a Transformer's heads are judged alike: each target word is linked to the source word that it
attends to most (see `alignment`). Where source and target are one sequence, what its
self-attention gives from target to source is judged.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from attention_jax.analysis.alignment import (
    Aligned,
    Reading,
    Words,
    align,
    error_rates,
    link_words,
    word_weights,
)
from attention_jax.analysis.sentences import first_of
from attention_jax.data import Batch, DataConfig, Pair, Tokenizer, encode_pairs, eval_batches
from attention_jax.models.decoder_only import DecoderOnly
from attention_jax.models.decoder_only_sequence import target_to_source
from attention_jax.models.places import Head, Place

Errors = dict[Head, float]
"""alignment error rates, from 0 to 1"""


class Bounds(NamedTuple):
    """Error rates that need no model."""

    least: float
    """what one source word for each target word can reach at best"""
    diagonal: float
    """each target word linked to the source word with its number, or to the last one"""


class Gold(NamedTuple):
    """Sentences with gold alignments."""

    pairs: list[Pair]
    batches: list[Batch]
    """of the pairs, in their order"""
    aligned: list[Aligned]
    """their words and links, batch by batch"""


class Judged(NamedTuple):
    """How a model aligns."""

    best: Head
    """that with the least error on the sentences to choose by"""
    error: float
    """its error on the sentences to judge by"""
    errors: Errors
    """those of all heads there"""


def gold(
    data: DataConfig,
    tokenizer: Tokenizer,
    split: str,
    *,
    sentences: int = 512,
    reading: Reading = "predicting",
) -> Gold:
    """The first sentences of a split with their gold alignments, for all models of one tokenizer.

    Args:
      data: which text; the phrasebook has gold alignments.
      tokenizer: of the models.
      split: whose sentences.
      sentences: how many, at most.
      reading: whose weights speak for a target token.

    Raises:
      ValueError: the split is not there or has no gold alignments, or `sentences` is below 1.
    """
    batches, pairs = first_of(data, tokenizer, split, sentences)
    if not any(pair.alignment for pair in pairs):
        raise ValueError(
            f"found no gold alignments in the split {split!r} of {data.corpus}; the phrasebook has "
            "them"
        )
    return Gold(pairs, batches, align(batches, pairs, tokenizer, reading=reading))


def cross_errors(graph: nnx.GraphDef, params: Any, sentences: Gold) -> Errors:
    """The alignment error rate of every cross-attention head.

    Args:
      graph: the model's structure.
      params: its parameters.
      sentences: in batches of few shapes, so that few programs are compiled.

    Raises:
      ValueError: the model attends to nothing.
    """
    found = [
        jax.device_get(_links(graph, params, batch, one.words))
        for batch, one in zip(sentences.batches, sentences.aligned, strict=True)
    ]
    if not found or not found[0]:
        raise ValueError("found no cross-attention; a model that attends to its source would fit")
    rates = {
        place: error_rates([links[place] for links in found], sentences.aligned)
        for place in sorted(found[0])
    }
    return {
        Head(place.part, place.layer, head): float(rate)
        for place, mine in rates.items()
        for head, rate in enumerate(mine)
    }


def judge(graph: nnx.GraphDef, params: Any, chosen: Gold, judged: Gold) -> Judged:
    """The error of the head that aligns best, chosen on other sentences than it is judged by.

    Args:
      graph: the model's structure.
      params: its parameters.
      chosen: the sentences to choose by.
      judged: the sentences to judge by.

    Raises:
      ValueError: the model attends to nothing.
    """
    here, there = (cross_errors(graph, params, one) for one in (chosen, judged))
    best = min(here, key=here.__getitem__)
    return Judged(best, there[best], there)


def cross_maps(
    graph: nnx.GraphDef,
    params: Any,
    tokenizer: Tokenizer,
    pair: Pair,
    *,
    reading: Reading = "predicting",
) -> dict[Head, Float[np.ndarray, "T S"]]:
    """How much each target word of a pair attends to each source word, in every head.

    Summed over a source word's tokens, averaged over a target word's; the model reads the target
    as given, so that maps of different models have the same rows.

    Args:
      graph: the model's structure.
      params: its parameters.
      tokenizer: of the model.
      pair: a sentence and its translation; links are not needed.
      reading: whose weights speak for a target token.
    """
    longest = 1 + max(len(tokenizer.encode(side)) for side in pair[:2])
    examples = encode_pairs([pair], tokenizer, max_length=longest)
    batches = eval_batches(examples, tokens=longest, vocabulary=tokenizer.size)
    (one,) = align(batches, [pair], tokenizer, reading=reading)
    found = jax.device_get(_maps(graph, params, batches[0], one.words))
    words = [len(side.split()) for side in pair[:2]]
    return {
        Head(place.part, place.layer, head): np.asarray(weights)[: words[1], : words[0]]
        for place in sorted(found)
        for head, weights in enumerate(found[place][0])
    }


def link_map(pair: Pair) -> Float[np.ndarray, "T S"]:
    """The gold links of a pair as weights: 1 where target word and source word are linked."""
    found = np.zeros([len(side.split()) for side in (pair.target, pair.source)])
    for source, target in pair.alignment:
        found[target, source] = 1
    return found


def winding(pairs: Sequence[Pair], count: int, *, longest: int = 10) -> list[Pair]:
    """The pairs of at most so many words whose links cross most often."""
    short = [pair for pair in pairs if max(len(side.split()) for side in pair[:2]) <= longest]
    return sorted(short, key=lambda pair: -_crossings(pair))[:count]


def _crossings(pair: Pair) -> int:
    links = sorted(pair.alignment)
    return sum(a < c and b > d for n, (a, b) in enumerate(links) for c, d in links[n:])


def bounds(aligned: Sequence[Aligned]) -> Bounds:
    """What the gold links allow, and what costs nothing to guess."""
    best, diagonal = ([_guess(one)[kind] for one in aligned] for kind in (0, 1))
    return Bounds(*(float(error_rates(links, aligned)[0]) for links in (best, diagonal)))


def _guess(aligned: Aligned) -> tuple[np.ndarray, np.ndarray]:
    """Links [B, 1, T] to some gold source word where there is one, and along the diagonal."""
    last = aligned.words.source.max(1)[:, None]
    places = np.minimum(np.arange(aligned.gold.shape[1])[None], np.maximum(last, 0))
    return aligned.gold.argmax(-1)[:, None], places[:, None]


@partial(jax.jit, static_argnames="graph")
def _links(graph, params, batch: Batch, words: Words) -> dict[Place, Array]:
    """The source word of each target word [B, H, T], by cross-attention."""
    return _cross(graph, params, batch, partial(link_words, words=words))


@partial(jax.jit, static_argnames="graph")
def _maps(graph, params, batch: Batch, words: Words) -> dict[Place, Array]:
    """Weights between words [B, H, T, S], by cross-attention."""
    return _cross(graph, params, batch, partial(word_weights, words=words))


def _cross(graph, params, batch: Batch, keep) -> dict[Place, Array]:
    model = nnx.merge(graph, params)
    joined = isinstance(model, DecoderOnly)  # source and target are one sequence

    def explain(place: Place, weights: Float[Array, "B H T S"]):
        if joined:
            return keep(target_to_source(weights, batch.source))
        return keep(weights) if place.part == "cross" else None

    _, seen = model(batch.source, batch.target_in, explain=explain)
    return {place: one for place, one in seen.items() if one is not None}
