import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from attention_jax.functional import Causal, softmax

LOGITS = np.random.default_rng(0).normal(size=(2, 3, 4, 5))
MASK = np.random.default_rng(1).random((2, 1, 4, 5)) < 0.6
MASK[0, 0, 1] = False


@pytest.mark.parametrize("mask", [None, MASK], ids=["all seen", "masked"])
def test_gradient_is_right_to_the_second_order(mask):
    with jax.enable_x64(True):
        check_grads(lambda logits: softmax(logits, mask), (LOGITS,), order=2)


def test_equals_jax_where_rows_see_something():
    mask = MASK | (np.arange(5) == 0)
    np.testing.assert_allclose(
        softmax(LOGITS.astype(np.float32), mask),
        jax.nn.softmax(LOGITS.astype(np.float32), where=mask),
        rtol=1e-6,
        atol=1e-7,
    )


def test_takes_mask_objects():
    logits = LOGITS.astype(np.float32)
    array = Causal().array(4, 5)[None, None]
    np.testing.assert_array_equal(softmax(logits, Causal()), softmax(logits, array))


@pytest.mark.parametrize("hidden", [np.nan, np.inf, -np.inf, 3e38])
def test_masked_logits_influence_nothing(hidden):
    logits = jnp.asarray(LOGITS, jnp.float32)
    spoilt = jnp.where(MASK, logits, hidden)

    def loss(logits):
        weights = softmax(logits, MASK)
        return jnp.sum(weights**2), weights

    found, weights = jax.grad(loss, has_aux=True)(spoilt)
    wanted, clean = jax.grad(loss, has_aux=True)(logits)
    np.testing.assert_array_equal(weights, clean)
    np.testing.assert_array_equal(found, wanted)
    assert (np.asarray(found)[~np.broadcast_to(MASK, found.shape)] == 0).all()


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
def test_rows_with_nothing_to_see_are_zero_with_zero_gradient(dtype):
    logits = jnp.full((1, 1, 2, 3), -jnp.inf, dtype)
    for mask in (None, np.zeros((1, 1, 1, 1), bool)):
        weights, gradient = jax.value_and_grad(lambda x, m=mask: softmax(x, m).sum())(logits)
        assert weights == 0
        assert (gradient == 0).all()


def test_extreme_logits():
    huge = np.array([[[[3e38, -3e38, -3e38], [-3e38, -3e38, -3e38]]]], np.float32)
    third = 1 / np.float32(3)
    np.testing.assert_allclose(softmax(huge)[0, 0], [[1, 0, 0], [third, third, third]], rtol=1e-6)
    assert np.isnan(softmax(jnp.array([[[[jnp.nan, 0.0]]]]))).all()


def test_short_floats_sum_in_float32():
    weights = softmax(jnp.zeros((1, 1, 1, 4096), jnp.bfloat16))
    assert weights.dtype == jnp.float32
    assert weights.sum() == 1


def test_no_sources():
    assert softmax(jnp.zeros((1, 2, 3, 0))).shape == (1, 2, 3, 0)
