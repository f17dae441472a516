"""What holds for every row of the conformance table."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attention_jax import functional as f
from tests.functional import oracle
from tests.functional.cases import ROWS, SHAPES, USUAL, Sizes, example

every_row = pytest.mark.parametrize("row", ROWS, ids=str)


def dense(mask, sizes):
    """The mask as one full array, to permute, to cut and to change."""
    shape = (*sizes.B, sizes.H, sizes.T, sizes.S)
    if mask is None:
        return np.ones(shape, bool)
    return np.broadcast_to(f.visible(mask, shape), shape)


@every_row
@pytest.mark.parametrize("shape", SHAPES)
def test_equals_the_oracle(row, shape):
    case = example(row, SHAPES[shape])
    output, weights = oracle.attention(*case.arrays, **case.oracle)
    found = case.attend(*case.arrays)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, output, rtol=1e-5, atol=2e-6)
    np.testing.assert_allclose(
        f.explain(*case.arrays, **case.options), weights, rtol=1e-5, atol=2e-6
    )


@every_row
def test_jit_equals_eager(row):
    case = example(row)
    quickly_made = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
    compiled = jax.jit(case.attend, compiler_options=quickly_made)
    np.testing.assert_allclose(
        compiled(*case.arrays), case.attend(*case.arrays), rtol=1e-5, atol=1e-6
    )


@every_row
def test_vmap_equals_batched_equals_unbatched(row):
    case = example(row)
    full = dense(case.options["mask"], case.sizes)

    def one(query, key, value, mask):
        return case.with_mask(mask).attend(query, key, value)

    batched = case.attend(*case.arrays)
    mapped = jax.vmap(one)(*case.arrays, full)
    np.testing.assert_allclose(mapped, batched, rtol=1e-5, atol=1e-6)
    last = one(*(array[-1] for array in case.arrays), full[-1])
    np.testing.assert_allclose(last, batched[-1], rtol=1e-5, atol=1e-6)


@every_row
def test_rows_sum_to_one_or_to_exactly_zero(row):
    case = example(row)
    weights = np.asarray(f.explain(*case.arrays, **case.options))
    anything = case.seen.any(-1)
    np.testing.assert_allclose(weights.sum(-1)[anything], 1, rtol=1e-6)
    assert (weights[~case.seen] == 0).all()
    empty = np.swapaxes(~anything, -1, -2)
    assert (np.asarray(case.attend(*case.arrays))[empty] == 0).all()


@every_row
def test_order_of_sources_changes_nothing(row):
    case = example(row)
    order = np.random.default_rng(1).permutation(case.sizes.S)
    mask = dense(case.options["mask"], case.sizes)[..., order]
    moved = case.with_mask(mask).attend(
        case.query, case.key[..., order, :, :], case.value[..., order, :, :]
    )
    np.testing.assert_allclose(moved, case.attend(*case.arrays), rtol=1e-5, atol=2e-6)


@every_row
def test_masked_sources_influence_nothing(row):
    """Sources hidden from some hold NaN or infinity; those outputs and gradients do not change."""
    case = example(row)
    seen = dense(case.options["mask"], case.sizes).copy()
    seen[..., 2] = False  # padding: nobody sees it
    case = case.with_mask(seen)
    key, value = case.key.copy(), case.value.copy()
    key[..., 2, :, 0], value[..., 2, :, 1] = np.inf, np.nan
    value[..., 4, :, 0], key[..., 4, :, 1] = np.inf, np.nan  # hidden from some, seen by others
    hit = np.swapaxes(seen[..., 4], -1, -2)
    clean = np.where(hit[..., None], 0, np.asarray(case.attend(*case.arrays)))

    def loss(query, key, value):
        output = jnp.where(hit[..., None], 0, case.attend(query, key, value))
        return jnp.sum(output**2), output

    gradient = jax.grad(loss, (0, 1, 2), has_aux=True)
    wanted, _ = gradient(*case.arrays)
    found, output = gradient(case.query, key, value)
    np.testing.assert_array_equal(output, clean)
    assert np.isnan(np.asarray(case.attend(case.query, key, value))[hit]).all()
    for name, a, b in zip(("query", "key", "value"), found, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6, err_msg=name)
    for of_sources in found[1:]:
        assert (np.asarray(of_sources)[..., 2, :, :] == 0).all()


@every_row
def test_queries_that_see_nothing_influence_nothing(row):
    case = example(row)
    seen = dense(case.options["mask"], case.sizes).copy()
    seen[..., 1, :] = False
    case = case.with_mask(seen)
    query = case.query.copy()
    query[..., 1, :, :] = np.nan

    def loss(query, key, value):
        return jnp.sum(case.attend(query, key, value) ** 2)

    wanted = jax.grad(loss, (0, 1, 2))(*case.arrays)
    found = jax.grad(loss, (0, 1, 2))(query, case.key, case.value)
    assert (np.asarray(found[0])[..., 1, :, :] == 0).all()
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@every_row
def test_gradients_flow_where_the_mask_lets_them(row):
    """Causality, and every other mask, proved by the derivative of each output by each source."""
    case = example(row, Sizes(B=(2,), T=4, S=5, H=2, G=1, K=2, E=2))

    def outputs(key, value):
        return case.attend(case.query, key, value).sum(-1)

    by_key, by_value = jax.jacrev(outputs, (0, 1))(case.key, case.value)
    for b in range(2):
        # [T, H, S, G, features] to [H, T, S]
        moved = [
            np.abs(np.asarray(x)[b, :, :, b]).sum((-1, -2)).swapaxes(0, 1)
            for x in (by_key, by_value)
        ]
        assert (moved[0][~case.seen[b]] == 0).all()
        np.testing.assert_array_equal(moved[1] != 0, case.seen[b])
        assert (np.abs(np.asarray(by_value)[b, :, :, 1 - b]) == 0).all()


@every_row
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16], ids=["bfloat16", "float16"])
def test_short_floats(row, dtype):
    """The output keeps the dtype of value; the error is that of rounding, not of summing."""
    case = example(row, dtype=dtype)
    output, weights = oracle.attention(*case.arrays, **case.oracle)
    found = case.attend(*case.arrays)
    assert found.dtype == dtype
    one = float(jnp.finfo(dtype).eps)
    np.testing.assert_allclose(np.asarray(found, np.float64), output, rtol=2 * one, atol=2 * one)
    shares = f.explain(*case.arrays, **case.options)
    assert shares.dtype == np.float32
    np.testing.assert_allclose(shares, weights, rtol=1e-5, atol=2e-6)


@every_row
def test_double_precision(row):
    case = example(row, dtype=np.float64)
    output, _ = oracle.attention(*case.arrays, **case.oracle)
    with jax.enable_x64(True):
        found = case.attend(*case.arrays)
        assert found.dtype == np.float64
        np.testing.assert_allclose(found, output, rtol=1e-11, atol=1e-12)


def test_the_table_names_each_row_once():
    names = [str(row) for row in ROWS]
    assert len(set(names)) == len(names)
    assert USUAL.T != USUAL.S and USUAL.K != USUAL.E and USUAL.G < USUAL.H
