from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attention_jax.functional import Causal, Lengths, attend, explain
from attention_jax.functional.heads import merge_heads, split_heads
from attention_jax.functional.slices import grouping, sliced_dot

SLICES, WIDTH = 8, 24
COUNTS = [1, 2, 4, 8]
RNG = np.random.default_rng(0)
QUERY, KEY, VALUE = (RNG.normal(size=(2, length, WIDTH)).astype(np.float32) for length in (5, 7, 7))
MASK = Causal(2) & Lengths(np.array([7, 4]))
close = partial(np.testing.assert_allclose, rtol=1e-5, atol=2e-6)


FACTORS = RNG.normal(size=QUERY.shape).astype(np.float32)


def sliced(matrix, rows, function=attend, **options):
    """Attention in slices; the grouping says of how many heads."""
    score = partial(sliced_dot, grouping=matrix)
    return function(*(split_heads(x, SLICES) for x in rows), score=score, mask=MASK, **options)


def split(heads, rows, function=attend):
    """The same of heads that are cut out whole."""
    return function(*(split_heads(x, heads) for x in rows), mask=MASK)


def pulled(run, rows):
    """Outputs with the width whole, and gradients of their sum with random factors."""
    output, back = jax.vjp(lambda *rows: merge_heads(run(rows)), *rows)
    return output, back(FACTORS.astype(output.dtype))


def plain(heads, query, key, value):
    """The output as loops over NumPy float64 numbers, from the paper."""
    size, found = WIDTH // heads, np.zeros(query.shape)
    for b, t, h in np.ndindex(*query.shape[:2], heads):
        part = slice(h * size, (h + 1) * size)
        seen = [s for s in range(key.shape[1]) if s <= t + 2 and s < (7, 4)[b]]
        logits = np.array([query[b, t, part] @ key[b, s, part] / size**0.5 for s in seen])
        weights = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
        found[b, t, part] = weights @ value[b, seen, part]
    return found


def test_the_grouping_is_blocks_along_the_diagonal():
    np.testing.assert_array_equal(
        grouping(2, 4), [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]
    )
    np.testing.assert_array_equal(grouping(3, 3), np.eye(3))
    assert grouping(1, 5).sum() == 25 and grouping(1, 5).dtype == np.float32


@pytest.mark.parametrize("backend", ["reference", "chunked"])
@pytest.mark.parametrize(
    ("dtype", "near"),
    [(np.float32, 1e-5), pytest.param(np.float64, 1e-12, marks=pytest.mark.slow)],
)
def test_one_program_serves_all_head_counts(backend, dtype, near):
    """Values and gradients are the paper's, and those of heads cut out whole."""
    close = partial(np.testing.assert_allclose, rtol=near, atol=near)
    with jax.enable_x64(dtype == np.float64):
        rows = [x.astype(dtype) for x in (QUERY, KEY, VALUE)]

        @jax.jit
        def every(matrices):
            def one(matrix):
                return pulled(partial(sliced, matrix, backend=backend), rows)

            return jax.vmap(one)(matrices)

        outputs, gradients = every(np.stack([grouping(heads, SLICES) for heads in COUNTS]))
        assert outputs.dtype == dtype
        for at, heads in enumerate(COUNTS):
            close(outputs[at], plain(heads, *(x.astype(np.float64) for x in rows)))
            wanted, wanted_gradients = pulled(partial(split, heads), rows)
            close(outputs[at], wanted)
            for found, other in zip(gradients, wanted_gradients, strict=True):
                close(found[at], other)


@pytest.mark.parametrize("heads", [2, 8])
def test_every_slice_has_the_weights_of_its_head(heads):
    rows, matrix = (QUERY, KEY), grouping(heads, SLICES)
    weights = np.asarray(sliced(matrix, rows, explain))
    close(weights, np.repeat(split(heads, rows, explain), SLICES // heads, axis=1))
    np.testing.assert_array_equal(sliced(matrix, rows, explain, heads=[5, 0]), weights[:, [5, 0]])


def test_masked_sources_influence_nothing():
    key, value, matrix = KEY.copy(), VALUE.copy(), grouping(4, SLICES)
    key[1, 5, 3], value[1, 6, 0] = np.nan, np.inf
    clean = sliced(matrix, (QUERY, KEY, VALUE))
    np.testing.assert_array_equal(sliced(matrix, (QUERY, key, value)), clean)


def test_short_floats_sum_in_float32():
    query, key = (jnp.asarray(split_heads(x, SLICES), jnp.bfloat16) for x in (QUERY, KEY))
    found = sliced_dot(query, key, grouping=grouping(2, SLICES))
    assert found.dtype == jnp.float32
    wide = sliced_dot(query.astype(jnp.float32), key.astype(jnp.float32), grouping=grouping(2, 8))
    close(found, wide)


@pytest.mark.parametrize("heads", [0, 3, 16])
def test_refuses_heads_that_the_slices_do_not_make(heads):
    with pytest.raises(ValueError, match=f"heads is {heads}; it must divide the number of slices"):
        grouping(heads, SLICES)


def test_refuses_a_grouping_of_another_size():
    rows = (split_heads(x, SLICES) for x in (QUERY, KEY))
    with pytest.raises(ValueError, match=r"grouping has shape \[4, 4\], wanted \[H, H\]"):
        sliced_dot(*rows, grouping=grouping(2, 4))
