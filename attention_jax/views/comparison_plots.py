"""Figures of a comparison of variants, in one style for light and dark pages.

Every function returns a figure of its own. Matplotlib is imported only when one is drawn.
"""

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from attention_jax.analysis.variants import Comparison, Metric
from attention_jax.views import numbers
from attention_jax.views.style import (
    MUTED,
    PAPER,
    RAMP,
    WARM,
    Theme,
    drawable,
    log_axis,
    looks,
    panel,
    say,
    styled,
    titled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Curves = Mapping[tuple[str, int], Sequence[tuple[int, float]]]


def learning_curves(curves: Curves, *, label: str, theme: Theme = "light") -> "Figure":
    """Loss against step: a thin line a run, a thick one for the mean over a variant's seeds.

    The mean is drawn over the steps that all seeds of a variant have reached.

    Args:
      curves: (step, loss) in the order of training, by (variant, seed), variants in the order of
        the legend; what is not finite is a gap.
      label: what the loss is, such as "validation loss".
      theme: colours for a light or a dark page.
    """
    with styled(theme):
        figure, axes = panel("training step", f"{label} (log scale)", theme)
        variants = list(dict.fromkeys(variant for variant, _ in curves))
        look = looks(variants, theme)
        for (variant, _), points in curves.items():
            color, _, dashes = look[variant]
            axes.plot(*_columns(points), color=color, linewidth=0.7, alpha=0.55, linestyle=dashes)
        title, names = titled(variants)
        for variant, found in zip(variants, names, strict=True):
            name = drawable(found.replace("\n", " "))
            color, marker, dashes = look[variant]
            runs = [dict(points) for (other, _), points in curves.items() if other == variant]
            steps = sorted(set.intersection(*map(set, runs)))
            means = [float(np.mean([run[step] for run in runs])) for step in steps]
            axes.plot(
                steps, means, color=color, linestyle=dashes, linewidth=2.2, marker=marker,
                markersize=5, markevery=max(1, len(steps) // 6), label=name,
            )  # fmt: skip
        if curves:
            # Late differences are small beside the first fall; equal ratios keep them visible.
            log_axis(axes.yaxis)
            axes.legend(title=title or None)
        else:
            say(axes, "no curve yet")
        return figure


def metric_by_variant(
    comparison: Comparison, metric: Metric, *, theme: Theme = "light"
) -> "Figure":
    """A metric against the variants: its mean, and a thin line a seed through the runs.

    Parallel thin lines mean that seeds agree about the variants, however far apart they lie.
    """
    with styled(theme):
        rows = [row for row in comparison.rows if row.cells[metric.name].summary is not None]
        every = [value for row in rows for value in row.cells[metric.name].values.values()]
        factor, unit = numbers.unit(metric, max(map(abs, every), default=0.0))
        label = f"{drawable(metric.label, 34)}{f' ({unit})' if unit else ''}"
        figure, axes = panel("", label, theme)
        places = _places(axes, [row.variant for row in rows])
        for seed in sorted({seed for row in rows for seed in row.cells[metric.name].values}):
            found = {
                places[row.variant]: factor * row.cells[metric.name].values[seed]
                for row in rows
                if seed in row.cells[metric.name].values
            }
            axes.plot(
                list(found), list(found.values()), color=MUTED[theme], linewidth=0.8, alpha=0.8,
                marker="o", markersize=3, label="one seed",
            )  # fmt: skip
        means = [(row.variant, row.cells[metric.name].summary) for row in rows]
        axes.plot(
            [places[variant] for variant, _ in means],
            [factor * summary.mean for _, summary in means if summary is not None],
            color=RAMP[theme][1], linewidth=2.2, marker="s", markersize=6, label="mean",
        )  # fmt: skip
        if rows:
            handles = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
            axes.legend(handles.values(), handles.keys())
        else:
            say(axes, "no value yet")
        return figure


def differences(comparison: Comparison, metric: Metric, *, theme: Theme = "light") -> "Figure":
    """Paired differences to the best variant, with their intervals, and a line at zero.

    Filled where the interval excludes zero, hollow where it does not; small dots are single seeds.
    """
    with styled(theme):
        factor, unit = (100.0, ", points") if metric.style == "percent" else (1.0, "")
        best = comparison.best or "the best"
        label = f"{drawable(metric.label, 34)}{unit}, minus {drawable(best, 90)}"
        label = textwrap.fill(label, 38)
        figure, axes = panel("", label, theme)
        cells = {
            row.variant: row.cells[metric.name]
            for row in comparison.rows
            if row.cells[metric.name].difference is not None
        }
        places = _places(axes, list(cells))
        axes.axhline(0, color=WARM[theme], linewidth=1.2, linestyle=(0, (4, 2)))
        reference = next(
            (
                row.cells[metric.name].values
                for row in comparison.rows
                if row.variant == comparison.best
            ),
            {},
        )
        for variant, cell in cells.items():
            found = cell.difference
            assert found is not None
            for seed in found.seeds:
                each = factor * (cell.values[seed] - reference[seed])
                axes.plot(places[variant] + 0.14, each, "o", color=MUTED[theme], markersize=3)
            reach = None
            if found.low is not None and found.high is not None:
                # A bootstrap interval need not be centred on the mean.
                reach = [
                    [max(0.0, factor * (found.mean - found.low))],
                    [max(0.0, factor * (found.high - found.mean))],
                ]
            axes.errorbar(
                places[variant], factor * found.mean, yerr=reach, color=RAMP[theme][1], marker="s",
                markersize=7, markerfacecolor=RAMP[theme][1] if found.clear else PAPER[theme],
                markeredgewidth=1.6, linewidth=1.8, capsize=5, capthick=1.8,
            )  # fmt: skip
        if not cells:
            say(axes, "nothing to compare yet")
        return figure


def _places(axes: "Axes", variants: Sequence[str]) -> dict[str, int]:
    title, names = titled(variants)
    small = any("\n" in name for name in names)
    axes.set_xticks(range(len(variants)), names, fontsize=8 if small else 10)
    axes.set_xlabel(title)
    axes.set_xlim(-0.5, max(0.5, len(variants) - 0.5))
    axes.grid(False, axis="x")
    return {variant: place for place, variant in enumerate(variants)}


def _columns(points: Sequence[tuple[int, float]]) -> tuple[list[int], list[float]]:
    return [step for step, _ in points], [
        loss if math.isfinite(loss) else math.nan for _, loss in points
    ]
