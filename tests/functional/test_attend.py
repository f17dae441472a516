"""What belongs to `attend` and `explain` themselves, not to one mechanism."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from attention_jax.functional import (
    Causal,
    Lengths,
    additive,
    attend,
    dot,
    explain,
    plan_attention,
    scaled_dot,
)
from tests.functional import oracle
from tests.functional.cases import MASKS, NORMALIZERS, SCORES, Row, example

ROW = Row(SCORES[1], MASKS[1], NORMALIZERS[0], "reference")  # scaled_dot, causal
CASE = example(ROW)
QUERY, KEY, VALUE = CASE.arrays
V = np.random.default_rng(5).normal(size=(4, 4)).astype(np.float32)
BIAS = np.random.default_rng(6).normal(size=(4, 5, 7)).astype(np.float32)


def test_bias_is_added_to_the_logits():
    added = CASE.oracle | {"shift": lambda at: BIAS[at.h, at.t, at.s]}
    output, weights = oracle.attention(*CASE.arrays, **added)
    np.testing.assert_allclose(CASE.attend(*CASE.arrays, bias=BIAS), output, rtol=1e-5, atol=1e-6)
    options = CASE.options | {"bias": BIAS}
    found = explain(*CASE.arrays, **options, heads=[3], queries=[4, 2])
    np.testing.assert_allclose(found, weights[:, [3]][:, :, [4, 2]], rtol=1e-5, atol=1e-6)


def test_bias_under_the_mask_may_hold_anything():
    spoilt = np.where(Causal().array(5, 7), BIAS, np.nan)
    gradient = jax.grad(lambda bias: CASE.attend(*CASE.arrays, bias=bias).sum())(spoilt)
    assert np.isfinite(gradient).all()
    np.testing.assert_array_equal(
        CASE.attend(*CASE.arrays, bias=spoilt), CASE.attend(*CASE.arrays, bias=BIAS)
    )


def test_what_is_visible_and_not_finite_is_not_hidden():
    key = KEY.copy()
    key[0, 3, 0, 1] = np.nan  # key/value head 0 serves heads 0 and 1
    for found in (CASE.attend(QUERY, key, VALUE), attend(QUERY, key, VALUE)):
        assert np.isnan(found[0, 3:, :2]).all()
        assert not np.isnan(found[0, :, 2:]).any()
        assert not np.isnan(found[1]).any()
    assert not np.isnan(CASE.attend(QUERY, key, VALUE)[0, :3]).any()
    weights = np.asarray(explain(QUERY, key, mask=Causal()))
    np.testing.assert_array_equal(np.isnan(weights[0, :2, :, 0]), [[0, 0, 0, 1, 1]] * 2)
    query = QUERY.copy()
    query[1, 2, 3] = np.inf
    found = np.isnan(CASE.attend(query, KEY, VALUE))
    assert found[1, 2, 3].all() and found.sum() == 3


def test_clean_numbers_pass_the_nan_detector():
    with jax.debug_nans(True):
        found = attend(QUERY, KEY, VALUE, mask=Causal() & Lengths([0, 3]))
    assert np.isfinite(found).all()


def test_gradients_forward_and_backward():
    with jax.enable_x64(True):
        mask = Causal() & Lengths(jnp.array([0, 3]))
        arrays = [np.asarray(array, np.float64) for array in (*CASE.arrays, V)]

        def output(query, key, value, v):
            return attend(query, key, value, score=partial(additive, v=v), mask=mask)

        check_grads(jax.jit(output), arrays, order=1)
        check_grads(jax.jit(partial(attend, mask=mask)), arrays[:3], order=1)


def test_on_several_devices():
    wanted = CASE.attend(*CASE.arrays)
    close = partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)
    close(jax.pmap(CASE.attend)(*CASE.arrays), wanted)
    rows = jax.sharding.PartitionSpec("batch")
    mesh = jax.make_mesh((2,), ("batch",), axis_types=(jax.sharding.AxisType.Auto,))
    spread = jax.shard_map(CASE.attend, mesh=mesh, in_specs=rows, out_specs=rows)
    close(jax.jit(spread)(*CASE.arrays), wanted)


def test_groups_are_never_copied():
    """The largest array inside is that of the logits; no key has a row for each query head."""
    query, key = jax.ShapeDtypeStruct((2, 3, 8, 16), "f"), jax.ShapeDtypeStruct((2, 5, 1, 16), "f")
    text = str(jax.make_jaxpr(attend)(query, key, key))
    assert "f32[2,1,24,5]" in text
    assert "2,8,5,16" not in text and "2,5,8,16" not in text


SCORERS = {
    "dot": dot,
    "scaled_dot": scaled_dot,
    "additive": partial(additive, v=V[0]),
    "additive by head": partial(additive, v=V),
    "unknown": lambda query, key: additive(query, key, v=V),
}


@pytest.mark.parametrize("score", SCORERS)
def test_explain_gives_the_rows_asked_for(score):
    mask = CASE.seen & (np.arange(7) != 1)
    options = {"score": SCORERS[score], "mask": mask, "bias": BIAS}
    whole = explain(QUERY, KEY, **options)
    part = explain(QUERY, KEY, VALUE, heads=[2, -4], queries=np.array([-1, 1]), **options)
    assert part.shape == (2, 2, 2, 7)
    np.testing.assert_allclose(part, whole[:, [2, 0]][:, :, [4, 1]], rtol=1e-5, atol=1e-7)


def test_explain_computes_only_those_rows():
    query = jax.ShapeDtypeStruct((2, 64, 8, 16), "f")
    text = str(jax.make_jaxpr(partial(explain, heads=[3], queries=[7]))(query, query))
    assert "2,1,1,64" in text
    assert "64,64" not in text


def test_the_plan_names_a_backend_and_why():
    plan = plan_attention(QUERY, KEY, VALUE, mask=Causal())
    assert plan.backend == "reference" and plan.reason
    assert str(plan).startswith("reference: ")
    assert plan_attention(QUERY, KEY, VALUE, backend="reference").backend == "reference"
    shapes = [jax.ShapeDtypeStruct(array.shape, array.dtype) for array in CASE.arrays]
    assert plan_attention(*shapes) == plan_attention(QUERY, KEY, VALUE)


def test_no_queries_and_no_sources():
    assert attend(QUERY[:, :0], KEY, VALUE).shape == (2, 0, 4, 3)
    assert (attend(QUERY, KEY[:, :0], VALUE[:, :0], mask=Causal()) == 0).all()
