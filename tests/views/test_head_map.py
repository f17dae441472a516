"""Maps of heads: every head in its place, its number and its word in it, nothing over another."""

from typing import Any, get_args

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PatchCollection
from matplotlib.text import Text

from attention_jax.views.head_map import head_map, head_statistics
from attention_jax.views.head_words import IMPORTANCE, LOSS
from attention_jax.views.style import Theme
from tests.views.layout import overlapping
from tests.views.made_up import description, head


def big(heads=16, layers=4):
    parts = ("encoder", "decoder", "cross")
    words = ({"previous": 0.9}, {"first": 0.9}, {}, {"entropy": 2.0}, {"confidence": 0.9})
    return description(
        *(
            head(part, layer, at, loss_without=0.01 * at, **words[(at + layer) % len(words)])
            for part in parts
            for layer in range(layers)
            for at in range(heads)
        )
    )


def squares(axes) -> Any:
    (found,) = [each for each in axes.collections if isinstance(each, PatchCollection)]
    return found


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_head_has_its_word_and_number(theme):
    figure = head_map(description(), LOSS, theme=theme)
    axes, bar = figure.axes
    texts = [text.get_text() for text in axes.texts]
    for wanted in ("previous", "+1.250", "−0.004", "broad", "aligned", "–", "no head left"):
        assert wanted in texts
    assert texts.count("no head left") == 3
    assert {"encoder", "decoder", "cross"} <= set(texts)
    np.testing.assert_allclose(
        squares(axes).get_array().filled(np.nan), [1.25, -0.004, 0.0625, 0.0625, np.nan]
    )
    assert bar.get_ylabel() == "loss without it"


def test_more_worth_is_a_stronger_colour_on_either_page():
    for theme in get_args(Theme):
        way = -1 if theme == "light" else 1
        found = squares(head_map(big(), LOSS, theme=theme).axes[0])
        shades = np.asarray(found.get_facecolor())[:16, :3] @ [0.2126, 0.7152, 0.0722]
        assert (np.diff(way * shades) > 0).all()


def test_maps_with_one_limit_can_be_compared():
    weak = description(head("encoder", 0, 0, loss_without=0.1))
    alone, beside = (head_map(weak, LOSS, limit=limit) for limit in (None, 1.0))
    colors = [squares(figure.axes[0]).get_facecolor()[0].tolist() for figure in (alone, beside)]
    assert sum(colors[0]) < sum(colors[1])


@pytest.mark.parametrize(
    ("found", "measure"), [({"heads": []}, None), ({"heads": []}, LOSS), (description(), None)]
)
def test_words_alone_and_no_heads_at_all(found, measure):
    figure = head_map(found, measure)
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert ("no heads" in texts) == (not found["heads"])
    assert not any(text.startswith("+") for text in texts)


def test_a_measure_that_is_zero_everywhere_is_drawn():
    figure = head_map(description(head("encoder", 0, 0, importance=0.0)), IMPORTANCE)
    assert "0.000" in [text.get_text() for text in figure.axes[0].texts]


@pytest.mark.parametrize("heads", [1, 16])
def test_no_words_overlap_and_none_leaves_the_picture(heads):
    for figure in (head_map(big(heads), LOSS), head_statistics(big(heads))):
        renderer = FigureCanvasAgg(figure).get_renderer()
        figure.draw(renderer)
        labels: list[Any] = [text for axes in figure.axes for text in axes.texts]
        titles = [text for axes in figure.axes for text in axes.get_children()]
        labels += [text for text in titles if isinstance(text, Text) and text not in labels]
        labels += [label for axes in figure.axes for label in axes.get_yticklabels()]
        labels = [label for label in labels if label.get_text()]
        assert len(labels) > 12
        assert overlapping(labels, renderer) == []
        for label in labels:
            box, page = label.get_window_extent(renderer), figure.bbox
            assert page.x0 <= box.x0 and box.x1 <= page.x1
            assert page.y0 <= box.y0 and box.y1 <= page.y1


def test_statistics_have_a_map_each_and_gaps_where_they_lack():
    figure = head_statistics(description())
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    shown = [title for title in titles if title]
    assert shown == ["entropy", "distance", "confidence", "redundancy", "alignment error"]
    maps = dict(zip(titles, figure.axes, strict=True))
    np.testing.assert_allclose(squares(maps["entropy"]).get_array(), [1, 1, 2, 1, 1])
    np.testing.assert_allclose(squares(maps["alignment error"]).get_array(), [0.125, 0.5])


def test_without_statistics_the_figure_says_so():
    (axes,) = head_statistics({"heads": [{"part": "encoder", "layer": 0, "head": 0}]}).axes
    assert axes.texts[0].get_text() == "no statistics"
