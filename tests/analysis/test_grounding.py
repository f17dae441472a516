"""Attention inside boxes, against counting very small pixels."""

import math

import numpy as np
import pytest

from attention_jax.analysis.grounding import grounding, joined, shares

RNG = np.random.default_rng(0)


def counted(box, rows, columns, height, width, fine=6):
    """Each cell's share inside the box, from a picture of `fine` by `fine` dots a pixel."""
    picture = np.zeros((height * fine, width * fine))
    top, left, bottom, right = (fine * edge for edge in box)
    picture[top:bottom, left:right] = 1
    cells = picture.reshape(rows, height * fine // rows, columns, width * fine // columns)
    return cells.mean((1, 3)).ravel()


@pytest.mark.parametrize("rows, columns", [(3, 3), (9, 9), (4, 6)])
def test_shares_are_areas(rows, columns):
    boxes = np.array([[0, 0, 12, 12], [3, 5, 10, 16], [11, 11, 12, 12], [0, 0, 0, 0], [6, 2, 6, 9]])
    found = shares(boxes, rows, columns, 12, 18)
    for box, share in zip(boxes, found, strict=True):
        np.testing.assert_allclose(share, counted(box, rows, columns, 12, 18), atol=1e-12)


def test_uniform_attention_has_the_boxs_share_of_the_picture():
    boxes = np.array([[1, 2, 8, 9], [0, 0, 12, 6]])
    inside = shares(boxes, 3, 3, 12, 12)
    found = grounding(np.full((2, 9), 1 / 9), inside)
    np.testing.assert_allclose([found.inside, found.uniform], (49 + 72) / 288)
    assert found.rows == 2 and math.isclose(found.lift, 1)


def test_means_over_rows_that_have_a_box():
    weights = RNG.dirichlet(np.ones(4), size=5)
    inside = np.array([[1, 0.5, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1], [0.25, 0, 0, 0], [0, 0, 0, 0]])
    found = grounding(weights, inside)
    some = [0, 2, 3]
    wanted = sum(sum(w * s for w, s in zip(weights[n], inside[n], strict=True)) for n in some) / 3
    assert found.rows == 3 and math.isclose(found.inside, wanted)
    assert math.isclose(found.uniform, (1.5 + 1 + 0.25) / 12)
    hits = [inside[n][np.argmax(weights[n])] > 0 for n in some]
    assert math.isclose(found.pointing, sum(hits) / 3)
    assert math.isclose(found.pointing_uniform, (2 + 1 + 1) / 12)
    assert math.isclose(found.record()["lift"], found.inside / found.uniform)


def test_nothing_to_judge_is_nothing_known():
    found = grounding(np.full((2, 4), 0.25), np.zeros((2, 4)))
    assert found.rows == 0 and found.record()["inside"] is None and found.record()["lift"] is None


def test_several_boxes_count_together():
    each = shares(np.array([[[0, 0, 6, 6], [6, 6, 12, 12], [0, 6, 6, 12]]]), 2, 2, 12, 12)
    both = joined(each, np.array([[True, True, False]]))
    np.testing.assert_array_equal(both, [[1, 0, 0, 1]])


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"boxes of shape \[3\] for 2 by 2 cells"):
        shares(np.zeros(3), 2, 2, 12, 12)
    with pytest.raises(ValueError, match="sizes from 1 would fit"):
        shares(np.zeros(4), 0, 2, 12, 12)
    with pytest.raises(ValueError, match=r"weights have shape \[2, 4\] and shares \[2, 3\]"):
        grounding(np.zeros((2, 4)), np.zeros((2, 3)))
