"""How alike sentences are: a vector for each, the cosine between two, and who finds whom.

Source: Reimers and Gurevych 2019, "Sentence-BERT", section 3 (the mean of all tokens' features);
Conneau and Lample 2019 (sentences of two languages in one space).
"""

import functools
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import nnx
from jaxtyping import Float, Int

from attention_jax.data.rows import in_order
from attention_jax.models.encoder_only import EncoderOnly
from attention_jax.models.sentence_head import pooled
from attention_jax.training.step import split

ROWS = 128
"""sentences that are read at once"""


def sentence_vectors(
    encoder: EncoderOnly, tokens: Int[np.ndarray, "N S"], types: Int[np.ndarray, "N S"]
) -> Float[np.ndarray, "N D"]:
    """The mean over each sentence's tokens, marks included, of what the last layer gives."""
    graph, params = split(encoder)
    batches = in_order(_Texts(tokens, types), ROWS)
    found = [np.asarray(_read(graph, params, *batch)) for batch in batches]
    return np.concatenate(found)[: len(tokens)]


def bags_of_words(
    table: Float[np.ndarray, "V D"], tokens: Int[np.ndarray, "N S"], padding: int = 0
) -> Float[np.ndarray, "N D"]:
    """The mean over each sentence's tokens of their rows in a table: what no context tells."""
    real = (tokens != padding)[..., None]
    return np.where(real, table[tokens], 0).sum(1) / np.maximum(real.sum(1), 1)


def centred(vectors: Float[np.ndarray, "N D"]) -> Float[np.ndarray, "N D"]:
    """The vectors without their mean, which is what all sentences, or a language's, share."""
    return vectors - vectors.mean(0)


def cosines(
    one: Float[np.ndarray, "N D"], other: Float[np.ndarray, "M D"]
) -> Float[np.ndarray, "N M"]:
    """The cosine between each two; 0 for a vector of zeros."""
    lengths = (np.linalg.norm(x, axis=-1, keepdims=True) for x in (one, other))
    one, other = (
        x / np.where(length, length, 1) for x, length in zip((one, other), lengths, strict=True)
    )
    return one @ other.T


def found_among(
    one: Float[np.ndarray, "N D"], other: Float[np.ndarray, "N D"], size: int = 100
) -> float:
    """How often a vector's own partner is the most alike of `size`, in both directions.

    The rows are taken in groups of `size`, in order; the last ones, which fill no group, are left
    out. A tie counts as not found.

    Args:
      one: a vector for each sentence.
      other: of the partner of each, in the same order.
      size: how many there are to choose from; 1 / size is chance.

    Raises:
      ValueError: there are less than `size` rows, or they do not pair up.
    """
    if len(one) != len(other) or not 2 <= size <= len(one):
        raise ValueError(
            f"found {len(one)} and {len(other)} vectors, size {size}; as many of both, and a size "
            "from 2 to their number, would fit"
        )
    right = total = 0
    for start in range(0, len(one) - size + 1, size):
        alike = cosines(one[start : start + size], other[start : start + size])
        for found in (alike, alike.T):
            own = np.diag(found)
            right += int(((found >= own[:, None]).sum(1) == 1).sum())
            total += size
    return right / total


def nearest(
    query: Float[np.ndarray, " D"], vectors: Float[np.ndarray, "N D"], count: int = 5
) -> list[tuple[int, float]]:
    """The places of the vectors most like a query, best first, and their cosines."""
    found = cosines(query[None], vectors)[0]
    return [(int(place), float(found[place])) for place in np.argsort(-found)[:count]]


class _Texts(NamedTuple):
    tokens: Any
    types: Any


@functools.partial(jax.jit, static_argnums=0)
def _read(graph, params, tokens, types):
    model = nnx.merge(graph, params)
    hidden = model(tokens, types if model.config.types else None)
    return pooled(hidden, tokens != model.config.padding)
