"""The convolutional encoder-decoder against the paper: its numbers, its field, its variance."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from attention_jax.models.convolutional import (
    Convolutional,
    ConvolutionalConfig,
    receptive_field,
)
from attention_jax.models.places import Place
from attention_jax.training.step import split
from tests.models import convolution_oracle

SMALL = ConvolutionalConfig(
    vocabulary=23, width=16, encoder_layers=2, decoder_layers=2, positions=12
)
VARIANTS = {
    "tied": replace(SMALL, tied=True),
    "small tokens": replace(SMALL, embedding=6, kernel=2),
}
SOURCE = np.array([[5, 6, 7, 8, 2], [9, 4, 2, 0, 0]], np.int32)
TARGET = np.array([[1, 11, 12, 13], [1, 14, 15, 3]], np.int32)


def build(config):
    """A model whose every parameter counts, biases too, and which nothing is compiled for."""
    graph, structs = split(nnx.eval_shape(lambda: Convolutional(config, rngs=nnx.Rngs(0))))
    random = np.random.default_rng(1)
    params = jax.tree.map(lambda x: np.float32(0.2 * random.normal(size=x.shape)), structs)
    return nnx.merge(graph, jax.tree.map(jnp.asarray, params))


@pytest.fixture(scope="module", params=VARIANTS.values(), ids=VARIANTS)
def model(request):
    return build(request.param)


def test_logits_and_weights_are_the_oracles(model):
    logits, weights = jax.jit(lambda s, t: model(s, t, explain=lambda _, w: w))(SOURCE, TARGET)
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), split(model)[1])
    for row, length in enumerate((5, 3)):
        wanted, read = convolution_oracle.logits(
            model.config, params, SOURCE[row, :length], TARGET[row]
        )
        np.testing.assert_allclose(logits[row], wanted, atol=3e-5)
        for layer, of_layer in enumerate(read):
            found = weights[Place("cross", layer)][row, 0]
            np.testing.assert_allclose(found[:, :length], of_layer, atol=1e-5)
            assert (found[:, length:] == 0).all()


def test_the_cache_holds_the_kernels_past_and_the_source_once(model):
    config, cache = model.config, nnx.eval_shape(lambda: model.start(SOURCE, 3))
    assert len(cache.windows) == config.decoder_layers
    assert all(w.shape == (2, config.kernel - 1, config.width) for w in cache.windows)
    assert cache.keys.shape == cache.values.shape == (2, 5, 1, config.size_of_token)


@pytest.mark.parametrize("kernel, layers", [(3, 2), (2, 3), (1, 1)])
def test_gradients_reach_as_far_as_the_receptive_field(kernel, layers):
    config = replace(SMALL, kernel=kernel, encoder_layers=layers, decoder_layers=layers)
    source = np.arange(3, 14, dtype=np.int32)[None]
    target = np.full((1, 9), 4, np.int32)
    graph, params = split(build(replace(config, positions=11)))

    def reached(name, give):
        """Which positions' rows one output depends on: each position has a row of its own."""

        def total(rows):
            return give(nnx.merge(graph, {**params, name: rows})).sum()

        return np.flatnonzero(jnp.abs(jax.jit(jax.grad(total))(params[name])).sum(-1))

    field, middle = receptive_field(config, "encoder"), 5
    seen = reached("source_positions", lambda model: model.start(source, 1).keys[:, middle])
    first = middle - layers * ((kernel - 1) // 2)
    np.testing.assert_array_equal(seen, np.arange(first, first + field))

    field, last = receptive_field(config, "decoder"), 8
    seen = reached("target_positions", lambda model: model(source, target)[:, last])
    np.testing.assert_array_equal(seen, np.arange(last + 1 - field, last + 1))


def test_the_receptive_field_of_each_layer():
    config = replace(SMALL, encoder_layers=4, decoder_layers=3, kernel=5)
    assert [receptive_field(config, layer=n) for n in range(4)] == [5, 9, 13, 17]
    assert receptive_field(config) == 17 and receptive_field(config, "decoder") == 13
    # Section 3.2: "stacking 6 blocks with k = 5 results in an input field of 25 elements".
    assert receptive_field(replace(config, encoder_layers=6)) == 25
    with pytest.raises(ValueError, match="layer is 3; 0 to 2 would fit the decoder"):
        receptive_field(config, "decoder", 3)
    with pytest.raises(ValueError, match="part is 'cross'"):
        receptive_field(config, "cross")


def test_a_fresh_stack_keeps_the_variance_of_its_inputs():
    config = replace(SMALL, width=64, encoder_layers=6, positions=64, dropout=0.0)
    source = jax.random.randint(jax.random.key(0), (4, 64), 3, 23)
    memory = jax.jit(lambda: Convolutional(config, rngs=nnx.Rngs(0)).start(source, 1))()
    assert 0.4 < jnp.var(memory.keys) / jnp.var(memory.values - memory.keys) < 2.5


def test_texts_longer_than_the_positions_are_refused():
    model, long = build(SMALL), np.full((1, 13), 5, np.int32)
    for call in (lambda: model(long, TARGET[:1]), lambda: model.start(long, 3)):
        with pytest.raises(ValueError, match="the source has 13 positions and the model 12"):
            call()
    for call in (lambda: model(SOURCE[:1], long), lambda: model.start(SOURCE, 13)):
        with pytest.raises(ValueError, match="target has 13 .* positions=13 or more would fit"):
            call()
