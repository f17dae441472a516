"""Cells of pictures against plain loops, and as the convolution that they make."""

import jax
import numpy as np
import pytest

from attention_jax.functional.cells import beside, blocks

RNG = np.random.default_rng(0)


def test_blocks_are_those_of_a_loop():
    x = RNG.normal(size=(2, 4, 6, 3)).astype(np.float32)
    found = blocks(x, 2)
    assert found.shape == (2, 2, 3, 12)
    for row in range(2):
        for column in range(3):
            block = x[:, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            np.testing.assert_array_equal(found[:, row, column], block.reshape(2, -1))


def test_a_product_with_neighbours_is_a_convolution():
    x = RNG.normal(size=(2, 4, 5, 3)).astype(np.float32)
    kernel = RNG.normal(size=(3, 3, 3, 4)).astype(np.float32)
    form = ("NHWC", "HWIO", "NHWC")
    wanted = jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=form)
    np.testing.assert_allclose(beside(x) @ kernel.reshape(27, 4), wanted, atol=1e-5)


@pytest.mark.parametrize("size", [0, 4])
def test_blocks_that_do_not_fit_are_refused(size):
    with pytest.raises(ValueError, match=f"size is {size}; it must divide 4 rows and 6 columns"):
        blocks(np.zeros((4, 6, 3), np.float32), size)
