"""Marian and T5 against NumPy; what they promise as models that translate is in `test_family`."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from attention_jax.models.marian import Marian, MarianConfig
from attention_jax.models.t5 import T5, T5Config
from attention_jax.training.step import split
from tests.models import encoder_decoder_oracle

MARIAN = MarianConfig(
    vocabulary=23,
    width=16,
    encoder_layers=2,
    decoder_layers=1,
    encoder_heads=4,
    decoder_heads=2,
    encoder_feed_forward=24,
    decoder_feed_forward=20,
    padding=22,
)
SMALL = T5Config(
    vocabulary=23,
    width=16,
    encoder_layers=1,
    decoder_layers=2,
    heads=3,
    head_size=4,
    feed_forward=24,
    buckets=6,
    max_distance=4,
    epsilon=1e-3,
)
VARIANTS = {
    "marian": MARIAN,
    "marian, two tables": replace(
        MARIAN, tied=False, scaled=False, target_vocabulary=19, activation="gelu"
    ),
    "t5": SMALL,
    "t5, 1.1": replace(
        SMALL, tied=False, scaled=False, activation="gated_gelu", buckets=32, max_distance=40
    ),
}
SOURCE = np.array([[5, 6, 7, 8, 2, 3], [9, 4, 2, -1, -1, -1]], np.int32)
TARGET = np.array([[1, 11, 12, 13, 0, 2, 3], [0, 14, 15, 3, 9, 9, 9]], np.int32)


def made(config, seed=0):
    """A model whose every parameter matters."""
    kind = Marian if isinstance(config, MarianConfig) else T5
    graph, shapes = split(nnx.eval_shape(lambda: kind(config, rngs=nnx.Rngs(0))))
    draw = np.random.default_rng(seed).normal
    params = jax.tree.map(lambda x: jnp.float32(draw(0, 0.3, x.shape)), shapes)
    return nnx.merge(graph, params), params


@pytest.mark.parametrize("name", VARIANTS)
def test_agrees_with_numpy(name):
    config = VARIANTS[name]
    model, params = made(config)
    source = np.where(SOURCE < 0, config.padding, SOURCE)
    call = jax.jit(lambda source, target: model(source, target, explain=True))
    logits, found = call(source, TARGET)
    assert set(found) == set(config.places())
    oracle = getattr(encoder_decoder_oracle, config.kind)
    for row in range(2):
        real = source[row][source[row] != config.padding]
        wanted, weights = oracle(config, params, real, TARGET[row])
        np.testing.assert_allclose(logits[row], wanted, atol=5e-5)
        for place, one in found.items():
            share = weights[place]
            assert one.shape[1] == config.heads_at(place)
            ours = one[row][:, : share.shape[1], : share.shape[2]]
            np.testing.assert_allclose(ours, share, atol=1e-5)
            assert not one[row][..., share.shape[2] :].any()  # no padding is seen


@pytest.mark.parametrize(
    ("config", "change", "words"),
    [
        (MARIAN, {"encoder_heads": 3}, "encoder_heads is 3; it must divide width, 16"),
        (MARIAN, {"decoder_heads": 0}, "decoder_heads is 0"),
        (MARIAN, {"width": 15, "encoder_heads": 1, "decoder_heads": 1}, "width is 15; sinus"),
        (MARIAN, {"target_vocabulary": 9}, "target_vocabulary is 9; None would fit, as there"),
        (MARIAN, {"padding": 23}, "padding is 23; a token from 0 to 22"),
        (MARIAN, {"activation": "tanh"}, "activation is 'tanh'; one of"),
        (MARIAN, {"dropout": 1.0}, "dropout is 1.0"),
        (MARIAN, {"decoder_feed_forward": 0}, "decoder_feed_forward is 0"),
        (SMALL, {"buckets": 5}, "buckets is 5; an even number, 4 or more"),
        (SMALL, {"max_distance": 3}, "max_distance is 3; more than 3 would fit"),
        (SMALL, {"padding": -1}, "padding is -1"),
        (SMALL, {"epsilon": 0.0}, "epsilon is 0.0; a number between"),
        (SMALL, {"activation": "gated"}, "activation is 'gated'"),
        (SMALL, {"head_size": 0}, "head_size is 0"),
        (SMALL, {"dropout": -0.1}, "dropout is -0.1"),
    ],
)
def test_sizes_that_no_model_can_have_are_refused(config, change, words):
    with pytest.raises(ValueError, match=words):
        replace(config, **change)
