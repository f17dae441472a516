"""Linear CKA from sums against the same from whole matrices."""

import jax.numpy as jnp
import numpy as np
import pytest

from attention_jax.analysis.similarity import Scatter, linear_cka, scatter

BATCH, LENGTH, HEADS, SIZE = 4, 6, 3, 5


@pytest.fixture(scope="module")
def outputs():
    """Heads of which the third is a mixture of the first and noise, around a far mean."""
    chance = np.random.default_rng(0)
    x = chance.normal(0, 1, (BATCH, LENGTH, HEADS, SIZE))
    x[:, :, 2] = x[:, :, 0] @ chance.normal(0, 1, (SIZE, SIZE)) + 0.5 * x[:, :, 2]
    return (x + 3).astype(np.float32)


@pytest.fixture(scope="module")
def queries():
    return np.arange(LENGTH)[None] < np.array([6, 4, 1, 5])[:, None]


def direct(one, other):
    """‖YᵀX‖² / (‖XᵀX‖ ‖YᵀY‖) of two matrices with a row an example."""
    one, other = (side.astype(np.float64) - side.mean(0, dtype=np.float64) for side in (one, other))
    norms = (np.linalg.norm(side.T @ side) for side in (one, other))
    return np.linalg.norm(other.T @ one) ** 2 / np.prod(list(norms))


def on_host(moments):
    return Scatter(*(np.asarray(field, np.float64) for field in moments))


def test_cka_is_that_of_whole_matrices(outputs, queries):
    rows = outputs[queries]
    got = linear_cka(scatter(jnp.asarray(outputs), queries), HEADS)
    for i in range(HEADS):
        for j in range(HEADS):
            assert got[i, j] == pytest.approx(direct(rows[:, i], rows[:, j]), abs=1e-5)
    assert got[0, 2] > got[0, 1]


def test_batches_join_to_the_whole(outputs, queries):
    parts = [
        on_host(scatter(jnp.asarray(outputs[b : b + 1]), queries[b : b + 1])) for b in range(4)
    ]
    whole = parts[0].joined(parts[1]).joined(parts[2]).joined(parts[3])
    rows = outputs[queries].reshape(-1, HEADS * SIZE).astype(np.float64)
    assert whole.rows == len(rows)
    np.testing.assert_allclose(whole.mean, rows.mean(0), rtol=1e-6)
    wanted = (rows - rows.mean(0)).T @ (rows - rows.mean(0))
    np.testing.assert_allclose(whole.products, wanted, rtol=1e-4, atol=1e-4)


def test_batches_without_rows_add_nothing(outputs, queries):
    one = on_host(scatter(jnp.asarray(outputs), queries))
    none = on_host(scatter(jnp.asarray(outputs), np.zeros_like(queries)))
    for joined in (one.joined(none), none.joined(one)):
        for got, wanted in zip(joined, one, strict=True):
            np.testing.assert_array_equal(got, wanted)
    assert none.joined(none).rows == 0


def test_a_far_mean_costs_no_digits(outputs, queries):
    near = linear_cka(scatter(jnp.asarray(outputs), queries), HEADS)
    far = linear_cka(scatter(jnp.asarray(outputs + np.float32(1_000)), queries), HEADS)
    np.testing.assert_allclose(far, near, atol=2e-3)


def test_rotating_and_scaling_a_head_changes_nothing(outputs, queries):
    rotation, _ = np.linalg.qr(np.random.default_rng(1).normal(0, 1, (SIZE, SIZE)))
    turned = outputs.copy()
    turned[:, :, 1] = 7 * outputs[:, :, 1] @ rotation.astype(np.float32)
    one, other = (linear_cka(scatter(jnp.asarray(x), queries), HEADS) for x in (outputs, turned))
    np.testing.assert_allclose(one, other, atol=1e-5)


def test_equal_heads_are_one_and_padding_counts_nowhere(outputs, queries):
    twins = np.concatenate([outputs[:, :, :1]] * 2, axis=2)
    twins[~queries] = np.nan
    got = linear_cka(scatter(jnp.asarray(twins), queries), 2)
    np.testing.assert_allclose(got, 1, atol=1e-6)


def test_a_constant_head_has_no_similarity(outputs, queries):
    still = outputs.copy()
    still[:, :, 1] = 2
    got = linear_cka(scatter(jnp.asarray(still), queries), HEADS)
    assert np.isnan(got[1]).all() and np.isnan(got[:, 1]).all()
    assert np.isfinite(got[np.ix_([0, 2], [0, 2])]).all()


def test_features_that_are_no_heads_are_refused(outputs, queries):
    with pytest.raises(ValueError, match="heads is 4, which does not divide 15"):
        linear_cka(scatter(jnp.asarray(outputs), queries), 4)
    nothing = scatter(jnp.zeros((2, 3, 0, 5)), np.ones((2, 3), bool))
    assert linear_cka(nothing, 0).shape == (0, 0)
