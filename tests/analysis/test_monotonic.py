"""How attention follows a sound, against plain loops and SciPy."""

import numpy as np
import pytest
from scipy import stats

from attention_jax.analysis.monotonic import centres, monotonic

ROWS, HEADS, STEPS, SOURCES = 5, 3, 6, 11


@pytest.fixture(scope="module")
def case():
    chance = np.random.default_rng(0)
    counts, lengths = np.array([6, 4, 2, 1, 3]), np.array([11, 9, 7, 8, 5])
    weights = chance.random((ROWS, HEADS, STEPS, SOURCES)) ** 3
    weights *= np.arange(SOURCES) < lengths[:, None, None, None]
    weights /= weights.sum(-1, keepdims=True)
    weights[4, 0, 1] = weights[4, 0, 0]  # equal centres share a rank
    begins = chance.random((ROWS, STEPS)) * lengths[:, None]
    spans = np.stack([begins, begins + 3 * chance.random((ROWS, STEPS))], -1)
    return weights, spans, np.arange(STEPS) < counts[:, None], lengths


def test_against_loops(case):
    weights, spans, steps, lengths = case
    found = monotonic(*case)
    for head in range(HEADS):
        forward, inside, uniform, order = [], [], [], []
        for row in range(ROWS):
            where = []
            for step in range(int(steps[row].sum())):
                one = weights[row, head, step]
                where.append(sum(place * share for place, share in enumerate(one)))
                begin, end = spans[row, step]
                there = [place for place in range(SOURCES) if begin <= place < end]
                inside.append(sum(one[place] for place in there))
                uniform.append(sum(place < lengths[row] for place in there) / lengths[row])
            forward += [after > before for before, after in zip(where, where[1:], strict=False)]
            if len(where) > 1:
                order.append(stats.spearmanr(range(len(where)), where).statistic)
        np.testing.assert_allclose(found.forward[head], np.mean(forward))
        np.testing.assert_allclose(found.inside[head], np.mean(inside))
        np.testing.assert_allclose(found.uniform, np.mean(uniform))
        np.testing.assert_allclose(found.order[head], np.mean(order), atol=1e-12)


def test_a_head_that_follows_and_one_that_goes_back():
    weights = np.zeros((1, 3, 4, 8))
    for step in range(4):
        weights[0, 0, step, 2 * step] = 1
        weights[0, 1, step, 6 - 2 * step] = 1
    weights[0, 2] = 1 / 8
    spans = np.stack([2.0 * np.arange(4), 2.0 * np.arange(4) + 2], -1)[None]
    found = monotonic(weights, spans, np.ones((1, 4), bool), np.array([8]))
    assert found.forward.tolist() == [1, 0, 0] and found.order.tolist() == [1, -1, 0]
    np.testing.assert_allclose(found.inside, [1, 0, 0.25])
    assert found.uniform == 0.25
    assert centres(weights)[0, 0].tolist() == [0, 2, 4, 6]


def test_what_does_not_count_changes_nothing(case):
    weights, spans, steps, lengths = case
    filled = np.where(steps[:, None, :, None], weights, 7.0)
    other = monotonic(filled, np.where(steps[..., None], spans, 3), steps, lengths)
    for one, two in zip(monotonic(*case), other, strict=True):
        np.testing.assert_array_equal(one, two)


def test_nothing_to_count_gives_none():
    found = monotonic(np.ones((1, 2, 3, 4)), np.zeros((1, 3, 2)), np.zeros((1, 3)), [4]).record()
    assert found == {"forward": [None] * 2, "inside": [None] * 2, "order": [None] * 2,
                     "uniform": None}  # fmt: skip


def test_shapes_that_do_not_fit_are_refused(case):
    weights, spans, steps, lengths = case
    with pytest.raises(ValueError, match=r"\(5, 3, 6, 11\), \(5, 5, 2\).* would fit"):
        monotonic(weights, spans[:, :5], steps, lengths)
    with pytest.raises(ValueError, match="would fit"):
        monotonic(weights[0], spans, steps, lengths)
