import numpy as np
import pytest

from attention_jax.views.line_plots import bars, lines
from tests.views.layout import well_placed


def test_lines_hold_their_points_and_bands():
    x = [1, 2, 4]
    series = {"scaled": (x, [1, 1, np.inf]), "plain": (x, [1, 2, 4], [0, 1, 3], [2, 3, 5])}
    figure = lines(series, x_label="width", y_label="variance", log_x=True, title="Growth")
    (axes,) = figure.axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "linear")
    first, second = (np.asarray(line.get_xydata(), float) for line in axes.lines)
    np.testing.assert_array_equal(first, [[1, 1], [2, 1], [4, np.nan]])
    np.testing.assert_array_equal(second, [[1, 1], [2, 2], [4, 4]])
    (band,) = axes.collections
    assert band.get_datalim(axes.transData).bounds == (1, 0, 3, 5)
    assert {"width", "variance", "scaled", "plain", "Growth"} <= set(well_placed(figure))
    looks = [(line.get_color(), line.get_linestyle(), line.get_marker()) for line in axes.lines]
    assert all(one != other for one, other in zip(*looks, strict=True))


@pytest.mark.parametrize(
    "series",
    [{}, {"a": ([1],)}, {"a": ([1, 2], [1])}, {"a": ([1], [1], [1])}, {"a": ([[1]], [[1]])}],
)
def test_series_that_do_not_fit_are_refused(series):
    with pytest.raises(ValueError, match="would fit"):
        lines(series, x_label="x", y_label="y")


@pytest.mark.parametrize("count", [1, 4, 40])
def test_bars_are_as_high_as_their_numbers(count):
    names = ["full", "a window of three", "konvolutionsschicht", "-", "five"]
    values = {f"{names[place % 5]} {place}": place / 2 - 1 for place in range(count)}
    figure = bars(values, x_label="reading", y_label="share", title="Seen")
    (axes,) = figure.axes
    assert [bar.get_height() for bar in axes.patches] == list(values.values())
    said = well_placed(figure)
    assert {"share", "reading", "Seen"} <= set(said)
    assert ("−1" in said) == (count <= 16)
    shown = [label.get_text().replace("\n", " ") for label in axes.get_xticklabels()]
    assert shown == list(values)


@pytest.mark.parametrize("values", [{}, {"a": np.nan}])
def test_numbers_that_cannot_be_drawn_are_refused(values):
    with pytest.raises(ValueError, match="all finite"):
        bars(values)


@pytest.mark.parametrize("top", [4, 300, 1e6])
def test_ticks_of_log_axes_are_plain_numbers(top):
    x = np.geomspace(1, top, 9)
    figure = lines({"a": (x, x)}, x_label="x", y_label="y", log_x=True, log_y=True)
    ticks = [text for text in well_placed(figure) if text not in ("x", "y", "a")]
    assert 4 <= len(ticks) <= 16
    assert all(float(tick) > 0 for tick in ticks)
