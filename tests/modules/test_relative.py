"""Attention that is told distances: against NumPy loops over pairs, and step by step."""

import math

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from attention_jax.functional import dot
from attention_jax.functional.masks import Causal
from attention_jax.modules import MultiHeadAttention, RelativeAttention

WIDTH, HEADS, SIZE, REACH = 8, 2, 4, 2
X = np.random.default_rng(0).normal(size=(2, 18, WIDTH)).astype(np.float32)
TOLD = ("relative", "t5", "rotary", "alibi")


def made(distances, *, causal=True, **sizes):
    return RelativeAttention(
        WIDTH, HEADS, distances=distances, reach=REACH, causal=causal, rngs=nnx.Rngs(0), **sizes
    )


def bucket(ahead, causal):
    """Of 2·REACH buckets up to distance 8·REACH, in the words of Raffel et al.'s code."""
    half = 2 * REACH if causal else REACH
    first = half if ahead > 0 and not causal else 0
    away = max(-ahead, 0) if causal else abs(ahead)
    exact = half // 2
    if away < exact:
        return first + away
    share = math.log(away / exact) / math.log(8 * REACH / exact)
    return first + min(half - 1, exact + int(share * (half - exact) + 1e-9))


def turned(row, position):
    """Pairs (i, i + K/2) as complex numbers, each turned by its own angle."""
    half = SIZE // 2
    angles = position * 10_000.0 ** (-np.arange(half) / half)
    numbers = (row[:half] + 1j * row[half:]) * np.exp(1j * angles)
    return np.concatenate([numbers.real, numbers.imag])


def oracle(module, x, causal):
    """Pair by pair in float64, from the module's own parameters."""
    kernel = {
        name: np.asarray(getattr(module, name).kernel[...], np.float64)
        for name in ("query", "key", "value", "output")
    }
    found = np.zeros((len(x), x.shape[1], HEADS * SIZE))
    for batch, head, i in np.ndindex(len(x), HEADS, x.shape[1]):
        mine = slice(head * SIZE, (head + 1) * SIZE)
        q = x[batch, i] @ kernel["query"][:, mine]
        logits, values = [], []
        for j in range(i + 1 if causal else x.shape[1]):
            k, v = x[batch, j] @ kernel["key"][:, mine], x[batch, j] @ kernel["value"][:, mine]
            bias, query = 0.0, q
            if module.distances == "relative":
                row = min(max(j - i, -REACH), REACH) + REACH
                k = k + np.asarray(module.key_rows[...])[row]
                v = v + np.asarray(module.value_rows[...])[row]
            elif module.distances == "t5":
                bias = np.asarray(module.buckets[...])[bucket(j - i, causal), head]
            elif module.distances == "rotary":
                query, k = turned(q, i), turned(k, j)
            elif module.distances == "alibi":
                bias = -(2.0 ** (-8 * (head + 1) / HEADS)) * abs(i - j)
            logits.append(query @ k / math.sqrt(SIZE) + bias)
            values.append(v)
        weights = np.exp(logits - np.max(logits))
        found[batch, i, mine] = weights / weights.sum() @ np.array(values)
    return found @ kernel["output"]


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("distances", TOLD)
def test_agrees_with_a_loop_over_pairs(distances, causal):
    module = made(distances, causal=causal)
    found = module(X, X, mask=Causal() if causal else None)
    np.testing.assert_allclose(found, oracle(module, X, causal), atol=1e-5)


@pytest.mark.parametrize("distances", TOLD)
def test_steps_give_the_rows_of_the_whole(distances):
    module = made(distances)
    whole = module(X, X, mask=Causal())
    keys, values = np.zeros((2, *X.shape[:2], HEADS, SIZE), np.float32)
    for at in range(6):
        rows, position = X[:, at : at + 1], jnp.int32(at)
        keys[:, at : at + 1], values[:, at : at + 1] = module.sources(rows, position)
        query = module.queries(rows, position)
        found = module.read(query, keys, values, Causal(position), begin=position)
        np.testing.assert_allclose(found[:, 0], whole[:, at], atol=1e-5)


@pytest.mark.parametrize("distances", TOLD)
def test_what_a_row_reads_depends_on_distances_alone(distances):
    module = made(distances)
    key, value = module.sources(X, 5)
    found = module.read(module.queries(X, 5), key, value, Causal())
    np.testing.assert_allclose(found, module(X, X, mask=Causal()), atol=1e-5)
    turned = X[:, ::-1]
    other = module(turned, turned, mask=None)[:, ::-1]
    assert not np.allclose(other, module(X, X, mask=None), atol=1e-3) or distances == "alibi"


def test_without_distances_it_is_plain_attention():
    module, plain = made("none"), MultiHeadAttention(WIDTH, HEADS, rngs=nnx.Rngs(0))
    np.testing.assert_array_equal(module(X, X, mask=Causal()), plain(X, X, mask=Causal()))
    np.testing.assert_array_equal(module.explain(X, X), plain.explain(X, X))


@pytest.mark.parametrize("distances", ["none", *TOLD])
def test_no_heads_give_nothing(distances):
    module = RelativeAttention(8, 0, head_size=4, distances=distances, rngs=nnx.Rngs(0))
    assert not np.any(module(X, X)) and module.explain(X, X).shape == (2, 0, 18, 18)


def test_a_score_of_ones_own_fits_all_but_the_relative_one():
    for distances in ("t5", "rotary", "alibi"):
        module = made(distances)
        assert not np.allclose(module(X, X, score=dot), module(X, X))
    with pytest.raises(ValueError, match="score is dot, but positions are 'relative'"):
        made("relative")(X, X, score=dot)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"distances": "near"}, "distances is 'near'; one of .* fits"),
        ({"reach": 1}, "reach is 1; it must be at least 2"),
        ({"distances": "rotary", "head_size": 3}, "head_size is 3; .* even number would fit"),
    ],
)
def test_what_cannot_be_is_refused(change, words):
    with pytest.raises(ValueError, match=words):
        RelativeAttention(WIDTH, HEADS, **change, rngs=nnx.Rngs(0))
