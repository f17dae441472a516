"""What counts of neighbours tell of a hidden word, against sums by hand."""

import numpy as np
import pytest

from attention_jax.data.neighbours import Neighbours

ROWS = [np.array(row) for row in ([1, 3, 4, 2], [1, 3, 5, 2], [1, 3, 4, 2], [1, 6, 5, 2])]


def test_shares_are_those_of_counts():
    found = Neighbours(ROWS, 7).shares(3, 2, 1.0)
    counts = np.array([0, 0, 0, 3, 2, 2, 1]) + 0.01
    alone = counts / counts.sum()
    np.testing.assert_allclose(found["most_frequent"], alone)
    left = (np.array([0, 0, 0, 0, 2, 1, 0]) + alone) / 4
    right = (np.array([0, 0, 0, 0, 2, 2, 0]) + alone) / 5
    np.testing.assert_allclose(found["left"], left)
    np.testing.assert_allclose(found["right"], right)
    chain = left * right / alone
    np.testing.assert_allclose(found["chain"], chain / chain.sum())
    both = (np.array([0, 0, 0, 0, 2, 1, 0]) + chain / chain.sum()) / 4
    np.testing.assert_allclose(found["both"], both)


def test_two_neighbours_tell_what_one_does_not():
    rows = [np.array([1, left, 10 * left + right, right, 2]) for left in (3, 4) for right in (5, 6)]
    counts = Neighbours(rows * 3, 60)
    found = counts.accuracy(
        [(left, 10 * left + right, right) for left in (3, 4) for right in (5, 6)]
    )
    assert found["both"] == found["chain"] == 1
    assert found["left"] == found["right"] == 0.5


@pytest.mark.parametrize(("hidden", "weight"), [([], 1.0), ([(1, 3, 4)], 0.0)])
def test_no_words_and_no_weight_are_refused(hidden, weight):
    with pytest.raises(ValueError, match="at least one, and a number above 0, would fit"):
        Neighbours(ROWS, 7).accuracy(hidden, weight)
