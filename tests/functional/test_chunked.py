"""What belongs to `chunked` itself: tiles, memory, derivatives, and when it is taken."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attention_jax.functional import (
    Causal,
    Lengths,
    Prefix,
    Window,
    additive,
    attend,
    explain,
    plan_attention,
    scaled_dot,
    softmax,
    sparsemax,
    tile_plan,
)
from attention_jax.functional.online import CLEAR, HIDDEN

MIB = 2**20
RNG = np.random.default_rng(0)
QUERY = RNG.normal(size=(2, 9, 4, 6)).astype(np.float32)
KEY = RNG.normal(size=(2, 11, 2, 6)).astype(np.float32)
VALUE = RNG.normal(size=(2, 11, 2, 5)).astype(np.float32)


@pytest.fixture
def usual_tiles(monkeypatch):
    monkeypatch.setattr(tile_plan, "SIDES", (512, 256))


@pytest.mark.parametrize(
    "mask",
    [
        Causal(),
        Causal(3),
        Causal(-4),
        Window(2, 1),
        Window(0, 0, offset=5),
        Window(4, 0) & Causal(-1),
        Window(1, 1, offset=20),
        Causal() & Lengths(np.array([3, 7])),
        Prefix(3) | Causal(),
    ],
    ids=repr,
)
@pytest.mark.parametrize(("queries", "sources", "rows", "columns"), [(12, 9, 4, 3), (7, 13, 3, 4)])
def test_a_piece_is_called_clear_or_hidden_only_where_it_is(mask, queries, sources, rows, columns):
    kinds = tile_plan.sights(mask, queries, sources, rows, columns)["kinds"]
    seen = np.asarray(mask.array(queries, sources))
    for i, j in np.ndindex(kinds.shape):
        tile = seen[..., i * rows : (i + 1) * rows, j * columns : (j + 1) * columns]
        if kinds[i, j] == CLEAR:
            assert tile.all() and tile.shape[-1] == columns
        if kinds[i, j] == HIDDEN:
            assert not tile.any()


def test_what_a_mask_hides_is_not_looked_at(usual_tiles):
    shape = (1, 8, 16_384, 16_384)
    assert tile_plan.share_seen(None, shape) == 1
    assert tile_plan.share_seen(Causal(), shape) < 0.53
    assert tile_plan.share_seen(Window(128, 0), shape) < 0.06
    kinds = tile_plan.sights(Causal(), 16_384, 16_384, 512, 256)["kinds"]
    assert np.mean(kinds == CLEAR) > 0.45


def planned_bytes(attend, *arrays):
    """What XLA plans to hold above the inputs, forward and backward."""

    def both(d_output, *arrays):
        output, backward = jax.vjp(attend, *arrays)
        return output, backward(d_output)

    output = jax.eval_shape(attend, *arrays)
    planned = jax.jit(both).lower(output, *arrays).compile().memory_analysis()
    return planned.temp_size_in_bytes + planned.output_size_in_bytes


@pytest.mark.parametrize("mask", [None, Causal()], ids=["all", "causal"])
def test_memory_grows_with_the_length_not_with_its_square(usual_tiles, mask):
    def planned(length):
        one = jax.ShapeDtypeStruct((1, length, 8, 64), jnp.float32)
        return planned_bytes(partial(attend, mask=mask, backend="chunked"), one, one, one)

    most = planned(16_384)
    assert most < 600 * MIB
    assert most / planned(8_192) < 2.2


def test_additive_scores_do_not_keep_their_hidden_layer(usual_tiles):
    one = jax.ShapeDtypeStruct((1, 2_048, 4, 64), jnp.float32)
    v = jax.ShapeDtypeStruct((64,), jnp.float32)

    def attention(query, key, value, v, backend):
        return attend(query, key, value, score=partial(additive, v=v), backend=backend)

    whole, tiled = (
        planned_bytes(partial(attention, backend=backend), one, one, one, v)
        for backend in ("reference", "chunked")
    )
    assert tiled < 250 * MIB < 4 * 2_048**2 * 4 * 64 < whole


def test_a_score_may_hold_what_is_differentiated():
    """An unknown function over arrays from outside: their gradients come out all the same."""

    def loss(backend, weight, shift):
        def score(query, key):
            return scaled_dot(query * weight, key) + jnp.tanh(shift)

        output = attend(QUERY, KEY, VALUE, score=score, mask=Causal(2), backend=backend)
        return jnp.sum(output**3)

    weight, shift = jnp.asarray(RNG.normal(size=6), jnp.float32).reshape(1, 1, 1, 6), jnp.ones(())
    wanted, found = (
        jax.jit(jax.grad(partial(loss, backend), (0, 1)))(weight, shift)
        for backend in ("reference", "chunked")
    )
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("normalize", [partial(softmax, sink=0.3, temperature=0.7), sparsemax])
def test_second_derivatives(normalize):
    def loss(backend, query):
        options = {"normalize": normalize, "mask": Causal(2), "backend": backend}
        return jnp.sum(jnp.sin(attend(query, KEY, VALUE, **options)))

    def along(backend):
        slope = jax.grad(partial(loss, backend))
        return jax.jit(lambda query: jax.jvp(slope, (query,), (jnp.cos(query),))[1])(QUERY)

    np.testing.assert_allclose(along("chunked"), along("reference"), rtol=1e-3, atol=1e-5)


def test_visible_nan_stays_where_it_is():
    key = KEY.copy()
    key[0, 8, 0] = np.nan
    for mask in (None, Causal()):
        found = np.isnan(attend(QUERY, key, VALUE, mask=mask, backend="chunked"))
        assert found[0, 8:, :2].all()
        assert found[0, :8, :2].all() == (mask is None)
        assert not found[0, :, 2:].any() and not found[1].any()


@pytest.mark.parametrize("backend", ["reference", "chunked"])
@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_huge_logits_of_short_floats(backend, dtype):
    query = jnp.full((1, 4, 1, 64), 40, dtype)  # logits of 1e4 and more, before and after scaling
    key = jnp.concatenate([query, -query, query], 1)
    value = jnp.asarray(RNG.normal(size=(1, 12, 1, 3)), dtype)

    def loss(query, key, value):
        output = attend(query, key, value, mask=Causal(), backend=backend)
        return jnp.sum(output.astype(jnp.float32)), output

    gradients, output = jax.jit(jax.grad(loss, (0, 1, 2), has_aux=True))(query, key, value)
    for x in (output, *gradients):
        assert np.isfinite(np.asarray(x, np.float32)).all()


def test_auto_takes_it_where_it_is_faster(usual_tiles):
    def plan(length, **options):
        one = jax.ShapeDtypeStruct((1, length, 8, 64), jnp.float32)
        return plan_attention(one, one, one, **options)

    assert plan(256).backend == "reference" and "MiB" in plan(256).reason
    assert plan(4_096).backend == "chunked" and "on a CPU" in plan(4_096).reason
    assert plan(2_048, mask=Causal()).backend == "chunked"
    assert "of the tiles" in plan(1_024, mask=Causal()).reason or plan(1_024).backend == "chunked"
    assert plan(256, mask=Causal()).backend == "reference"
    on_gpu = plan(256, platform="gpu")
    assert on_gpu.backend == "reference" and "cudnn cannot: query has dtype" in on_gpu.reason
    assert "alone would take" in plan(16_384, platform="gpu").reason


def test_looking_at_a_long_one_costs_what_is_asked(usual_tiles):
    one = jax.ShapeDtypeStruct((1, 16_384, 8, 64), jnp.float32)

    def look(query, key):
        return explain(query, key, heads=[3], queries=range(16), mask=Causal())

    planned = jax.jit(look).lower(one, one).compile().memory_analysis()
    assert planned.temp_size_in_bytes + planned.output_size_in_bytes < 20 * MIB
