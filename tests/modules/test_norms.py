"""RMS normalisation against its equation."""

import jax
import jax.numpy as jnp
import numpy as np

from attention_jax.modules import RMSNorm

X = np.random.default_rng(0).normal(size=(2, 5, 12)) * np.logspace(-2, 2, 5)[:, None]


def test_agrees_with_the_equation():
    norm = RMSNorm(12)
    norm.scale[...] = jnp.arange(12.0)
    wanted = X / np.sqrt((X**2).mean(-1, keepdims=True) + 1e-6) * np.arange(12)
    np.testing.assert_allclose(norm(X.astype(np.float32)), wanted, rtol=1e-5, atol=1e-5)


def test_rows_come_out_with_a_root_mean_square_of_one_in_their_dtype():
    for dtype in (jnp.float32, jnp.bfloat16, jnp.float16):
        found = RMSNorm(12)(jnp.asarray(100 * X, dtype))
        assert found.dtype == dtype
        size = np.sqrt(np.square(np.asarray(found, np.float64)).mean(-1))
        np.testing.assert_allclose(size, 1, rtol=1e-2)


def test_a_row_of_zeros_stays_zero_with_a_finite_gradient():
    norm = RMSNorm(12)
    np.testing.assert_array_equal(norm(jnp.zeros((1, 12))), 0)
    assert jnp.isfinite(jax.grad(lambda x: norm(x).sum())(jnp.zeros((1, 12)))).all()
