"""Affine maps, layer normalisation and dropout against plain NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from attention_jax.functional.layers import dense, dropout, layer_norm, matches

DRAW = np.random.default_rng(0).normal


def test_dense_is_an_affine_map():
    x, kernel, bias = DRAW(size=(2, 3, 4)), DRAW(size=(4, 5)), DRAW(size=5)
    np.testing.assert_allclose(dense(x, kernel, bias), x @ kernel + bias, rtol=1e-5)
    np.testing.assert_allclose(dense(x[0, 0], kernel), x[0, 0] @ kernel, rtol=1e-5)


def test_dense_names_both_shapes():
    with pytest.raises(ValueError, match=r"\(2, 3\).*\(4, 5\)"):
        dense(jnp.ones((2, 3)), jnp.ones((4, 5)))


def test_layer_norm_matches_the_definition():
    x, scale, bias = DRAW(2, 3, size=(3, 4, 8)), DRAW(size=8), DRAW(size=8)
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    wanted = (x - mean) / np.sqrt(variance + 1e-6) * scale + bias
    np.testing.assert_allclose(layer_norm(x, scale, bias), wanted, atol=1e-5)


def test_layer_norm_gradients_are_the_numerical_ones():
    with jax.enable_x64(True):
        arguments = tuple(jnp.asarray(DRAW(size=size)) for size in ((2, 3, 8), 8, 8))
        check_grads(layer_norm, arguments, order=1, modes=["rev"])


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_layer_norm_accumulates_wide_and_keeps_the_dtype(dtype):
    x = jnp.full((2, 4_096), 60.0, dtype).at[:, ::2].set(30.0)
    output = layer_norm(x, jnp.ones(4_096), jnp.zeros(4_096))
    assert output.dtype == dtype
    np.testing.assert_allclose(np.abs(np.asarray(output, np.float32)), 1, atol=1e-2)


def test_dropout_keeps_the_mean_and_drops_the_rate():
    x = jnp.ones((400, 500))
    output = np.asarray(dropout(x, 0.3, jax.random.key(0)))
    assert (output == 0).mean() == pytest.approx(77 / 256, abs=3e-3)
    assert output.mean() == pytest.approx(1, abs=5e-3)
    np.testing.assert_allclose(output[output != 0], 256 / 179, rtol=1e-6)


# Of 4.5 standard deviations a test of true chance fails once in 150,000 runs; the seeds are fixed.
BOUND = 4.5


def kept(rng, rate, shape=(64, 32, 64)):
    return np.asarray(dropout(jnp.ones(shape), rate, rng)) != 0


@pytest.mark.parametrize("impl", ["rbg", "threefry2x32"])
@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_dropout_keeps_as_many_as_chance_in_every_row_and_feature(impl, rate):
    mask, p = kept(jax.random.key(3, impl=impl), rate), 1 - round(rate * 256) / 256
    deviation = (p * (1 - p)) ** 0.5
    assert abs(mask.mean() - p) < BOUND * deviation / mask.size**0.5
    for axes in ((1, 2), (0, 2), (0, 1)):  # the share kept of each row, position and feature
        counted = np.prod([mask.shape[axis] for axis in axes])
        standard = (mask.mean(axes) - p) / (deviation / counted**0.5)
        assert np.abs(standard).max() < BOUND
        # Σ z² of n independent ones has mean n and variance 2n.
        assert abs((standard**2).sum() - standard.size) < BOUND * (2 * standard.size) ** 0.5


@pytest.mark.parametrize("impl", ["rbg", "threefry2x32"])
def test_dropout_of_places_steps_and_neighbours_is_independent(impl):
    run = jax.random.key(5, impl=impl)
    steps = [jax.random.fold_in(run, step) for step in range(2)]
    places = [jax.random.split(step, 3) for step in steps]
    masks = [kept(place, 0.25) for step in places for place in step]
    one = masks[0].ravel()
    pairs = [(a.ravel(), b.ravel()) for i, a in enumerate(masks) for b in masks[:i]]
    pairs += [(one[:-lag], one[lag:]) for lag in (1, 2, 3, 4, 8, 16, 64, 2048)]
    for a, b in pairs:
        assert abs(np.corrcoef(a, b)[0, 1]) < BOUND / a.size**0.5


def test_dropout_without_rng_or_rate_changes_nothing():
    x = jnp.asarray(DRAW(size=(3, 4)))
    assert dropout(x, 0.5, None) is x
    assert dropout(x, 0.0, jax.random.key(0)) is x


@pytest.mark.parametrize("rate", [-0.1, 1.0])
def test_dropout_refuses_other_rates(rate):
    with pytest.raises(ValueError, match=f"rate is {rate}"):
        dropout(jnp.ones((2, 2)), rate, jax.random.key(0))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_matches_are_products_with_a_table_turned(dtype):
    x, table = (jnp.asarray(DRAW(size=size), dtype) for size in ((2, 3, 4), (5, 4)))
    wanted = np.asarray(x, np.float64) @ np.asarray(table, np.float64).T
    tolerance = 1e-5 if dtype == jnp.float32 else 2e-2
    found = matches(x, table)
    assert found.dtype == dtype
    np.testing.assert_allclose(np.asarray(found, np.float64), wanted, atol=tolerance * 4)
    one = np.asarray(matches(x[0, 0], table), np.float64)
    np.testing.assert_allclose(one, wanted[0, 0], atol=tolerance * 4)


def test_matches_names_both_shapes():
    with pytest.raises(ValueError, match=r"\(2, 3\).*\(5, 4\)"):
        matches(jnp.ones((2, 3)), jnp.ones((5, 4)))
