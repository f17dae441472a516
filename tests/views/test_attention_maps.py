import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from attention_jax.views.attention_maps import attention_maps
from tests.views.layout import overlapping


@pytest.mark.parametrize("tokens", [4, 30])
def test_labels_of_attention_maps_never_overlap(tokens):
    queries = [f"wWw{place}" for place in range(tokens)]
    sources = ["extraordinarily-long-word" for _ in range(tokens + 3)]
    weights = np.full((2, 2, len(queries), len(sources)), 1 / len(sources))
    figure = attention_maps(
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
    figure = attention_maps(
        np.eye(6)[None, None], tokens, tokens, query_label="source", source_label="source"
    )
    figure.draw(FigureCanvasAgg(figure).get_renderer())
    axes = figure.axes[0]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["$x$", "␣", "⏎", "∅", "<b>", "$"]


@pytest.mark.parametrize("shape", [(2, 2, 3), (2, 2, 4, 3), (0, 2, 3, 4)])
def test_weights_that_do_not_fit_are_refused(shape):
    with pytest.raises(ValueError, match=r"\[layers, heads, 3, 4\] would fit"):
        attention_maps(np.ones(shape), list("abc"), list("abcd"), query_label="q", source_label="s")
