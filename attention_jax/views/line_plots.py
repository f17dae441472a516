"""Lines and bars: numbers against numbers, and numbers by name."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from attention_jax.views import token_labels
from attention_jax.views.figure import finished
from attention_jax.views.style import RAMP, Theme, drawable, log_axis, looks, panel, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FEW = 16  # points that get a marker each, bars that get their number
INSIDE = 4.3  # inches of the axes of a panel


def lines(
    series: Mapping[str, Sequence[Any]],
    *,
    x_label: str,
    y_label: str,
    log_x: bool = False,
    log_y: bool = False,
    title: str = "",
    theme: Theme = "light",
    file: str | Path | None = None,
) -> "Figure":
    """A line for each series, with a band around it where it has one.

    Lines differ in lightness, dashes and markers, so that they stay apart in grey.

    Args:
      series: (x, y), or (x, y, low, high) with the ends of a band, by the name of each line; what
        is not finite is a gap.
      x_label: name of the horizontal axis.
      y_label: name of the vertical axis.
      log_x: whether equal ratios look equal across.
      log_y: whether equal ratios look equal upwards.
      title: above the picture.
      theme: colours for light or dark paper.
      file: where to write the figure too; the suffix decides how.

    Returns:
      A figure, which a notebook shows.

    Raises:
      ValueError: there is no series, one has other parts, or its parts differ in length.
    """
    found = {label: _points(label, one) for label, one in series.items()}
    if not found:
        raise ValueError("found no series; at least one would fit")
    with styled(theme):
        figure, axes = panel(x_label, y_label, theme)
        for label, (color, marker, dashes) in looks(list(found), theme).items():
            x, y, *band = found[label]
            axes.plot(
                x, y, color=color, linestyle=dashes, linewidth=2, markersize=4.5,
                marker=marker if len(x) <= FEW else None, label=drawable(label),
            )  # fmt: skip
            if band:
                low, high = band
                axes.fill_between(x, low, high, color=color, alpha=0.18, linewidth=0)
        for axis, log, part in ((axes.xaxis, log_x, 0), (axes.yaxis, log_y, 1)):
            if log:
                log_axis(axis, _subs(np.concatenate([one[part] for one in found.values()])))
        if title:
            axes.set_title(drawable(title, 70), fontsize=11, loc="left")
        if any(found):
            axes.legend()
        return finished(figure, file)


def bars(
    values: Mapping[str, float],
    *,
    x_label: str = "",
    y_label: str = "",
    title: str = "",
    theme: Theme = "light",
    file: str | Path | None = None,
) -> "Figure":
    """A bar for each number, named below it, with the number itself where there is room.

    Args:
      values: numbers by their names.
      x_label: what the names are.
      y_label: what the numbers are.
      title: above the picture.
      theme: colours for light or dark paper.
      file: where to write the figure too; the suffix decides how.

    Returns:
      A figure, which a notebook shows.

    Raises:
      ValueError: there is no number, or one is not finite.
    """
    numbers = {label: float(value) for label, value in values.items()}
    odd = {label: value for label, value in numbers.items() if not np.isfinite(value)}
    if odd or not numbers:
        raise ValueError(f"found {odd or 'no numbers'}; at least one, all finite, would fit")
    with styled(theme):
        figure, axes = panel(x_label, y_label, theme)
        wide = max(INSIDE, len(numbers) * token_labels.LINE)
        figure.set_figwidth(figure.get_figwidth() + wide - INSIDE)
        drawn = axes.bar(range(len(numbers)), list(numbers.values()), 0.7, color=RAMP[theme][1])
        names, upright = _names(list(numbers), wide / len(numbers))
        axes.set_xticks(range(len(names)), names, rotation=90 if upright else 0)
        axes.tick_params(axis="x", length=0, labelsize=9 if not upright else token_labels.POINTS)
        axes.grid(False, axis="x")
        if len(numbers) <= FEW:
            axes.bar_label(
                drawn,
                [f"{value:.3g}".replace("-", "−") for value in numbers.values()],
                padding=2,
                size=8,
            )
            axes.margins(y=0.12)
        if min(numbers.values()) < 0:
            axes.axhline(0, color=axes.xaxis.label.get_color(), linewidth=0.8)
        if title:
            axes.set_title(drawable(title, 70), fontsize=11, loc="left")
        return finished(figure, file)


def _points(label: str, parts: Sequence[Any]) -> list[np.ndarray]:
    """The parts of a series as numbers."""
    found = [np.asarray(part, np.float64) for part in parts]
    shapes = [list(part.shape) for part in found]
    if len(found) not in (2, 4) or any(one != shapes[0] or len(one) != 1 for one in shapes):
        raise ValueError(
            f"series {label!r} has parts of shapes {shapes}; (x, y) or (x, y, low, high), all of "
            "one length, would fit"
        )
    return [np.where(np.isfinite(part), part, np.nan) for part in found]


def _subs(values: np.ndarray) -> tuple[int, ...]:
    """Which parts of a power of ten get a tick, so that there are some and not too many."""
    positive = values[values > 0]
    powers = np.log10(positive.max() / positive.min()) if positive.size else 0.0
    return (1,) if powers > 3 else (1, 3) if powers > 2 else (1, 2, 5)


def _names(labels: Sequence[str], cell: float) -> tuple[list[str], bool]:
    """Names below bars, in short lines where their words fit, else upright."""
    shown = [drawable(label, 40) or "∅" for label in labels]
    letters = max(1, int(cell * 72 / 9 / 0.6))
    if all(len(word) <= letters for label in shown for word in label.split()):
        return [textwrap.fill(label, letters) for label in shown], False
    return [drawable(label, 24) for label in shown], True
