"""The picture of ratios."""

import pytest

from experiments.benchmarks.bench.picture import ratios
from tests.experiments.bench.test_figures import MEASURED, record


def test_ratios_are_drawn_for_all_but_the_peer(tmp_path):
    more = record("flax", peer="torch", ratio=2.0, ratio_range=[1.5, 3.0])
    for theme in ("light", "dark"):
        figure = ratios([*MEASURED, more], theme=theme, file=tmp_path / f"{theme}.png")
        (axes,) = figure.axes
        assert [label.get_text() for label in axes.get_yticklabels()] == ["t\n÷ torch"]
        shown = {text.get_text() for text in figure.legends[0].get_texts()}
        assert shown == {"attention_jax", "flax"} and axes.get_xscale() == "log"
        assert (tmp_path / f"{theme}.png").stat().st_size > 5_000


def test_nothing_to_draw_is_refused():
    with pytest.raises(ValueError, match="no ratio to another contender"):
        ratios(MEASURED[:1])
