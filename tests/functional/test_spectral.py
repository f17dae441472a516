"""The spectral norm against NumPy's singular values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attention_jax.functional.spectral import spectral_norm, spectrally_normalized

norm = jax.jit(spectral_norm)


def drawn(*shape):
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("shape", [(24, 8), (8, 24), (3, 3, 4, 6), (5, 1), (1, 5), (1, 1)])
def test_it_is_the_largest_singular_value(shape):
    kernel = drawn(*shape)
    flat = np.float64(kernel).reshape(-1, shape[-1])
    largest = np.linalg.svd(flat, compute_uv=False)[0]
    found = float(norm(kernel))
    assert found <= largest * (1 + 1e-5)
    np.testing.assert_allclose(found, largest, rtol=0.01)
    np.testing.assert_allclose(float(spectral_norm(kernel, squarings=9)), largest, rtol=2e-5)
    normalized = np.asarray(spectrally_normalized(kernel)).reshape(flat.shape)
    np.testing.assert_allclose(np.linalg.svd(normalized, compute_uv=False)[0], 1, rtol=0.01)


def test_more_squarings_come_nearer():
    kernel = drawn(40, 40)
    found = [float(spectral_norm(kernel, squarings=n)) for n in range(7)]
    assert found == sorted(found) and found[0] < 0.95 * found[-1]


def test_the_gradient_is_the_two_singular_vectors():
    # Two singular values far apart: the iteration has long ended.
    u, v = (np.linalg.qr(drawn(n, 3))[0] for n in (7, 5))
    kernel = (u * np.array([3.0, 1.0, 0.5])) @ v.T
    slope = jax.grad(spectral_norm)(jnp.float32(kernel))
    np.testing.assert_allclose(slope, np.outer(u[:, 0], v[:, 0]), atol=1e-5)
    scaled = jax.grad(lambda k: spectrally_normalized(k)[0, 0])(jnp.float32(kernel))
    # What is divided by its norm does not change along itself.
    np.testing.assert_allclose((scaled * kernel).sum(), 0, atol=1e-5)


@pytest.mark.parametrize("size", [1e-12, 1e12])
def test_small_and_large_kernels(size):
    kernel = drawn(6, 4)
    np.testing.assert_allclose(
        float(norm(kernel * np.float32(size))), size * float(norm(kernel)), rtol=1e-4
    )


def test_zeros_stay_zeros_with_finite_gradients():
    zeros = jnp.zeros((3, 4))
    assert float(norm(zeros)) == 0
    assert not np.asarray(spectrally_normalized(zeros)).any()
    slope = jax.grad(lambda k: spectrally_normalized(k).sum())(zeros)
    assert np.isfinite(slope).all()


def test_half_precision_keeps_its_dtype():
    kernel = jnp.asarray(drawn(6, 4), jnp.bfloat16)
    assert spectral_norm(kernel).dtype == jnp.float32
    assert spectrally_normalized(kernel).dtype == jnp.bfloat16


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"kernel has shape \[3\]"):
        spectral_norm(jnp.ones(3))
    with pytest.raises(ValueError, match="squarings is -1"):
        spectral_norm(jnp.ones((2, 2)), squarings=-1)
