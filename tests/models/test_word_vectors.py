"""Skip-gram: each part by numbers worked out by hand or in plain loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attention_jax.models.word_vectors import (
    WordVectorsConfig,
    kept,
    nearest,
    neighbours,
    noise_odds,
    skip_gram_loss,
    thinned,
)


def test_frequent_words_stay_less_often():
    counts = jnp.array([0.0, 1.0, 9.0, 90.0])
    np.testing.assert_allclose(kept(counts, 0.01), [1, 1, (1 / 9) ** 0.5, (1 / 90) ** 0.5], 1e-6)
    np.testing.assert_array_equal(kept(counts, None), np.ones(4))


def test_noise_is_drawn_by_a_power_of_the_counts():
    counts = jnp.array([0.0, 1.0, 16.0, 81.0])
    np.testing.assert_allclose(noise_odds(counts, 0.75), np.array([0, 1, 8, 27]) / 36, 1e-6)
    np.testing.assert_allclose(noise_odds(counts, 0.0), np.array([0, 1, 1, 1]) / 3, 1e-6)


def test_what_is_left_closes_up():
    tokens, lines = jnp.array([[5, 6, 7, 8, 0]]), jnp.array([[1, 1, 2, 2, 0]])
    stays = jnp.array([[True, False, False, True, True]])
    tokens, lines = thinned(tokens, lines, stays)
    assert tokens.tolist() == [[5, 8, 0, 0, 0]]
    assert lines[:, :2].tolist() == [[1, 2]]


def test_neighbours_are_near_in_the_same_line_and_not_oneself():
    draw = np.random.default_rng(0)
    tokens, lines = draw.integers(0, 3, (4, 9)), np.sort(draw.integers(0, 3, (4, 9)))
    reach = draw.integers(1, 4, (4, 9))
    found = neighbours(jnp.array(tokens), jnp.array(lines), jnp.array(reach))
    wanted = [
        [
            [
                0 < abs(t - s) <= reach[b, t]
                and lines[b, t] == lines[b, s]
                and tokens[b, t] > 0 < tokens[b, s]
                for s in range(9)
            ]
            for t in range(9)
        ]
        for b in range(4)
    ]
    np.testing.assert_array_equal(found, wanted)
    assert 10 < np.sum(wanted) < 100


def loss_in_loops(words, contexts, noise, pairs, negatives):
    def surprise(logit):  # -log σ
        return np.log1p(np.exp(-logit))

    found = []
    for b, t, s in zip(*np.nonzero(pairs), strict=True):
        far = [surprise(-noise_word @ words[b, t]) for noise_word in noise]
        found.append(surprise(contexts[b, s] @ words[b, t]) + negatives * np.mean(far))
    return np.mean(found)


def test_the_loss_is_that_of_the_paper():
    draw = np.random.default_rng(1)
    words, contexts = draw.normal(size=(2, 3, 5, 4))
    noise, pairs = draw.normal(size=(7, 4)), draw.random((3, 5, 5)) < 0.3
    one, other, far = (jnp.asarray(x, jnp.float32) for x in (words, contexts, noise))
    found = skip_gram_loss(one, other, far, jnp.array(pairs), negatives=5)
    np.testing.assert_allclose(found, loss_in_loops(words, contexts, noise, pairs, 5), rtol=1e-5)


def test_a_centre_without_a_pair_moves_nothing():
    words, contexts, noise = jnp.ones((1, 2, 3)), jnp.ones((1, 2, 3)), jnp.ones((4, 3))
    pairs = jnp.zeros((1, 2, 2), bool).at[0, 0, 1].set(True)
    slope = jax.grad(skip_gram_loss)(words, contexts, noise, pairs, negatives=2)
    assert bool((slope[0, 0] != 0).all()) and bool((slope[0, 1] == 0).all())
    nothing = skip_gram_loss(words, contexts, noise, jnp.zeros_like(pairs), negatives=2)
    assert float(nothing) == 0


VECTORS = np.array([[0, 0], [2, 0], [3, 3], [-1, 0], [0, 0.5]], np.float32)
NAMES = ("none", "east", "northeast", "west", "north")


def test_nearest_is_by_direction():
    found = nearest(VECTORS, NAMES, "east", 4)
    assert [name for name, _ in found] == ["northeast", "none", "north", "west"]
    np.testing.assert_allclose([cosine for _, cosine in found], [0.5**0.5, 0, 0, -1], atol=1e-6)
    assert nearest(VECTORS, NAMES, "north", 1) == [("northeast", pytest.approx(0.5**0.5))]


@pytest.mark.parametrize(
    ("vectors", "word", "count", "said"),
    [
        (VECTORS, "eats", 1, "'eats' is none of the 5 tokens; near it are east"),
        (VECTORS, "east", 0, "count is 0"),
        (VECTORS[:3], "east", 1, "3 vectors and 5 tokens"),
    ],
)
def test_nearest_says_what_does_not_fit(vectors, word, count, said):
    with pytest.raises(ValueError, match=said):
        nearest(vectors, NAMES, word, count)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"width": 0}, "width is 0; at least 1"),
        ({"window": 0}, "window is 0"),
        ({"negatives": 0}, "negatives is 0"),
        ({"noise": 0}, "noise is 0"),
        ({"least": 0}, "least is 0"),
        ({"epochs": 0}, "epochs is 0"),
        ({"batch": 0}, "batch is 0"),
        ({"power": 1.5}, "power is 1.5; a number from 0 to 1"),
        ({"threshold": 0.0}, "threshold is 0.0; a frequency above 0"),
        ({"threshold": float("nan")}, "threshold is nan"),
        ({"rate": 1.0}, "rate is 1.0; a number between 0 and 1"),
    ],
)
def test_a_config_refuses_impossible_values(fields, said):
    with pytest.raises(ValueError, match=said):
        WordVectorsConfig(**fields)
