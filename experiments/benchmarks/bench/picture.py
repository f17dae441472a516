"""Ratios as one picture: a line for each case, a mark for each contender, the peer at 1."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attention_jax.views.figure import blank, finished
from attention_jax.views.style import FAINT, MARKERS, MUTED, RAMP, Theme, drawable, log_axis, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OURS = "attention_jax"
LINE = 0.42  # inches of a case


def ratios(
    records: Sequence[Mapping[str, Any]], *, theme: Theme = "light", file: str | Path | None = None
) -> "Figure":
    """Times over the peer's, with the range over rounds; left of 1 is faster.

    Args:
      records: those without a ratio, and the peers themselves, are not drawn.
      theme: colours for light or dark paper.
      file: where to write the figure too.

    Raises:
      ValueError: no record has a ratio to another contender.
    """
    shown = [one for one in records if "ratio" in one and one["peer"] != one["contender"]]
    if not shown:
        raise ValueError("found no ratio to another contender; at least one would fit")
    cases = list(dict.fromkeys(f"{one['title']}\n÷ {one['peer']}" for one in shown))
    names = dict.fromkeys(one["contender"] for one in shown)
    names = sorted(names, key=lambda name: not name.startswith(OURS))
    with styled(theme):
        figure = blank(7.2, 1.2 + LINE * len(cases), layout="constrained")
        axes = figure.subplots()
        axes.axvline(1, color=MUTED[theme], linewidth=1.2)
        for number, name in enumerate(names):
            ours = name.startswith(OURS)
            color = RAMP[theme][1] if ours else MUTED[theme]
            own = [one for one in shown if one["contender"] == name]
            lines = [cases.index(f"{one['title']}\n÷ {one['peer']}") for one in own]
            low, high = ([one["ratio_range"][end] for one in own] for end in (0, 1))
            axes.hlines(lines, low, high, color=color, linewidth=1.2, alpha=0.6)
            axes.plot(
                [one["ratio"] for one in own], lines, linestyle="none", color=color,
                marker=MARKERS[number % len(MARKERS)], markersize=7 if ours else 6,
                markerfacecolor=color if ours else "none", label=drawable(name),
            )  # fmt: skip
        axes.set_yticks(range(len(cases)), cases, fontsize=8)
        axes.set_ylim(len(cases) - 0.5, -0.5)
        axes.set_xlabel("time ÷ peer's; left of 1 is faster")
        axes.tick_params(color=FAINT[theme])
        log_axis(axes.xaxis, (1, 2, 5))
        figure.legend(loc="outside right upper")
        return finished(figure, file)
