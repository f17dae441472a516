"""What pruning leaves: loss and score against the heads left, and whose heads go first.

A pruning is the mapping that `analysis.pruning` makes of a model (`pruning.json`).
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from attention_jax.views.style import (
    MUTED,
    WARM,
    Theme,
    drawable,
    log_axis,
    looks,
    panel,
    say,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SCORES = {"bleu": ("BLEU", 1.0), "exact_match": ("exact match (%)", 100.0)}


def pruning_curves(
    pruning: Mapping[str, Any], what: Literal["loss", "score"], *, theme: Theme = "light"
) -> "Figure":
    """Loss or score against the heads left, fewer to the right: a line a method.

    The dashed line is the model with all its heads. Losses that span more than a factor of ten are
    drawn on a log scale, so that the first heads to go are seen beside the last.

    Args:
      pruning: the curves of one model, as `analysis.pruning` makes them.
      what: which of a point's numbers.
      theme: colours for a light or a dark page.
    """
    name, factor = score_of(pruning) if what == "score" else ("loss", 1.0)
    split = str(pruning.get("split") or "").replace("_", " ")
    with styled(theme):
        figure, axes = panel("heads left", drawable(f"{split} {name}".strip(), 36), theme)
        lines = {method: points(found, what) for method, found in curves_of(pruning).items()}
        lines = {method: found for method, found in lines.items() if found}
        every = [y * factor for found in lines.values() for _, y in found]
        whole = (pruning.get("baseline") or {}).get(what)
        if whole is not None:
            axes.axhline(factor * whole, color=WARM[theme], linewidth=1.2, linestyle=(0, (4, 2)))
            every.append(factor * whole)
        for method, (color, marker, dashes) in looks(list(lines), theme).items():
            _line(axes, lines[method], factor, method, color=color, marker=marker, dashes=dashes)
        if lines:
            if what == "loss" and min(every) > 0 and max(every) > 10 * min(every):
                log_axis(axes.yaxis)
            _finish(axes)
        else:
            say(axes, "nothing was pruned")
        return figure


def parts_left(pruning: Mapping[str, Any], method: str, *, theme: Theme = "light") -> "Figure":
    """How many heads each part of the model keeps as heads go, for one method.

    A line above the dotted one keeps more than its share.

    Args:
      pruning: the curves of one model, as `analysis.pruning` makes them.
      method: whose curve.
      theme: colours for a light or a dark page.
    """
    found = [point for point in curves_of(pruning).get(method, ()) if point.get("by_part")]
    found = sorted(found, key=lambda point: -point["left"])
    parts = list(dict.fromkeys(part for point in found for part in point["by_part"]))
    with styled(theme):
        label = drawable(f"heads left in a part ({method})", 36)
        figure, axes = panel("heads left", label, theme)
        for part, (color, marker, dashes) in looks(parts, theme).items():
            line = [(point["left"], point["by_part"].get(part, 0)) for point in found]
            _line(axes, line, 1.0, part, color=color, marker=marker, dashes=dashes)
        if found:
            most = found[0]["left"]
            for share in {found[0]["by_part"].get(part, 0) for part in parts}:
                axes.plot([most, 0], [share, 0], color=MUTED[theme], linewidth=0.8, linestyle=":")
            _finish(axes)
        else:
            say(axes, "nothing was pruned")
        return figure


def curves_of(pruning: Mapping[str, Any]) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    """The points of each method, by its name."""
    return pruning.get("curves") or {}


def points(found: Sequence[Mapping[str, Any]], what: str) -> list[tuple[int, float]]:
    """(heads left, number) of a curve, most heads first; points without a number are left out."""
    known = [(p["left"], float(p[what])) for p in found if p.get(what) is not None]
    return sorted(known, key=lambda point: -point[0])


def score_of(pruning: Mapping[str, Any]) -> tuple[str, float]:
    """The name of the score, and what it is multiplied by to be read."""
    metric = str(pruning.get("metric") or "score")
    return SCORES.get(metric, (metric.replace("_", " "), 1.0))


def _line(axes: "Axes", line, factor: float, label: str, *, color, marker: str, dashes) -> None:
    axes.plot(
        [left for left, _ in line], [factor * number for _, number in line], color=color,
        linestyle=dashes, linewidth=1.8, marker=marker, markersize=4.5,
        markevery=max(1, len(line) // 12), label=drawable(label.replace("_", " "), 30),
    )  # fmt: skip


def _finish(axes: "Axes") -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.invert_xaxis()  # pruning runs to the right
    axes.legend()
