"""Vectors of sentences, and who finds whom."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from attention_jax.analysis.similar_sentences import (
    bags_of_words,
    centred,
    cosines,
    found_among,
    nearest,
    sentence_vectors,
)
from attention_jax.models.encoder_only import EncoderOnly, EncoderOnlyConfig
from attention_jax.training.step import split

DRAW = np.random.default_rng(0)


def test_a_vector_is_the_mean_over_real_tokens():
    config = EncoderOnlyConfig(
        vocabulary=23, width=8, layers=1, heads=2, feed_forward=12, context=9, epsilon=1e-6
    )
    graph, shapes = split(nnx.eval_shape(lambda: EncoderOnly(config, rngs=nnx.Rngs(0))))
    params = jax.tree.map(lambda x: jnp.asarray(DRAW.normal(0, 0.3, x.shape), x.dtype), shapes)
    model = nnx.merge(graph, params)
    tokens = np.array([[5, 6, 2, 0], [9, 4, 7, 2], [3, 2, 0, 0]], np.int32)
    types = np.zeros_like(tokens)
    found = sentence_vectors(model, tokens, types)
    hidden = np.asarray(jax.jit(lambda params: nnx.merge(graph, params)(tokens))(params))
    for row, size in enumerate((3, 4, 2)):
        np.testing.assert_allclose(found[row], hidden[row, :size].mean(0), atol=1e-5)
    longer = sentence_vectors(
        model, np.pad(tokens, ((0, 0), (0, 3))), np.pad(types, ((0, 0), (0, 3)))
    )
    np.testing.assert_allclose(longer, found, atol=1e-5)
    table = DRAW.normal(size=(23, 8))
    bags = bags_of_words(table, tokens)
    np.testing.assert_allclose(bags[2], table[[3, 2]].mean(0))


def test_cosines_and_neighbours():
    one = np.array([[3.0, 4.0], [0.0, 0.0]])
    other = np.array([[4.0, 3.0], [-3.0, -4.0], [6.0, 8.0]])
    np.testing.assert_allclose(cosines(one, other), [[0.96, -1, 1], [0, 0, 0]], atol=1e-12)
    assert [place for place, _ in nearest(one[0], other, 2)] == [2, 0]
    np.testing.assert_allclose(centred(other).mean(0), 0, atol=1e-12)


def test_partners_are_found_by_chance_or_always_or_as_counted():
    vectors = DRAW.normal(size=(205, 16))
    assert found_among(vectors, 2 * vectors, 100) == 1
    assert found_among(vectors, np.zeros_like(vectors), 100) == 0  # all tie
    strangers = found_among(vectors, DRAW.normal(size=vectors.shape), 5)
    assert 0.1 < strangers < 0.3
    # 0 and 1 find each other's partner, 2 its own, in both directions.
    three = np.eye(3)
    np.testing.assert_allclose(found_among(three, three[[1, 0, 2]], 3), 1 / 3)
    for size in (1, 4):
        with pytest.raises(ValueError, match="a size from 2 to their number"):
            found_among(three, three, size)
