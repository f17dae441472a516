"""What holds for every row of the conformance table."""

import functools
import re
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attention_jax import functional as f
from attention_jax.functional.mask_algebra import as_mask
from tests.functional import oracle
from tests.functional.cases import ROWS, SHAPES, USUAL, Sizes, example

MASKED = [row for row in ROWS if row.mask.name != "none"]
UNPLACED = [row for row in ROWS if not row.by_position]
SMALL = Sizes(B=(2,), T=4, S=5, H=2, G=1, K=2, E=2)
close = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=2e-6)


def each(rows, nth=1, in_blocks=7):
    """A test for every row; the default suite has one in `nth`, of other backends `in_blocks`.

    Odd numbers, because masks alternate. The mechanisms are the same on every backend, and loops
    over blocks cost far more time here than the reference. Of the others a third is slow, and the
    rest only in the exhaustive suite.
    """
    parameters, met = [], Counter()
    for row in rows:
        every = nth if row.backend == "reference" else in_blocks
        time, late = divmod(met[row.backend], every)
        met[row.backend] += 1
        marks = [pytest.mark.slow] if late else []
        if late % 3 != time % 3:
            marks.append(pytest.mark.exhaustive)
        parameters.append(pytest.param(row, id=str(row), marks=marks))
    return pytest.mark.parametrize("row", parameters)


@pytest.fixture(autouse=True)
def step_by_step(request):
    """Python runs the loops: compiled ones are made anew for each row, single operations once."""
    with jax.disable_jit("row" in request.fixturenames):
        yield


def dense(case):
    """What the mask lets see and what the bias adds as full arrays, to permute and to change."""
    return {"mask": case.seen, "bias": case.added}


def hiding(case, axis, place):
    """The case's mask, and hidden from it one query (axis -2) or one source (axis -1)."""
    spared = np.ones((case.sizes.T, case.sizes.S), bool)
    np.moveaxis(spared, axis, 0)[place] = False
    mask = case.options["mask"]
    return spared if mask is None else as_mask(mask) & spared, case.seen & spared


def normal(shape):
    return np.random.default_rng(2).normal(size=shape)


def compiled(function):
    """As one program, where all else runs step by step."""
    program = jax.jit(function)

    def run(*arrays):
        with jax.disable_jit(False):
            return program(*arrays)

    return run


def swift(case, function):
    """Compiled where there are loops: their derivatives are thousands of operations."""
    return function if case.backend == "reference" else compiled(function)


def pulled(case, function):
    """The function's output and more, and the gradients of its sum with random factors."""

    def pull(*arrays):
        output, back, more = jax.vjp(function, *arrays, has_aux=True)
        return output, back(jnp.asarray(normal(output.shape), output.dtype)), more

    return swift(case, pull)


def check_derivatives(case, function, arrays, differences):
    """In float64: forward against differences, backward against forward."""
    along = [normal(array.shape) for array in arrays]

    def both_ways(arrays, along):
        output, forward = jax.jvp(function, tuple(arrays), tuple(along))
        return output, forward, jax.vjp(function, *arrays)[1](jnp.asarray(normal(output.shape)))

    output, forward, backward = swift(case, both_ways)(arrays, along)
    assert output.dtype == np.float64
    step = 1e-5
    ahead, behind = (
        differences(*(x + way * direction for x, direction in zip(arrays, along, strict=True)))
        for way in (step, -step)
    )
    wanted = (np.asarray(ahead) - np.asarray(behind)) / (2 * step)
    np.testing.assert_allclose(forward, wanted, rtol=1e-6, atol=1e-8)
    found = sum(np.vdot(x, direction) for x, direction in zip(backward, along, strict=True))
    np.testing.assert_allclose(found, np.vdot(normal(output.shape), forward), rtol=1e-9, atol=1e-11)


def check_against_the_oracle(case):
    output, weights = oracle.attention(*case.arrays, **case.oracle)
    found = case.attend(*case.arrays)
    assert found.dtype == np.float32
    close(found, output)
    looked = case.explain(case.query, case.key)
    close(looked, weights)
    close(f.weigh(looked, case.value), found)


@each(ROWS, in_blocks=3)
def test_equals_the_oracle(row):
    check_against_the_oracle(example(row))


@pytest.mark.slow  # the default suite draws sizes, in `test_shapes.py`
@each(ROWS, 3, in_blocks=3)
@pytest.mark.parametrize("shape", list(SHAPES)[1:])
def test_equals_the_oracle_at_other_sizes(row, shape):
    check_against_the_oracle(example(row, SHAPES[shape]))


@each(ROWS, 5, in_blocks=9)
def test_jit_changes_nothing(row):
    case = example(row)
    wanted = case.attend(*case.arrays)
    close(compiled(case.attend)(*case.arrays), wanted)


@each(MASKED, 3, in_blocks=9)
def test_vmap_equals_batched_equals_unbatched(row):
    case = example(row)

    def one(query, key, value, options):
        return case.attend(query, key, value, **options)

    every = (*case.arrays, dense(case))
    batched = case.attend(*case.arrays)
    close(jax.vmap(one)(*every), batched)
    close(one(*jax.tree.map(lambda x: x[-1], every)), batched[-1])


@each(ROWS)
def test_weights_of_rows(row):
    """They sum to what the normalizer says, or to exactly zero; hidden sources have none."""
    case = example(row)
    seen, weights = case.seen, np.asarray(case.explain(case.query, case.key))
    assert (weights[~seen] == 0).all()
    if row.normalizer.dense:
        assert (weights[seen] > 0).all()
    sums = weights.sum(-1)[seen.any(-1)]
    if row.normalizer.sums == "one":
        np.testing.assert_allclose(sums, 1, rtol=1e-6)
    elif row.normalizer.sums == "at most one":
        assert (sums <= 1 + 1e-6).all()
    empty = np.swapaxes(~seen.any(-1), -1, -2)
    assert (np.asarray(case.attend(*case.arrays))[empty] == 0).all()


@each(UNPLACED)
def test_order_of_sources_changes_nothing(row):
    case = example(row)
    order = np.random.default_rng(1).permutation(case.sizes.S)
    options = {name: array[..., order] for name, array in dense(case).items()}
    key, value = (array[..., order, :, :] for array in (case.key, case.value))
    close(case.attend(case.query, key, value, **options), case.attend(*case.arrays))


@each(MASKED)
def test_masked_sources_influence_nothing(row):
    """Sources hidden from some hold NaN or infinity; those outputs and gradients do not change."""
    case = example(row)
    mask, seen = hiding(case, -1, 2)  # padding: nobody sees it
    key, value = case.key.copy(), case.value.copy()
    key[..., 2, :, 0], value[..., 2, :, 1] = np.inf, np.nan
    value[..., 4, :, 0], key[..., 4, :, 1] = np.inf, np.nan  # hidden from some, seen by others
    hit = np.swapaxes(seen[..., 4], -1, -2)

    def output(*arrays):
        whole = case.attend(*arrays, mask=mask)
        return jnp.where(hit[..., None], 0, whole), whole

    pull = pulled(case, output)
    clean, wanted, _ = pull(*case.arrays)
    spoilt, found, whole = pull(case.query, key, value)
    np.testing.assert_array_equal(spoilt, clean)
    assert np.isnan(np.asarray(whole)[hit]).all()
    jax.tree.map(close, found, wanted)
    for of_sources in found[1:]:
        assert (np.asarray(of_sources)[..., 2, :, :] == 0).all()


@each(MASKED, 3, in_blocks=9)
def test_queries_that_see_nothing_influence_nothing(row):
    case = example(row)
    mask, _ = hiding(case, -2, 1)
    query = case.query.copy()
    query[..., 1, :, :] = np.nan
    pull = pulled(case, lambda *arrays: (case.attend(*arrays, mask=mask), None))
    wanted, found = pull(*case.arrays), pull(query, case.key, case.value)
    assert (np.asarray(found[1][0])[..., 1, :, :] == 0).all()
    jax.tree.map(close, found, wanted)


@each(MASKED, 3, in_blocks=9)
def test_gradients_flow_where_the_mask_lets_them(row):
    """Causality, and every other mask, proved by the derivative of each output by each source."""
    case = example(row, SMALL)
    _, weights = oracle.attention(*case.arrays, **case.oracle)

    def outputs(key, value):
        return case.attend(case.query, key, value).sum(-1)

    by_key, by_value = compiled(jax.jacrev(outputs, (0, 1)))(case.key, case.value)
    for b in range(2):
        # [T, H, S, G, features] to [H, T, S]
        moved_by_key, moved_by_value = (
            np.abs(np.asarray(x)[b, :, :, b]).sum((-1, -2)).swapaxes(0, 1)
            for x in (by_key, by_value)
        )
        assert (moved_by_key[~case.seen[b]] == 0).all()
        np.testing.assert_array_equal(moved_by_value != 0, weights[b] != 0)
        assert (np.abs(np.asarray(by_value)[b, :, :, 1 - b]) == 0).all()


@each(MASKED)
def test_double_precision_and_derivatives(row):
    case = example(row, SMALL, np.float64)

    def by_oracle(*arrays):
        return oracle.attention(*arrays, **case.oracle)[0]

    with jax.enable_x64(True):
        found = case.attend(*case.arrays)
        np.testing.assert_allclose(found, by_oracle(*case.arrays), rtol=1e-11, atol=1e-12)
        if row.normalizer.smooth:
            check_derivatives(case, case.attend, case.arrays, by_oracle)


def opened(function):
    """A partial as a pytree whose leaves are its parameters."""
    if not isinstance(function, functools.partial):
        return function
    keywords = {name: opened(given) for name, given in function.keywords.items()}
    return jax.tree_util.Partial(function.func, *function.args, **keywords)


def learned(case):
    """The arrays of score, normalizer and bias, and a function of them that attends."""
    options = {name: opened(case.options[name]) for name in ("score", "normalize", "bias")}
    leaves, structure = jax.tree.flatten(options)
    places = [n for n, leaf in enumerate(leaves) if getattr(leaf, "dtype", None) == np.float32]

    def attend(*parameters):
        given = dict(enumerate(leaves)) | dict(zip(places, parameters, strict=True))
        return case.attend(*case.arrays, **structure.unflatten(given.values()))

    return [leaves[place].astype(np.float64) for place in places], attend


@each([row for row in MASKED if row.normalizer.smooth and learned(example(row))[0]])
def test_derivatives_by_parameters(row):
    case = example(row, SMALL, np.float64)
    parameters, attend = learned(case)
    with jax.enable_x64(True):
        check_derivatives(case, attend, parameters, swift(case, attend))


@each(ROWS, 3, in_blocks=9)
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16], ids=["bfloat16", "float16"])
def test_short_floats(row, dtype):
    """The output keeps the dtype of value; the error is that of rounding, not of summing."""
    case = example(row, dtype=dtype)
    output, weights = oracle.attention(*case.arrays, **case.oracle)
    found = case.attend(*case.arrays)
    assert found.dtype == dtype
    # Half a unit for each weight and for the output; a little for sums in float32.
    size = f.weigh(np.abs(weights).astype(np.float32), np.abs(case.value).astype(np.float32))
    bound = 0.5 * float(jnp.finfo(dtype).eps) * (np.asarray(size) + np.abs(output)) + 1e-5
    assert (np.abs(np.asarray(found, np.float64) - output) <= bound).all()
    shares = case.explain(case.query, case.key)
    assert shares.dtype == np.float32
    close(shares, weights)


@pytest.mark.parametrize(("backend", "platform"), [("cudnn", "gpu"), ("splash", "tpu")])
def test_a_kernel_serves_or_names_the_option(backend, platform):
    """Of the same table: what a kernel for another machine takes, and what it refuses in words."""
    plans = []
    for row in [row for row in ROWS if row.backend == "reference"]:
        case = example(row, Sizes(T=8, S=8, H=2, G=1, K=16, E=16), jnp.bfloat16)
        options = case.options | {"backend": backend, "platform": platform}
        try:
            plans.append(f.plan_attention(*case.arrays, **options))
        except ValueError as error:
            said = f"backend='{backend}' cannot serve this: (score|normalize|mask|bias)\\b"
            assert re.match(said, str(error)), f"{row}: {error}"
    assert {plan.backend for plan in plans} == {backend}
    with pytest.raises(ValueError, match=f"backend='{backend}' cannot serve this: the platform is"):
        f.attend(*case.arrays, backend=backend)


def test_the_table_names_each_row_once():
    names = [str(row) for row in ROWS]
    assert len(set(names)) == len(names)
    assert USUAL.T != USUAL.S and USUAL.K != USUAL.E and USUAL.G < USUAL.H
