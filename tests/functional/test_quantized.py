"""Eight-bit matrices against integer arithmetic in NumPy."""

import jax.numpy as jnp
import numpy as np
import pytest

from attention_jax.functional.layers import dense, matches
from attention_jax.functional.quantized import matched, product, quantize

X = np.random.default_rng(0).normal(size=(3, 5, 16)).astype(np.float32)
KERNEL = np.random.default_rng(1).normal(size=(16, 7)).astype(np.float32)


def by_hand(x, matrix):
    """Rows times columns, both rounded to eight bits with a scale each, in int64 and float64."""
    rows = x.reshape(-1, x.shape[-1]).astype(np.float64)
    x_scale = np.abs(rows).max(1, keepdims=True) / 127
    scale = np.abs(matrix.astype(np.float64)).max(0, keepdims=True) / 127
    left, right = np.rint(rows / x_scale).astype(np.int64), np.rint(matrix / scale).astype(np.int64)
    return ((left @ right) * x_scale * scale).reshape(*x.shape[:-1], -1)


def test_is_a_product_of_integers():
    wanted = by_hand(X, KERNEL)
    # A number that lies half-way may be rounded either way in float32 and float64.
    step = np.abs(X).max() / 127 * np.abs(KERNEL).max()
    np.testing.assert_allclose(product(X, quantize(KERNEL, 0)), wanted, atol=step)
    assert np.median(np.abs(product(X, quantize(KERNEL, 0)) - wanted)) < 1e-5
    np.testing.assert_allclose(matched(X, quantize(KERNEL.T, 1)), wanted, atol=step)


def test_rounds_by_half_a_step_at_most():
    found = quantize(KERNEL, 0)
    assert found.values.dtype == jnp.int8 and found.shape == KERNEL.shape
    assert found.dtype == jnp.float32
    off = np.abs(np.asarray(found.values * found.scale) - KERNEL)
    assert (off <= np.asarray(found.scale) / 2 * (1 + 1e-5)).all()
    assert np.abs(found.values).max(0).tolist() == [127] * 7
    rows = quantize(KERNEL, 1)
    np.testing.assert_allclose(rows[jnp.array([2, 0])], KERNEL[[2, 0]], atol=rows.scale.max() / 2)
    assert rows[...] is rows


def test_modules_take_it_where_they_take_floats():
    bias = np.linspace(-1, 1, 7, dtype=np.float32)
    exact = X @ KERNEL + bias
    off = np.abs(dense(X, quantize(KERNEL, 0), bias) - exact).max()
    assert 1e-4 < off < 0.02 * np.abs(exact).max() + 0.1
    np.testing.assert_array_equal(matches(X, quantize(KERNEL.T, 1)), dense(X, quantize(KERNEL, 0)))
    assert dense(X.astype(jnp.bfloat16), quantize(KERNEL, 0)).dtype == jnp.bfloat16


def test_zeros_stay_zeros_and_nan_stays_nan():
    x = X.copy()
    x[0, 0], x[1, 1, 3] = 0, np.nan
    kernel = KERNEL.copy()
    kernel[:, 2] = 0
    found = np.asarray(product(x, quantize(kernel, 0)))
    assert not found[0, 0].any() and not found[0, :, 2].any()
    assert np.isnan(found[1, 1]).all() and np.isfinite(found[1, 0]).all()


def test_what_it_refuses():
    with pytest.raises(ValueError, match=r"scale has shape \(1, 7\) gives no rows"):
        quantize(KERNEL, 0)[jnp.array([1])]
    with pytest.raises(ValueError, match="features"):
        dense(X[..., :3], quantize(KERNEL, 0))
    with pytest.raises(ValueError, match="features"):
        matches(X[..., :3], quantize(KERNEL.T, 1))
