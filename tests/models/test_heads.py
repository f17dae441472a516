"""Heads of a model: named, looked at, changed, and of different number in every layer."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from attention_jax.functional import scaled_dot
from attention_jax.models.places import PARTS, Head, Place
from attention_jax.models.transformer import Transformer, TransformerConfig
from attention_jax.training.step import split

SMALL = TransformerConfig(
    vocabulary=23, width=16, encoder_layers=2, decoder_layers=2, heads=4, feed_forward=24
)
UNEQUAL = replace(SMALL, encoder_heads=(4, 0), decoder_heads=(2, 2), cross_heads=(1, 3))
SOURCE = np.array([[5, 6, 7, 8, 2], [9, 4, 2, 0, 0]], np.int32)
TARGET = np.array([[1, 11, 12, 13], [1, 14, 15, 3]], np.int32)


def build(config):
    return Transformer(config, rngs=nnx.Rngs(0))


def test_every_place_and_head_has_a_name():
    assert SMALL.places() == [Place(part, layer) for part in PARTS for layer in (0, 1)]
    assert len(SMALL.every_head()) == 6 * 4
    counts = [UNEQUAL.heads_at(place) for place in UNEQUAL.places()]
    assert counts == [4, 0, 2, 2, 1, 3]
    assert UNEQUAL.every_head()[-1] == Head("cross", 1, 2)
    assert str(Head("cross", 1, 2)) == "cross layer 2 head 3"
    assert Head("cross", 1, 2).place == Place("cross", 1)


def test_a_function_sees_the_weights_of_every_place_and_keeps_what_it_will():
    model = build(SMALL)
    logits, weights = model(SOURCE, TARGET, explain=True)
    same, found = model(SOURCE, TARGET, explain=lambda place, weights: weights.max(-1))
    np.testing.assert_array_equal(logits, same)
    assert sorted(found) == sorted(SMALL.places())
    for (part, layer), largest in found.items():
        np.testing.assert_array_equal(largest, getattr(weights, part)[layer].max(-1))


def test_heads_that_are_given_back_as_they_were_change_nothing():
    model, seen = build(SMALL), {}

    def look(place, outputs):
        seen[place] = outputs.shape
        return outputs

    np.testing.assert_array_equal(model(SOURCE, TARGET, heads=look), model(SOURCE, TARGET))
    assert seen[Place("encoder", 0)] == (2, 5, 4, 4) and seen[Place("cross", 1)] == (2, 4, 4, 4)
    assert len(seen) == 6


def test_a_silenced_head_is_one_without_output_rows():
    graph, params = split(build(SMALL))
    head = Head("cross", 1, 2)

    def silence(place, outputs):
        gates = jnp.ones(4).at[head.head].set(0) if place == head.place else jnp.ones(4)
        return outputs * gates.reshape(1, 1, 4, 1)

    silenced = nnx.merge(graph, params)(SOURCE, TARGET, heads=silence)
    kernel = params["decoder"][1]["cross"]["output"]["kernel"]
    params["decoder"][1]["cross"]["output"]["kernel"] = kernel.at[8:12].set(0)
    np.testing.assert_allclose(nnx.merge(graph, params)(SOURCE, TARGET), silenced, atol=1e-6)
    assert not np.allclose(silenced, build(SMALL)(SOURCE, TARGET), atol=1e-3)


def test_the_score_is_that_of_all_attentions():
    model = build(SMALL)
    spread = partial(scaled_dot, scale=0.0)
    _, found = model(SOURCE, TARGET, explain=lambda _, weights: weights, score=spread)
    np.testing.assert_allclose(found["encoder", 1][0], 0.2, rtol=1e-6)
    np.testing.assert_allclose(found["decoder", 0][:, :, 1, :2], 0.5, rtol=1e-6)
    assert not np.allclose(model(SOURCE, TARGET, score=spread), model(SOURCE, TARGET), atol=1e-3)


def test_layers_may_have_different_numbers_of_heads():
    model = build(UNEQUAL)
    params = split(model)[1]
    assert "attention" not in params["encoder"][1]  # not a single array
    assert params["decoder"][1]["cross"]["query"]["kernel"].shape == (16, 12)
    assert params["decoder"][0]["cross"]["output"]["kernel"].shape == (4, 16)
    whole, found = model(SOURCE, TARGET, explain=lambda _, weights: weights.shape)
    assert found["encoder", 1] == (2, 0, 5, 5) and found["cross", 1] == (2, 3, 4, 5)
    cache = model.start(SOURCE, 4)
    for t in range(4):
        logits, cache = model.step(cache, TARGET[:, t])
        np.testing.assert_allclose(logits, whole[:, t], atol=2e-5)
    with pytest.raises(ValueError, match="encoder layers have 4, 0 heads"):
        model(SOURCE, TARGET, explain=True)


def test_an_attention_without_heads_gives_its_bias():
    model = build(replace(UNEQUAL, output_bias=True))
    attention = model.encoder[1].attention
    attention.bias[...] = jnp.arange(16.0)
    x = jnp.ones((2, 3, 16))
    np.testing.assert_array_equal(attention(x, x), np.broadcast_to(np.arange(16.0), (2, 3, 16)))
    np.testing.assert_array_equal(build(UNEQUAL).encoder[1].attention(x, x), np.zeros((2, 3, 16)))


@pytest.mark.slow
def test_unequal_heads_learn():
    graph, params = split(build(UNEQUAL))

    def total(params):
        return jax.nn.log_softmax(nnx.merge(graph, params)(SOURCE, TARGET))[..., 3].sum()

    slopes = jax.grad(total)(params)
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(slopes))
    assert jnp.abs(slopes["decoder"][1]["cross"]["query"]["kernel"]).max() > 0
