"""The smoothed cross-entropy against its definition, and where it must not break."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from attention_jax.training.loss import smoothed_cross_entropy

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


def test_padding_only_is_zero_with_zero_gradient():
    def total(logits):
        return smoothed_cross_entropy(logits, LABELS, np.zeros_like(WEIGHTS)).loss

    value, gradient = jax.value_and_grad(total)(LOGITS)
    assert value == 0
    assert (gradient == 0).all()


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
