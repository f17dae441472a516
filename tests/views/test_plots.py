import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex

from attention_jax.analysis.head_counts import compare
from attention_jax.views import plots
from attention_jax.views.style import INK, looks

RECORDS = [
    {"heads": heads, "seed": seed, "loss": 0.1 * heads + 0.01 * seed * heads, "exact_match": 0.5}
    for heads in (1, 2)
    for seed in (0, 1, 2)
]


def overlapping(labels, renderer):
    boxes = [label.get_window_extent(renderer) for label in labels if label.get_text()]
    return [
        (first, second)
        for place, first in enumerate(boxes)
        for second in boxes[place + 1 :]
        if first.overlaps(second)
    ]


def test_learning_curves_show_runs_thin_and_means_thick():
    curves = {
        (heads, seed): [(step, 3 / (1 + step) + 0.01 * seed) for step in (100, 200, 300)]
        for heads in (1, 4)
        for seed in (0, 1)
    }
    curves[4, 1] = curves[4, 1][:2]
    figure = plots.learning_curves(curves, label="validation loss")
    (axes,) = figure.axes
    assert axes.get_xlabel() == "training step"
    assert axes.get_ylabel() == "validation loss (log scale)"
    thin = [line for line in axes.lines if line.get_linewidth() < 1]
    thick = [line for line in axes.lines if line.get_linewidth() > 2]
    assert (len(thin), len(thick)) == (4, 2)
    assert [line.get_label() for line in thick] == ["1", "4"]
    # The mean ends where the shortest run does.
    np.testing.assert_array_equal(np.asarray(thick[1].get_xdata()), [100, 200])
    np.testing.assert_allclose(
        np.asarray(thick[1].get_ydata(), float), [3 / 101 + 0.005, 3 / 201 + 0.005]
    )


def test_a_metric_has_a_line_a_seed_and_a_mean():
    comparison = compare(RECORDS)
    figure = plots.metric_by_heads(comparison, comparison.primary)
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "2"]
    assert len(axes.lines) == 4
    np.testing.assert_allclose(np.asarray(axes.lines[-1].get_ydata(), float), [0.11, 0.22])


def test_percentages_are_drawn_as_percentages():
    comparison = compare(RECORDS)
    metric = next(metric for metric in comparison.metrics if metric.name == "validation_exact")
    (axes,) = plots.metric_by_heads(comparison, metric).axes
    assert axes.get_ylabel() == "validation exact match (%)"
    np.testing.assert_allclose(np.asarray(axes.lines[-1].get_ydata(), float), [50, 50])


def test_differences_carry_their_intervals():
    comparison = compare(RECORDS)
    (axes,) = plots.differences(comparison, comparison.primary).axes
    assert axes.get_ylabel() == "validation loss, minus 1 head"
    (bar,) = axes.containers
    (segment,) = bar[2][0].get_segments()
    found = comparison.rows[1].cells["validation_loss"].difference
    assert found is not None
    np.testing.assert_allclose(segment[:, 1], [found.low, found.high])


@pytest.mark.parametrize("draw", [plots.metric_by_heads, plots.differences])
def test_without_runs_the_figure_says_so(draw):
    comparison = compare([])
    (axes,) = draw(comparison, comparison.primary).axes
    assert "yet" in axes.texts[0].get_text()


@pytest.mark.parametrize("tokens", [4, 30])
def test_labels_of_attention_maps_never_overlap(tokens):
    queries = [f"wWw{place}" for place in range(tokens)]
    sources = ["extraordinarily-long-word" for _ in range(tokens + 3)]
    weights = np.full((2, 2, len(queries), len(sources)), 1 / len(sources))
    figure = plots.attention_maps(
        weights, queries, sources, query_label="target looks", source_label="at source"
    )
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    maps = [axes for axes in figure.axes if axes.images]
    assert len(maps) == 4
    assert [axes.get_title() for axes in maps[:2]] == ["head 1", "head 2"]
    labels = [
        label for axes in maps for label in (*axes.get_xticklabels(), *axes.get_yticklabels())
    ]
    labels += [axes.title for axes in maps] + [axes.yaxis.label for axes in maps]
    labels += list(figure.texts)
    assert sum(bool(label.get_text()) for label in labels) > 2 * tokens
    assert overlapping(labels, renderer) == []
    page = figure.bbox
    for label in labels:
        if label.get_text():
            box = label.get_window_extent(renderer)
            assert box.x0 >= page.x0 and box.y0 >= page.y0
            assert box.x1 <= page.x1 and box.y1 <= page.y1


def test_odd_tokens_are_drawn_as_they_are():
    tokens = ["$x$", " ", "\n", "", "<b>", "$"]
    figure = plots.attention_maps(
        np.eye(6)[None, None], tokens, tokens, query_label="source", source_label="source"
    )
    figure.draw(FigureCanvasAgg(figure).get_renderer())
    axes = figure.axes[0]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["$x$", "␣", "⏎", "∅", "<b>", "$"]


@pytest.mark.parametrize("shape", [(2, 2, 3), (2, 2, 4, 3), (0, 2, 3, 4)])
def test_weights_that_do_not_fit_are_refused(shape):
    with pytest.raises(ValueError, match=r"\[layers, heads, 3, 4\] would fit"):
        plots.attention_maps(
            np.ones(shape), list("abc"), list("abcd"), query_label="q", source_label="s"
        )


def test_head_counts_differ_in_lightness_marker_and_dashes():
    for theme in ("light", "dark"):
        found = list(looks([1, 2, 4, 8], theme).values())
        grey = [0.2126 * r + 0.7152 * g + 0.0722 * b for (r, g, b, _), _, _ in found]
        assert min(np.diff(grey)) > 0.05
        assert len({marker for _, marker, _ in found}) == 4
        assert len({str(dashes) for _, _, dashes in found}) == 4


def test_a_dark_figure_is_dark_when_drawn_later(tmp_path):
    comparison = compare(RECORDS)
    figure = plots.metric_by_heads(comparison, comparison.primary, theme="dark")
    path = plots.save(figure, tmp_path / "metric.png")
    assert path.read_bytes().startswith(b"\x89PNG")
    label = figure.axes[0].get_yticklabels()[0]
    assert to_hex(label.get_color()) == INK["dark"]


def test_an_unknown_theme_is_refused():
    with pytest.raises(ValueError, match="found theme='sepia'"):
        plots.learning_curves({}, label="loss", theme="sepia")  # pyright: ignore[reportArgumentType]


def test_no_global_state_of_pyplot_is_touched():
    import matplotlib

    before = dict(matplotlib.rcParams)
    plots.learning_curves({(1, 0): [(1, 2.0)]}, label="loss")
    assert dict(matplotlib.rcParams) == before
