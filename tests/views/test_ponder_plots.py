"""Ponder plots: bars as high as their steps, words that can be read."""

import pytest

from attention_jax.analysis.pondering import Thought
from attention_jax.views.ponder_plots import MOST, ponder_plot
from tests.views.layout import well_placed

READ = Thought(("3", "1", "4", "<end>"), (1, 3, 2, 4), (1.0, 0.25, 0.5, 0.0))
WRITTEN = Thought(("<start>", "4"), (2, 2), (0.5, 0.125))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_bars_are_as_high_as_their_steps(theme, tmp_path):
    thoughts = {"encoder": READ, "decoder": WRITTEN}
    figure = ponder_plot(thoughts, most=4, title="Sums", theme=theme, file=tmp_path / "sums.png")
    for axes, one in zip(figure.axes, thoughts.values(), strict=True):
        heights = [bar.get_height() for bar in axes.patches]
        count = len(one.tokens)
        assert heights[count:] == list(one.remainders)
        assert [a + b for a, b in zip(heights, heights[count:], strict=False)] == list(one.steps)
    said = well_placed(figure)
    assert {"Sums", "tokens read", "tokens written", "steps", "<start>", "<end>"} <= set(said)
    assert (tmp_path / "sums.png").stat().st_size < 150_000


def test_a_long_sentence_has_room():
    long = Thought(tuple(f"word{n}" for n in range(MOST)), (1,) * MOST, (1.0,) * MOST)
    assert "word59" in well_placed(ponder_plot({"encoder": long}))


@pytest.mark.parametrize(
    "thoughts",
    [
        {},
        {"encoder": Thought((), (), ())},
        {"encoder": Thought(("a",), (1, 2), (0.0,))},
        {"encoder": Thought(("a",) * (MOST + 1), (1,) * (MOST + 1), (0.0,) * (MOST + 1))},
    ],
)
def test_what_does_not_fit_is_refused(thoughts):
    with pytest.raises(ValueError, match="would fit"):
        ponder_plot(thoughts)
