import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex

from attention_jax.analysis.variants import compare
from attention_jax.views import comparison_plots
from attention_jax.views.figure import png, save
from attention_jax.views.style import INK, looks, titled
from tests.views.layout import overlapping
from tests.views.made_up import RECORDS


def test_learning_curves_show_runs_thin_and_means_thick():
    curves = {
        (variant, seed): [(step, 3 / (1 + step) + 0.01 * seed) for step in (100, 200, 300)]
        for variant in ("1 head", "4 heads")
        for seed in (0, 1)
    }
    curves["4 heads", 1] = curves["4 heads", 1][:2]
    figure = comparison_plots.learning_curves(curves, label="validation loss")
    (axes,) = figure.axes
    assert axes.get_xlabel() == "training step"
    assert axes.get_ylabel() == "validation loss (log scale)"
    thin = [line for line in axes.lines if line.get_linewidth() < 1]
    thick = [line for line in axes.lines if line.get_linewidth() > 2]
    assert (len(thin), len(thick)) == (4, 2)
    assert [line.get_label() for line in thick] == ["1", "4"]
    legend = axes.get_legend()
    assert legend is not None and legend.get_title().get_text() == "heads"
    # The mean ends where the shortest run does.
    np.testing.assert_array_equal(np.asarray(thick[1].get_xdata()), [100, 200])
    np.testing.assert_allclose(
        np.asarray(thick[1].get_ydata(), float), [3 / 101 + 0.005, 3 / 201 + 0.005]
    )


def test_a_metric_has_a_line_a_seed_and_a_mean():
    comparison = compare(RECORDS)
    (axes,) = comparison_plots.metric_by_variant(comparison, comparison.primary).axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "2"]
    assert axes.get_xlabel() == "heads"
    assert len(axes.lines) == 4
    np.testing.assert_allclose(np.asarray(axes.lines[-1].get_ydata(), float), [0.102, 0.204])


@pytest.mark.parametrize(
    ("name", "label", "values"),
    [
        ("validation_exact", "validation exact match (%)", [50, 50]),
        ("memory", "memory (MiB)", [1024, 1024]),
        ("tokens_per_second", "tokens/s", [5000, 5000]),
    ],
)
def test_metrics_are_drawn_in_the_unit_they_are_named_with(name, label, values):
    comparison = compare(RECORDS)
    metric = next(metric for metric in comparison.metrics if metric.name == name)
    (axes,) = comparison_plots.metric_by_variant(comparison, metric).axes
    assert axes.get_ylabel() == label
    np.testing.assert_allclose(np.asarray(axes.lines[-1].get_ydata(), float), values)


def test_differences_carry_their_intervals():
    comparison = compare(RECORDS)
    (axes,) = comparison_plots.differences(comparison, comparison.primary).axes
    assert axes.get_ylabel() == "test loss, minus 1 head"
    (bar,) = axes.containers
    (segment,) = bar[2][0].get_segments()
    found = comparison.rows[1].cells["test_loss"].difference
    assert found is not None
    assert found.low is not None and found.high is not None
    np.testing.assert_allclose(segment[:, 1], [found.low, found.high])


@pytest.mark.parametrize("draw", [comparison_plots.metric_by_variant, comparison_plots.differences])
def test_without_runs_the_figure_says_so(draw):
    comparison = compare([])
    (axes,) = draw(comparison, comparison.primary).axes
    assert "yet" in axes.texts[0].get_text()


def test_one_variant_is_drawn():
    comparison = compare(RECORDS[:1])
    (axes,) = comparison_plots.metric_by_variant(comparison, comparison.primary).axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1"]


def test_labels_of_long_variants_never_overlap():
    names = ["multi-head, 8 key/value heads", "grouped, 4 key/value heads", "multi-query " * 6]
    names += ["wide", "another one with many words"]
    records = [
        {**one, "variant": name, "loss": one["loss"] + place}
        for place, name in enumerate(names)
        for one in RECORDS[:2]
    ]
    comparison = compare(records)
    for draw in (comparison_plots.metric_by_variant, comparison_plots.differences):
        figure = draw(comparison, comparison.primary)
        renderer = FigureCanvasAgg(figure).get_renderer()
        figure.draw(renderer)
        (axes,) = figure.axes
        labels = axes.get_xticklabels()
        assert len(labels) >= 4
        assert overlapping(labels, renderer) == []
        box = axes.yaxis.label.get_window_extent(renderer)
        assert box.y0 >= figure.bbox.y0 and box.y1 <= figure.bbox.y1


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        (["1 head", "16 heads"], ("heads", ["1", "16"])),
        (["2 key/value heads"], ("key/value heads", ["2"])),
        (["1 head", "2 layers"], ("", ["1 head", "2 layers"])),
        (["wide"], ("", ["wide"])),
        ([], ("", [])),
    ],
)
def test_what_labels_have_in_common_names_the_axis(labels, found):
    assert titled(labels) == found


def test_variants_differ_in_lightness_marker_and_dashes():
    for theme in ("light", "dark"):
        found = list(looks(["a", "b", "c", "d"], theme).values())
        grey = [0.2126 * r + 0.7152 * g + 0.0722 * b for (r, g, b, _), _, _ in found]
        assert min(np.diff(grey)) > 0.05
        assert len({marker for _, marker, _ in found}) == 4
        assert len({str(dashes) for _, _, dashes in found}) == 4


def test_a_dark_figure_is_dark_when_drawn_later(tmp_path):
    comparison = compare(RECORDS)
    figure = comparison_plots.metric_by_variant(comparison, comparison.primary, theme="dark")
    path = save(figure, tmp_path / "metric.png")
    assert path.read_bytes().startswith(b"\x89PNG")
    label = figure.axes[0].get_yticklabels()[0]
    assert to_hex(label.get_color()) == INK["dark"]


def test_an_image_is_small_and_its_colours_stay(tmp_path):
    from PIL import Image

    comparison = compare(RECORDS)
    figure = comparison_plots.metric_by_variant(comparison, comparison.primary)
    small = png(figure)
    whole = save(figure, tmp_path / "whole.png")
    assert len(small) < whole.stat().st_size / 1.5
    (tmp_path / "small.png").write_bytes(small)
    images = [np.asarray(Image.open(path).convert("RGB"), float) for path in tmp_path.glob("*.png")]
    assert images[0].shape == images[1].shape
    assert np.abs(images[0] - images[1]).max() < 40
    assert np.abs(images[0] - images[1]).mean() < 0.5


def test_an_unknown_theme_is_refused():
    with pytest.raises(ValueError, match="found theme='sepia'"):
        comparison_plots.learning_curves({}, label="loss", theme="sepia")  # pyright: ignore[reportArgumentType]


def test_no_global_state_of_pyplot_is_touched():
    import matplotlib

    before = dict(matplotlib.rcParams)
    comparison_plots.learning_curves({("1 head", 0): [(1, 2.0)]}, label="loss")
    assert dict(matplotlib.rcParams) == before
