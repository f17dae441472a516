"""The smoothed cross-entropy against its definition, and where it must not break."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from attention_jax.data.batches import Batch
from attention_jax.models.transformer import Transformer, TransformerConfig
from attention_jax.training.loss import smoothed_cross_entropy
from attention_jax.training.step import initial_state, make_train_step, split

DRAW = np.random.default_rng(0)
LOGITS = DRAW.normal(size=(2, 3, 7)).astype(np.float32)
LABELS = DRAW.integers(0, 7, (2, 3))
WEIGHTS = np.array([[1, 1, 0], [1, 0, 0]], np.float32)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
def test_agrees_with_optax_on_smoothed_labels(smoothing):
    targets = optax.smooth_labels(jax.nn.one_hot(LABELS, 7), smoothing)
    wanted = (optax.softmax_cross_entropy(LOGITS, targets) * WEIGHTS).sum()
    plain = optax.softmax_cross_entropy_with_integer_labels(LOGITS, LABELS) * WEIGHTS
    found = smoothed_cross_entropy(LOGITS, LABELS, WEIGHTS, smoothing=smoothing)
    np.testing.assert_allclose(found.loss, wanted, rtol=1e-5)
    np.testing.assert_allclose(found.nll, plain.sum(), rtol=1e-5)
    assert found.tokens == 3


def test_gradient_is_softmax_minus_labels():
    def total(logits):
        return smoothed_cross_entropy(logits, LABELS, WEIGHTS, smoothing=0.1).loss

    targets = optax.smooth_labels(jax.nn.one_hot(LABELS, 7), 0.1)
    wanted = (jax.nn.softmax(LOGITS) - targets) * WEIGHTS[..., None]
    np.testing.assert_allclose(jax.grad(total)(LOGITS), wanted, atol=1e-6)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
def test_padding_only_is_zero_with_zero_gradient(dtype):
    def total(logits):
        return smoothed_cross_entropy(logits, LABELS, np.zeros_like(WEIGHTS), smoothing=0.1).loss

    value, gradient = jax.value_and_grad(total)(jnp.asarray(LOGITS, dtype))
    assert value == 0
    assert (gradient == 0).all()


@pytest.mark.parametrize("dtype", [jnp.float16, pytest.param(jnp.bfloat16, marks=pytest.mark.slow)])
def test_a_half_precision_step_on_padding_only_changes_nothing(dtype):
    config = TransformerConfig(
        vocabulary=11, width=8, encoder_layers=1, decoder_layers=1, heads=2, feed_forward=8
    )
    optimizer = optax.sgd(1.0)

    def start():
        state = initial_state(lambda rngs: Transformer(config, rngs=rngs), optimizer, 0)
        return state._replace(params=jax.tree.map(lambda x: x.astype(dtype), state.params))

    graph, _ = split(nnx.eval_shape(lambda: Transformer(config, rngs=nnx.Rngs(0))))
    empty = np.zeros((2, 3), np.int32)
    batch = Batch(empty, empty, empty, np.zeros((2, 3), np.float32))
    state, metrics = make_train_step(graph, optimizer, smoothing=0.1)(start(), batch)
    assert metrics.loss == metrics.nll == metrics.tokens == metrics.gradient_norm == 0
    jax.tree.map(np.testing.assert_array_equal, state.params, start().params)


def test_what_padding_holds_changes_nothing():
    spoiled = LOGITS.copy()
    spoiled[WEIGHTS == 0] = np.nan
    found = smoothed_cross_entropy(jnp.asarray(spoiled), LABELS, WEIGHTS, smoothing=0.1)
    np.testing.assert_allclose(
        found.loss, smoothed_cross_entropy(LOGITS, LABELS, WEIGHTS, smoothing=0.1).loss
    )


def test_large_half_precision_logits_stay_finite():
    logits = jnp.asarray(LOGITS * 1e4, jnp.float16)
    found = smoothed_cross_entropy(logits, LABELS, WEIGHTS)
    assert np.isfinite(found.loss) and found.loss.dtype == jnp.float32


def test_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match=r"\(2, 3, 7\).*\(2, 2\)"):
        smoothed_cross_entropy(LOGITS, LABELS[:, :2], WEIGHTS)
    with pytest.raises(ValueError, match="smoothing is 1"):
        smoothed_cross_entropy(LOGITS, LABELS, WEIGHTS, smoothing=1)
