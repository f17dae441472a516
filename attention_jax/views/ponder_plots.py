"""Ponder time as pictures: how many steps each token of a sentence took before it halted."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from attention_jax.views.figure import blank, finished
from attention_jax.views.style import FAINT, INK, MUTED, RAMP, Theme, drawable, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAMES = {"encoder": "read", "decoder": "written"}
MOST = 60
"""tokens of one side that a page has room for"""


def ponder_plot(
    thoughts: Mapping[str, Any],
    *,
    most: int | None = None,
    title: str = "",
    theme: Theme = "light",
    file: str | Path | None = None,
) -> "Figure":
    """A bar a token, as high as the steps that it took; the pale end is the remainder's share.

    The whole bar is N, the steps until the token halted. What the last of them counts for in the
    token's mean, the remainder R, is the pale part: all of the last step where it is 1.

    Args:
      thoughts: by side ("encoder", "decoder"), each with `tokens`, `steps` and `remainders`, as
        `analysis.pondering.ponder_sentence` gives them; one panel a side, one above the other.
      most: the steps that there are, drawn as a line; None: no line.
      title: above all.
      theme: colours for light or dark paper.
      file: where to write the figure too; the suffix decides how.

    Returns:
      A figure, which a notebook shows.

    Raises:
      ValueError: there is no side, or a side's lists do not fit each other or the page.
    """
    if not thoughts:
        raise ValueError("thoughts is empty; one side or more would fit")
    for side, one in thoughts.items():
        _check(side, one)
    with styled(theme):
        longest = max(len(one.tokens) for one in thoughts.values())
        figure = blank(max(3.6, 0.34 * longest + 1.2), 2.3 * len(thoughts), layout="constrained")
        panels = np.atleast_1d(figure.subplots(len(thoughts), 1))
        for axes, (side, one) in zip(panels, thoughts.items(), strict=True):
            _panel(axes, side, one, most, theme)
        if title:
            figure.suptitle(drawable(title), color=INK[theme], fontsize=11)
        return finished(figure, file)


def _panel(axes: "Axes", side: str, one: Any, most: int | None, theme: Theme) -> None:
    from matplotlib.ticker import MaxNLocator

    places, steps = np.arange(len(one.tokens)), np.asarray(one.steps, float)
    last = np.clip(np.asarray(one.remainders, float), 0, 1)
    axes.bar(places, steps - last, color=RAMP[theme][1], width=0.72)
    pale = {"color": RAMP[theme][1], "alpha": 0.4}
    axes.bar(places, last, bottom=steps - last, width=0.72, **pale)
    if most is not None:
        axes.axhline(most, color=MUTED[theme], linewidth=1, linestyle=(0, (4, 2)))
    axes.set_ylim(0, max(float(steps.max()), most or 0) * 1.12)
    axes.set_ylabel("steps")
    axes.set_xlabel(drawable(f"tokens {NAMES.get(side, side)}"))
    axes.set_axisbelow(True)
    axes.grid(True, axis="y", color=FAINT[theme], linewidth=0.6)
    axes.grid(False, axis="x")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
    turned = 90 if max(map(len, one.tokens)) > 3 else 0
    axes.set_xticks(places, [drawable(token, 14) for token in one.tokens], rotation=turned)
    axes.tick_params(color=FAINT[theme], labelcolor=INK[theme])


def _check(side: str, one: Any) -> None:
    sizes = len(one.tokens), len(one.steps), len(one.remainders)
    if len(set(sizes)) > 1 or not 0 < sizes[0] <= MOST:
        raise ValueError(
            f"{side} has {sizes[0]} tokens, {sizes[1]} steps and {sizes[2]} remainders; as many of "
            f"each, 1 to {MOST}, would fit"
        )
