"""Maxout against its definition."""

import jax
import numpy as np
import pytest

from attention_jax.functional.maxout import maxout

X = np.random.default_rng(0).normal(size=(2, 5, 12)).astype(np.float32)


@pytest.mark.parametrize("pieces", [1, 2, 3, 12])
def test_the_largest_of_neighbours(pieces):
    found = maxout(X, pieces)
    for place in np.ndindex(2, 5, 12 // pieces):
        *row, feature = place
        assert found[place] == max(X[*row, feature * pieces : (feature + 1) * pieces])


def test_only_the_largest_has_a_gradient():
    gradient = jax.grad(lambda x: maxout(x).sum())(X)
    pairs = X.reshape(2, 5, 6, 2)
    wanted = (pairs == pairs.max(-1, keepdims=True)).reshape(X.shape)
    np.testing.assert_array_equal(gradient, wanted)


@pytest.mark.parametrize("pieces", [5, 0])
def test_pieces_that_do_not_divide_are_refused(pieces):
    with pytest.raises(ValueError, match=f"pieces is {pieces}; it must divide the 12"):
        maxout(X, pieces)
