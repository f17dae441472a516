"""Rollout: what plain loops give, and layers whose answer is known."""

import numpy as np
import pytest

from attention_jax.analysis.rollout import rollout


def drawn(*shape, seed=0):
    weights = np.random.default_rng(seed).random(shape)
    return weights / weights.sum(-1, keepdims=True)


def by_hand(layers, residual):
    """The paper's recursion, place by place."""
    places, before, found = layers[0].shape[-1], None, []
    for layer in layers:
        after = np.zeros((places, places))
        for t in range(places):
            shares = []
            for s in range(places):
                mean = sum(head[t][s] for head in layer) / len(layer)
                shares.append((1 - residual) * mean + residual * (t == s))
            for s in range(places):
                if before is None:
                    after[t, s] = shares[s] / sum(shares)
                else:
                    after[t, s] = sum(w * before[m, s] for m, w in enumerate(shares)) / sum(shares)
        before = after
        found.append(after)
    return np.array(found)


@pytest.mark.parametrize("residual", [0.5, 0.0, 0.2])
def test_it_is_what_loops_give(residual):
    layers = [drawn(2, 5, 5), drawn(3, 5, 5, seed=1), drawn(1, 5, 5, seed=2)]
    found = rollout(layers, residual=residual)
    np.testing.assert_allclose(found, by_hand(layers, residual), atol=1e-12)
    np.testing.assert_allclose(found.sum(-1), 1)


def test_batches_are_rows_by_themselves():
    weights = drawn(2, 3, 4, 5, 5)  # layers, batch, heads
    found = rollout(weights)
    assert found.shape == (2, 3, 5, 5)
    for row in range(3):
        np.testing.assert_allclose(found[:, row], rollout(weights[:, row]))


def test_known_answers():
    weights = drawn(2, 2, 4, 4)
    np.testing.assert_array_equal(rollout(weights, residual=1.0), np.tile(np.eye(4), (2, 1, 1)))
    # Each place reads the one before it: after two layers it is made of the one two before.
    back = np.eye(4)[[3, 0, 1, 2]][None]
    np.testing.assert_array_equal(rollout([back, back], residual=0.0)[1], np.eye(4)[[2, 3, 0, 1]])
    nothing = np.zeros((1, 4, 4))
    assert not rollout([nothing], residual=0.0).any()
    np.testing.assert_array_equal(rollout([nothing])[0], np.eye(4))


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ([], "at least one layer"),
        ([np.ones((2, 3, 4))], r"\[\[2, 3, 4\]\]"),
        ([np.ones((0, 3, 3))], "with a head"),
        ([np.ones((1, 3, 3)), np.ones((1, 4, 4))], "the same"),
        ([np.ones((3, 3))], "H, T, T"),
    ],
)
def test_shapes_that_do_not_fit(weights, said):
    with pytest.raises(ValueError, match=said):
        rollout(weights)


def test_a_share_out_of_range():
    with pytest.raises(ValueError, match="residual is 1.5"):
        rollout([np.eye(3)[None]], residual=1.5)
