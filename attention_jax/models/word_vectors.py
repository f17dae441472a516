"""Word vectors: skip-gram with negative sampling (word2vec).

A word is known by its neighbours: vectors are learned by telling words that stood near a word from
words that did not, and words that stand among the same words come to lie close to each other.

Source: Mikolov, Sutskever, Chen, Corrado and Dean 2013, "Distributed Representations of Words and
Phrases and their Compositionality". Noise words that all centres of a step share, so that they are
one matrix product: Ji, Satish, Li and Dubey 2016, "Parallelizing Word2Vec in Shared and Distributed
Memory".
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int


@dataclass(frozen=True)
class WordVectorsConfig:
    """How word vectors are learned."""

    width: int = 64
    """features of a vector; those of the embedding that is to start from it"""
    window: int = 5
    """words before and behind that may be neighbours; each centre draws a reach from 1 to this"""
    negatives: int = 5
    """noise words that a pair counts for"""
    noise: int = 256
    """noise words drawn a step, which all its pairs share"""
    power: float = 0.75
    """of the words' frequencies, to draw noise by"""
    threshold: float | None = 1e-3
    """frequency from which on words are left out at random; None: none is"""
    least: int = 5
    """occurrences below which a word gets no vector"""
    epochs: int = 10
    """times that the text is read"""
    batch: int = 16_384
    """words of text a step, about"""
    rate: float = 0.01
    """of Adam at the start; falls to zero"""

    def __post_init__(self):
        """Refuses what cannot be learned by."""
        for name in ("width", "window", "negatives", "noise", "least", "epochs", "batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; at least 1 would fit")
        if not 0 <= self.power <= 1:
            raise ValueError(f"power is {self.power}; a number from 0 to 1 would fit")
        if self.threshold is not None and not 0 < self.threshold <= 1:
            raise ValueError(
                f"threshold is {self.threshold}; a frequency above 0, at most 1, or None would fit"
            )
        if not 0 < self.rate < 1:
            raise ValueError(f"rate is {self.rate}; a number between 0 and 1 would fit")


class Tables(NamedTuple):
    """What is learned: a vector for each word as a centre, and one as a neighbour."""

    words: Float[Array, "V D"]
    contexts: Float[Array, "V D"]


def kept(counts: Float[Array, " V"], threshold: float | None) -> Float[Array, " V"]:
    """The probability that an occurrence of each word stays in the text: min(1, √(threshold / f)).

    Frequent words say little about their neighbours, and others see farther when they are gone.

    Args:
      counts: occurrences of each word.
      threshold: the frequency from which on words are left out; None keeps all.

    Source: Mikolov et al. 2013, equation 5.
    """
    if threshold is None:
        return jnp.ones(counts.shape, jnp.float32)
    frequency = jnp.maximum(counts, 1) / jnp.maximum(counts.sum(), 1)
    return jnp.minimum(1, jnp.sqrt(threshold / frequency))


def noise_odds(counts: Float[Array, " V"], power: float) -> Float[Array, " V"]:
    """How often each word is drawn as noise: countᵖ, as shares that sum to one.

    Source: Mikolov et al. 2013, section 2.2, with power 3/4.
    """
    odds = jnp.where(counts > 0, jnp.maximum(counts, 1) ** power, 0)
    return odds / odds.sum()


def thinned(
    tokens: Int[Array, "B T"], lines: Int[Array, "B T"], stays: Bool[Array, "B T"]
) -> tuple[Int[Array, "B T"], Int[Array, "B T"]]:
    """Rows of text without the words that do not stay; the others close up, zeros fill the end.

    Args:
      tokens: words, 0 for none.
      lines: the line that each stands in.
      stays: which words stay.
    """
    stays = stays & (tokens != 0)
    order = jnp.argsort(~stays, axis=-1, stable=True)
    tokens, lines = (
        jnp.take_along_axis(x, order, -1) for x in (jnp.where(stays, tokens, 0), lines)
    )
    return tokens, lines


def neighbours(
    tokens: Int[Array, "B T"], lines: Int[Array, "B T"], reach: Int[Array, "B T"]
) -> Bool[Array, "B T S"]:
    """Which places each place is asked to tell from noise: near ones of its line, not itself.

    Args:
      tokens: words, 0 for none.
      lines: the line that each stands in.
      reach: how far each centre looks.
    """
    places = jnp.arange(tokens.shape[1])
    apart = jnp.abs(places[:, None] - places[None, :])[None]
    near = (apart > 0) & (apart <= reach[:, :, None])
    real = tokens != 0
    same = lines[:, :, None] == lines[:, None, :]
    return near & same & real[:, :, None] & real[:, None, :]


def skip_gram_loss(
    words: Float[Array, "B T D"],
    contexts: Float[Array, "B S D"],
    noise: Float[Array, "N D"],
    pairs: Bool[Array, "B T S"],
    *,
    negatives: int,
) -> Float[Array, ""]:
    """What tells neighbours from noise, as a mean over pairs.

    -log σ(uₛ·vₜ) - K/N Σₙ log σ(-uₙ·vₜ) for each pair of a centre t and its neighbour s, with
    K negatives and N shared noise words: its expectation is that of K words for the pair alone.

    Args:
      words: v, of the centres.
      contexts: u, of the words around them.
      noise: u, of noise words.
      pairs: which centre and which word are a pair.
      negatives: noise words that a pair counts for.

    Source: Mikolov et al. 2013, equation 4.
    """
    near = jax.nn.softplus(-jnp.einsum("btd,bsd->bts", words, contexts))
    far = jax.nn.softplus(jnp.einsum("btd,nd->btn", words, noise)).mean(-1)
    count = pairs.sum(-1)
    total = jnp.where(pairs, near, 0).sum() + negatives * (far * count).sum()
    return total / jnp.maximum(count.sum(), 1)


def nearest(
    vectors: Float[np.ndarray, "V D"], tokens: Sequence[str], word: str, count: int = 5
) -> list[tuple[str, float]]:
    """The tokens whose vectors point most nearly where a word's does, the nearest first.

    Args:
      vectors: one for each token.
      tokens: their names.
      word: one of them; of several of that name, the first is meant.
      count: how many to give, at most.

    Returns:
      Pairs of a token and its cosine with the word.

    Raises:
      ValueError: there is no such word, or vectors and tokens do not go together.
    """
    if len(vectors) != len(tokens):
        raise ValueError(
            f"there are {len(vectors)} vectors and {len(tokens)} tokens; one each would fit"
        )
    if count < 1:
        raise ValueError(f"count is {count}; at least 1 would fit")
    if word not in tokens:
        near = difflib.get_close_matches(word, tokens, n=3, cutoff=0.5)
        guess = f"; near it are {', '.join(near)}" if near else ""
        raise ValueError(f"{word!r} is none of the {len(tokens)} tokens{guess}")
    at = tokens.index(word)
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    unit = vectors / np.where(lengths > 0, lengths, 1)
    cosines = unit @ unit[at]
    order = [int(one) for one in np.argsort(-cosines, kind="stable") if one != at]
    return [(tokens[one], float(cosines[one])) for one in order[:count]]
