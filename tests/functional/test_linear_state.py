"""Linear attention step by step, its approximation of softmax, dtypes, and bad input."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attention_jax.functional import Causal, Lengths, Window, attend
from attention_jax.functional.features import Scaled, favor, orthogonal_projection, relu_features
from attention_jax.functional.linear import (
    LinearState,
    linear_attend,
    linear_state,
    linear_step,
    retention_decay,
)
from tests.functional.linear_cases import (
    CAUSAL_CASES,
    DECAYS,
    FORMS,
    T,
    arrays,
    every_case,
)
from tests.functional.linear_oracle import linear_attention, plain_elu


@pytest.mark.parametrize("name", CAUSAL_CASES)
def test_step_by_step_is_the_whole(name):
    options, _ = CAUSAL_CASES[name]
    query, key, value = arrays()
    whole = linear_attend(query, key, value, causal=True, **options)
    mapped = {k: v for k, v in options.items() if k != "normalize"}
    for start in (0, 4):
        state = linear_state(key[:, :start], value[:, :start], **mapped)
        sizes = [x.shape for x in state]
        step = jax.jit(partial(linear_step, **options))
        for t in range(start, T):
            state, output = step(state, query[:, t], key[:, t], value[:, t])
            assert output.dtype == value.dtype and [x.shape for x in state] == sizes
            np.testing.assert_allclose(output, whole[:, t], rtol=1e-5, atol=1e-5)


def test_a_prompt_with_padding():
    query, key, value = arrays()
    lengths = [3, 5]
    state = linear_state(key[:, :5], value[:, :5], mask=Lengths(lengths))
    _, output = linear_step(state, query[:, 5], key[:, 5], value[:, 5])
    for b, real in enumerate(lengths):
        kept = [*range(real), 5]
        wanted, _ = linear_attention(
            query[b : b + 1, 5:6], key[b : b + 1, kept], value[b : b + 1, kept], phi=plain_elu
        )
        np.testing.assert_allclose(output[b], wanted[0, 0], rtol=1e-5, atol=1e-6)


def test_a_state_that_saw_nan_stays_nan_and_a_masked_one_does_not():
    query, key, value = arrays()
    key[0, 2], value[1, 3] = np.nan, np.inf
    spoilt = linear_state(key[:, :5], value[:, :5])
    hidden = linear_state(key[:, :5], value[:, :5], mask=Lengths([2, 3]))
    for state, wanted in ((spoilt, True), (hidden, False)):
        for t in (5, 6):
            state, output = linear_step(state, query[:, t], key[:, t], value[:, t])
            assert np.isnan(np.asarray(output)).all() == wanted
            assert np.isfinite(np.asarray(output)).all() != wanted


def test_favor_comes_close_to_softmax_attention_like_one_over_the_root():
    rng = np.random.default_rng(5)
    query, key = rng.normal(size=(2, 12, 2, 8)).astype(np.float32) * 0.5
    value = rng.normal(size=(12, 2, 4)).astype(np.float32)
    for mask in (None, Causal() & Lengths(9)):
        exact = attend(query, key, value, mask=mask)

        def error(count, mask=mask, exact=exact):
            def once(rng):
                features = partial(favor, projection=orthogonal_projection(rng, count, 8))
                return linear_attend(query, key, value, features=features, mask=mask) - exact

            wrong = jax.lax.map(once, jax.random.split(jax.random.key(0), 64))
            return float(jnp.sqrt(jnp.mean(wrong**2)))

        few, many = error(256), error(16 * 256)
        assert few / many == pytest.approx(4, rel=0.3)
        assert many < 0.03


@every_case
def test_jit_vmap_jvp(name, causal):
    options, _ = CAUSAL_CASES[name]
    find = partial(linear_attend, causal=causal, chunk=3, **options)
    lengths = jnp.array([7, 4])
    wanted = find(*arrays(), mask=Lengths(lengths))
    mapped = jax.vmap(lambda *x: find(*x[:3], mask=Lengths(x[3])))
    compiled = jax.jit(mapped)
    np.testing.assert_allclose(compiled(*arrays(), lengths), wanted, rtol=1e-5, atol=1e-6)
    # Linear in the values, so that the derivative along them is the function itself.
    query, key, value = arrays()

    @jax.jit
    def along(value):
        return jax.jvp(lambda v: find(query, key, v, mask=Lengths(lengths)), (value,), (value,))

    for found in along(value):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("batch", [pytest.param((), marks=pytest.mark.slow), (2, 1)])
def test_leading_axes(batch):
    query, key, value = (x[0] for x in arrays())
    for form in FORMS:
        find = partial(linear_attend, form=form, chunk=3, causal=True, decay=DECAYS)
        several = [np.broadcast_to(x, (*batch, *x.shape)) for x in (query, key, value)]
        one = find(query, key, value)
        np.testing.assert_allclose(
            find(*several), np.broadcast_to(one, (*batch, *one.shape)), rtol=1e-5, atol=1e-6
        )


@every_case
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_short_floats(name, causal, dtype):
    options, plain = CAUSAL_CASES[name]
    wanted, _ = linear_attention(*arrays(dtype), **plain, causal=causal)
    find = partial(linear_attend, **options, causal=causal, chunk=3)
    found = jax.jit(find)(*arrays(dtype))
    assert found.dtype == dtype
    one = float(jnp.finfo(dtype).eps)
    np.testing.assert_allclose(np.asarray(found, np.float64), wanted, rtol=one, atol=one)


@pytest.mark.parametrize("form", FORMS)
def test_queries_without_a_feature_give_zeros(form):
    query, key, value = arrays()
    query[:, 2] = -1
    features = partial(relu_features, epsilon=0.0)

    def loss(query, key, value):
        output = linear_attend(query, key, value, features=features, form=form)
        return jnp.sum(output**2), output

    gradients, output = jax.grad(loss, (0, 1, 2), has_aux=True)(query, key, value)
    assert (np.asarray(output)[:, 2] == 0).all()
    assert all(np.isfinite(x).all() for x in gradients)


def test_the_chunked_backward_pass_does_not_keep_the_weights():
    """Its residuals are the states: a chunk's weights are made again."""
    query = jnp.ones((512, 1, 4))

    def loss(query):
        return jnp.sum(linear_attend(query, query, query, causal=True, chunk=64))

    _, backward = jax.vjp(loss, query)
    assert max(x.size for x in jax.tree.leaves(backward)) < 64 * 512  # weights within chunks


def test_retention_decay():
    np.testing.assert_allclose(retention_decay(3), [1 - 1 / 32, 1 - 1 / 64, 1 - 1 / 128])
    assert (np.asarray(retention_decay(19)) < 1).all()


QUERY, KEY, VALUE = arrays()


def step_from_another_state():
    state = linear_state(KEY, VALUE, decay=DECAYS)
    assert isinstance(state, LinearState)
    linear_step(state, QUERY[:, 0], KEY[:, 0], VALUE[:, 0])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: linear_attend(QUERY, KEY[..., :2], VALUE), r"key has shape \[2, 7, 2, 2\]"),
        (lambda: linear_attend(QUERY, KEY, VALUE, form="scan"), "form='scan'; wanted one of"),
        (lambda: linear_attend(QUERY, KEY, VALUE, chunk=0), "chunk=0; wanted one position"),
        (
            lambda: linear_attend(QUERY, KEY[:, :5], VALUE[:, :5], causal=True),
            "found T=7, S=5",
        ),
        (lambda: linear_attend(QUERY, KEY, VALUE, decay=0.9), "wanted causal=True"),
        (lambda: linear_attend(QUERY, KEY, VALUE, causal=True, decay=1.5), "decay=1.5; wanted"),
        (
            lambda: linear_attend(QUERY, KEY, VALUE, causal=True, decay=np.ones(3, "f")),
            r"decay has shape \[3\], wanted one number or \[H\] = \[4\]",
        ),
        (
            lambda: linear_attend(QUERY, KEY, VALUE, mask=Causal() & Window(1, 0)),
            r"mask holds Window\(before=1, after=0\), but linear attention",
        ),
        (lambda: linear_attend(QUERY, KEY, VALUE, mask=Causal(1)), r"mask holds Causal\(offset=1"),
        (
            lambda: linear_attend(QUERY, KEY, VALUE, mask=np.ones((T, T), bool)),
            r"mask holds Dense\(values=bool\[7, 7\]\)",
        ),
        (lambda: linear_attend(QUERY, KEY, VALUE, mask=np.ones(T)), "mask has dtype float64"),
        (
            lambda: linear_attend(QUERY, KEY, VALUE, features=lambda x: x[..., 0]),
            r"features gave \[2, 7, 2\] for \[2, 7, 2, 5\]",
        ),
        (
            lambda: linear_attend(QUERY, KEY, VALUE, features=lambda x: Scaled(x, x)),
            "features gave",
        ),
        (step_from_another_state, r"state.weighted has shape \[2, 4, 5, 3\], wanted \[2, 2, 5, 3"),
        (lambda: retention_decay(0), "heads=0; wanted 1 to 19"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
