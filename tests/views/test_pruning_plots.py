import numpy as np
import pytest

from attention_jax.views.pruning_plots import parts_left, pruning_curves
from tests.views.made_up import pruning


def lines(axes):
    return {
        line.get_label(): np.asarray(line.get_xydata(), float).tolist()
        for line in axes.lines
        if not line.get_label().startswith("_")
    }


def test_a_line_a_method_with_fewer_heads_to_the_right():
    (axes,) = pruning_curves(pruning(), "loss").axes
    assert lines(axes)["greedy"] == [[4, 0.5], [2, 0.75], [0, 6.5]]
    assert lines(axes)["random"] == [[4, 0.5], [0, 6.5]]
    left, right = axes.get_xlim()
    assert left > right
    assert axes.get_ylabel() == "test loss" and axes.get_yscale() == "log"
    assert np.asarray(axes.lines[0].get_ydata(), float).tolist() == [0.5, 0.5]


def test_points_without_a_score_are_left_out():
    (axes,) = pruning_curves(pruning(), "score").axes
    assert lines(axes)["greedy"] == [[4, 30], [0, 1]]
    assert axes.get_ylabel() == "test BLEU" and axes.get_yscale() == "linear"


def test_exact_match_is_in_percent():
    curves = {"greedy": [{"left": 1, "loss": 0.5, "score": 0.25}]}
    found = pruning(metric="exact_match", curves=curves, baseline={"loss": 0.5, "score": 0.75})
    (axes,) = pruning_curves(found, "score", theme="dark").axes
    assert lines(axes)["greedy"] == [[1, 25]]
    assert axes.get_ylabel() == "test exact match (%)"
    assert np.asarray(axes.lines[0].get_ydata(), float).tolist() == [75, 75]


def test_parts_are_drawn_against_their_share():
    (axes,) = parts_left(pruning(), "greedy").axes
    assert lines(axes) == {"encoder": [[4, 2], [2, 0], [0, 0]], "cross": [[4, 2], [2, 2], [0, 0]]}
    dotted = [line for line in axes.lines if line.get_linestyle() == ":"]
    assert np.asarray(dotted[-1].get_xydata(), float).tolist() == [[4, 2], [0, 0]]


@pytest.mark.parametrize("found", [{}, {"curves": {}}, {"curves": {"greedy": []}}])
def test_nothing_pruned_is_said(found):
    for figure in (pruning_curves(found, "loss"), parts_left(found, "greedy")):
        assert figure.axes[0].texts[0].get_text() == "nothing was pruned"
