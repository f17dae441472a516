"""Convolution and the gated linear unit against loops."""

import jax
import numpy as np
import pytest

from attention_jax.functional.convolution import convolve, glu

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("batch", [(), (2,), (2, 3)], ids=str)
@pytest.mark.parametrize(
    "width, before, after", [(3, 2, 0), (3, 1, 1), (4, 0, 0), (1, 0, 0), (2, 3, 1)]
)
def test_every_row_is_the_sum_over_its_neighbours(batch, width, before, after):
    x, bias = RANDOM.normal(size=(*batch, 4, 3)), RANDOM.normal(size=5)
    kernel = RANDOM.normal(size=(width, 3, 5))
    found = convolve(*(np.float32(a) for a in (x, kernel, bias)), before=before, after=after)
    rows = 4 + before + after - (width - 1)
    assert found.shape == (*batch, rows, 5)
    for t in range(rows):
        wanted = np.broadcast_to(bias, (*batch, 5)).copy()
        for w in range(width):
            if 0 <= t + w - before < 4:
                wanted += x[..., t + w - before, :] @ kernel[w]
        np.testing.assert_allclose(found[..., t, :], wanted, atol=1e-5)


def test_zeros_stand_around_the_rows_and_nothing_else_does():
    x = np.full((1, 4, 2), np.nan, np.float32)
    x[:, :2] = 1
    found = convolve(x, np.ones((2, 2, 3), np.float32), before=1)
    np.testing.assert_array_equal(found[0, :2], [[2] * 3, [4] * 3])
    assert np.isnan(found[0, 2:]).all()


@pytest.mark.parametrize(
    "change, words",
    [
        ({"x": (1, 4, 5)}, r"kernel has shape \[3, 2, 6\].*x is \[1, 4, 5\]"),
        ({"bias": (5,)}, r"bias has shape \[5\]"),
        ({"before": -1}, "before is -1 and after 0"),
        ({"x": (1, 2, 2)}, "1 or more together, would fit 2 rows and a kernel of 3"),
    ],
)
def test_what_does_not_fit_is_named(change, words):
    shapes = {"x": (1, 4, 2), "kernel": (3, 2, 6), "bias": (6,), **change}
    before = shapes.pop("before", 0)
    with pytest.raises(ValueError, match=words):
        convolve(**{name: np.ones(shape) for name, shape in shapes.items()}, before=before)


def test_the_second_half_gates_the_first():
    x = RANDOM.normal(size=(2, 3, 8)).astype(np.float32)
    np.testing.assert_allclose(glu(x), x[..., :4] / (1 + np.exp(-x[..., 4:])), atol=1e-6)
    np.testing.assert_allclose(glu(x), jax.nn.glu(x), atol=1e-6)
    with pytest.raises(ValueError, match="x has 7 features"):
        glu(x[..., :7])
