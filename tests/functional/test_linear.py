"""Linear attention: three forms, one result."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from attention_jax.functional import Causal, Lengths
from attention_jax.functional.features import favor
from attention_jax.functional.linear import (
    linear_attend,
    linear_weights,
)
from tests.functional.linear_cases import (
    CAUSAL_CASES,
    FORMS,
    E,
    H,
    T,
    W,
    arrays,
    every_case,
    every_form,
    plain_favor,
)
from tests.functional.linear_oracle import linear_attention, plain_elu


@every_case
def test_equals_the_oracle_in_every_form(name, causal):
    options, plain = CAUSAL_CASES[name]
    options, plain = options | {"causal": causal}, plain | {"causal": causal}
    every_length = [7, 7], [7, 3], [0, 5]
    wanted = [
        linear_attention(*arrays(np.float64), **plain, sees=lambda b, s, n=n: s < n[b])
        for n in every_length
    ]

    def check(form, dtype, tolerance):
        @jax.jit
        def find(query, key, value, lengths):
            return linear_attend(
                query, key, value, mask=Lengths(lengths), form=form, chunk=3, **options
            )

        for lengths, (output, _) in zip(every_length, wanted, strict=True):
            found = find(*arrays(dtype), jnp.array(lengths))
            assert found.dtype == dtype
            np.testing.assert_allclose(found, output, rtol=tolerance, atol=tolerance)

    for form in FORMS:
        check(form, np.float32, 1e-5)
        with jax.enable_x64(True):
            check(form, np.float64, 1e-10)
    query, key, _ = arrays()
    look = jax.jit(lambda lengths: linear_weights(query, key, mask=Lengths(lengths), **options))
    for lengths, (_, weights) in zip(every_length, wanted, strict=True):
        np.testing.assert_allclose(look(jnp.array(lengths)), weights, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("chunk", [1, 2, 6, 7, 100])
def test_every_size_of_chunk(chunk):
    options, plain = CAUSAL_CASES["favor with decay"]
    wanted, _ = linear_attention(*arrays(), **plain, causal=True)
    found = linear_attend(*arrays(), **options, causal=True, chunk=chunk)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("sources", [0, 1, 4, 12])
def test_more_or_fewer_sources_than_queries(form, sources):
    query, key, value = arrays(sources=sources)
    wanted, _ = linear_attention(query, key, value, phi=plain_elu)
    np.testing.assert_allclose(
        linear_attend(query, key, value, form=form), wanted, rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("form", FORMS)
def test_no_positions_and_no_features_of_values(form):
    query, key, value = (x[:, :0] for x in arrays())
    assert linear_attend(query, key, value, form=form, causal=True).shape == (2, 0, H, E)
    query, key, value = arrays()
    assert linear_attend(query, key, value[..., :0], form=form, causal=True).shape == (2, T, H, 0)


@pytest.mark.parametrize("form", FORMS)
def test_masks_say_the_same_in_many_ways(form):
    lengths = [4, 6]
    seen = np.arange(T) < np.array(lengths)[:, None]
    find = partial(linear_attend, *arrays(), form=form, chunk=2)
    wanted = find(causal=True, mask=Lengths(lengths))
    for mask in (
        Causal() & Lengths(lengths),
        seen[:, None, None, :] & Causal(),
        Lengths(lengths) & (Causal() & ~~Lengths(lengths)),
    ):
        np.testing.assert_array_equal(find(mask=mask), wanted)
    rows = find(mask=Causal() & Lengths(lengths, [2, 7]))
    there = (np.arange(T) < np.array([2, 7])[:, None])[..., None, None]
    np.testing.assert_array_equal(rows, np.where(there, wanted, 0))


@every_form
def test_gradients(name, causal, form):
    options, _ = CAUSAL_CASES[name]
    options = options | {"causal": causal, "form": form, "chunk": 3, "mask": Lengths([7, 0])}

    def loss(query, key, value):
        return jnp.sum(linear_attend(query, key, value, **options) ** 2)

    compiled = jax.jit(jax.value_and_grad(loss, (0, 1, 2)))
    with jax.enable_x64(True):
        given = arrays(np.float64)
        _, found = compiled(*given)
        rng = np.random.default_rng(1)
        for _ in range(3):
            steps = [rng.normal(size=x.shape) for x in given]
            ahead, behind = (
                float(compiled(*(x + t * d for x, d in zip(given, steps, strict=True)))[0])
                for t in (1e-6, -1e-6)
            )
            slope = sum(np.sum(g * d) for g, d in zip(found, steps, strict=True))
            assert slope == pytest.approx((ahead - behind) / 2e-6, rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("normalize", [pytest.param(False, marks=pytest.mark.slow), True])
def test_decay_can_be_learned(form, normalize):
    with jax.enable_x64(True):
        options = {"causal": True, "form": form, "chunk": 3, "normalize": normalize}
        check_grads(
            lambda decay: linear_attend(*arrays(np.float64), decay=decay, **options),
            (np.array([0.5, 0.9, 0.97, 0.99]),),
            order=1,
            atol=1e-5,
            rtol=1e-5,
        )


@every_form
def test_what_is_masked_influences_nothing(name, causal, form):
    """Padding holds NaN, infinity and huge numbers; a source seen by some holds NaN."""
    options, _ = CAUSAL_CASES[name]
    mask = Lengths([5, 0], [7, 6])
    options = options | {"causal": causal, "form": form, "chunk": 2, "mask": mask}
    query, key, value = arrays()
    dirty = [x.copy() for x in (query, key, value)]
    dirty[1][0, 5], dirty[2][0, 5] = np.nan, np.inf
    dirty[1][0, 6], dirty[2][0, 6] = 1e30, 1e30
    dirty[1][1], dirty[2][1] = np.inf, np.nan
    dirty[0][1] = np.nan  # queries that see nothing
    hit = np.zeros((2, T, 1, 1), bool)
    if causal:
        dirty[1][0, 3] = np.inf
        hit[0, 3:] = True

    def loss(query, key, value):
        output = linear_attend(query, key, value, **options)
        return jnp.sum(jnp.where(hit, 0, output) ** 2), output

    gradient = jax.jit(jax.grad(loss, (0, 1, 2), has_aux=True))
    wanted, clean = gradient(query, key, value)
    found, output = gradient(*dirty)
    np.testing.assert_array_equal(np.where(hit, 0, output), np.where(hit, 0, clean))
    if causal:
        assert np.isnan(np.asarray(output)[0, 3:]).all()
    assert (np.asarray(output)[1] == 0).all()
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    for of_sources in found[1:]:
        assert (np.asarray(of_sources)[0, 5:] == 0).all() and (np.asarray(of_sources)[1] == 0).all()


@pytest.mark.parametrize("form", FORMS)
def test_a_future_key_does_not_decide_what_underflows(form):
    """With one maximum over all keys, exp(-|k|²/2) of the others would be lost beside this one."""
    query, key, value = arrays()
    key *= 12  # scales far below zero: exp(-|k|²/2) is zero in float32
    options = {"features": partial(favor, projection=W), "form": form, "chunk": 3}
    plain = partial(linear_attention, query, value=value, phi=plain_favor, causal=True)
    wanted, _ = plain(key=key)
    found = linear_attend(query, key, value, causal=True, **options)
    np.testing.assert_allclose(found, wanted, rtol=2e-4, atol=2e-4)
    late = key.copy()
    late[:, -1] = 0  # towers over all before it
    moved = linear_attend(query, late, value, causal=True, **options)
    np.testing.assert_allclose(moved[:, :-1], found[:, :-1], rtol=1e-5, atol=1e-6)
    masked = linear_attend(query, late, value, mask=Lengths(T - 1), **options)
    shorter = linear_attend(query, key[:, :-1], value[:, :-1], **options)
    np.testing.assert_allclose(masked, shorter, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_long_decay_neither_overflows_nor_loses_what_is_far(form):
    """γ^-T is far past the largest float32, and γ^T below the smallest."""
    length, decay = 1024, 0.5
    rng = np.random.default_rng(3)
    query, key, value = (rng.normal(size=(length, 1, 2)).astype(np.float32) for _ in range(3))
    options = {"causal": True, "decay": decay, "form": form, "chunk": 256}
    found = linear_attend(query, key, value, **options)
    wanted, _ = linear_attention(
        *(x[None, -40:] for x in (query, key, value)), phi=plain_elu, causal=True, decay=[decay]
    )
    np.testing.assert_allclose(found[-1], wanted[0, -1], rtol=1e-5, atol=1e-6)
    # Only the first source may be seen: its weight underflows, its share is one.
    alone = linear_attend(query, key, value, mask=Lengths(1), normalize=True, **options)
    np.testing.assert_allclose(alone, np.broadcast_to(value[:1], alone.shape), rtol=1e-5)
