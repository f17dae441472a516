import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attention_jax.functional import rotary, scaled_dot, sinusoidal

X = np.random.default_rng(0).normal(size=(2, 5, 3, 8)).astype(np.float32)


def test_sinusoidal_is_the_formula():
    found = sinusoidal(6, 8)
    assert found.dtype == jnp.float32
    for t in range(6):
        for i in range(4):
            angle = t / 10_000 ** (2 * i / 8)
            wanted = [np.sin(angle), np.cos(angle)]
            np.testing.assert_allclose(found[t, 2 * i : 2 * i + 2], wanted, atol=1e-6)


def test_sinusoidal_keeps_its_dtype_with_x64_on():
    with jax.enable_x64(True):
        assert sinusoidal(3, 4).dtype == jnp.float32
        assert sinusoidal(3, 4, dtype=jnp.float64).dtype == jnp.float64


def test_sinusoidal_products_depend_on_distance_alone():
    table = np.asarray(sinusoidal(50, 16), np.float64)
    products = table @ table.T
    np.testing.assert_allclose(products[3, 10], products[33, 40], atol=1e-4)


def test_rotary_is_the_formula():
    positions = np.array([0, 1, 5, 9, 2])
    found = np.asarray(rotary(X, positions))
    for t, position in enumerate(positions):
        for i in range(4):
            angle = position / 10_000 ** (2 * i / 8)
            turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
            pair = X[:, t, :, [i, i + 4]]  # [2 of the pair, B, H]
            wanted = np.einsum("pq,qbh->pbh", turn, pair)
            np.testing.assert_allclose(found[:, t, :, [i, i + 4]], wanted, atol=1e-5)


def test_rotary_keeps_lengths_and_dtype():
    turned = rotary(X, jnp.arange(5))
    np.testing.assert_allclose(
        np.linalg.norm(turned, axis=-1), np.linalg.norm(X, axis=-1), rtol=1e-5
    )
    assert rotary(X.astype(jnp.bfloat16), jnp.arange(5)).dtype == jnp.bfloat16


def test_rotary_scores_depend_on_distance_alone():
    near = scaled_dot(rotary(X, jnp.arange(5)), rotary(X, jnp.arange(5)))
    far = scaled_dot(rotary(X, jnp.arange(5) + 40), rotary(X, jnp.arange(5) + 40))
    np.testing.assert_allclose(near, far, atol=1e-4)


def test_rotary_positions_for_each_row_of_the_batch():
    positions = jnp.array([[0, 1, 2, 3, 4], [3, 4, 5, 6, 7]])
    found = jax.jit(rotary)(X, positions)
    for row in range(2):
        np.testing.assert_allclose(found[row], rotary(X[row], positions[row]), atol=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: sinusoidal(4, 7), "width is 7; wanted an even number"),
        (lambda: sinusoidal(-1, 8), "length=-1"),
        (lambda: sinusoidal(4, 8, base=0.0), "base=0.0; wanted a number above zero"),
        (lambda: rotary(X[..., :7], jnp.arange(5)), "K, the last axis of x, is 7"),
        (lambda: rotary(X, jnp.arange(4)), r"positions has shape \[4\], wanted \[T\]"),
        (lambda: rotary(X, jnp.zeros((3, 5), int)), r"positions has shape \[3, 5\]"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
