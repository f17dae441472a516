"""Figures of a comparison of head counts, in one style for light and dark pages.

Every function returns a `matplotlib.figure.Figure` of its own; no global state is touched and no
display is needed. Matplotlib is imported only here, when a figure is drawn.
"""

import math
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from attention_jax.analysis.head_counts import Comparison, Metric
from attention_jax.analysis.verdict import listed
from attention_jax.views.style import (
    MUTED,
    PAPER,
    RAMP,
    SHADE,
    WARM,
    Theme,
    looks,
    panel,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Curves = Mapping[tuple[int, int], Sequence[tuple[int, float]]]
LABEL_POINTS = 7.0
TOKEN_LENGTH = 12
DOTS = 160  # an inch; sharp on screens of 1.5 to 2 times density


def learning_curves(curves: Curves, *, label: str, theme: Theme = "light") -> "Figure":
    """Loss against step: a thin line a run, a thick one for the mean over a head count's seeds.

    The mean is drawn over the steps that all seeds of a head count have reached.

    Args:
      curves: (step, loss) in the order of training, by (heads, seed); what is not finite is a gap.
      label: what the loss is, such as "validation loss".
      theme: colours for a light or a dark page.
    """
    with styled(theme):
        from matplotlib.ticker import LogLocator, NullLocator

        figure, axes = panel("training step", f"{label} (log scale)", theme)
        look = looks(sorted({heads for heads, _ in curves}), theme)
        for (heads, _), points in sorted(curves.items()):
            color, _, dashes = look[heads]
            axes.plot(*_columns(points), color=color, linewidth=0.7, alpha=0.55, linestyle=dashes)
        for heads, (color, marker, dashes) in look.items():
            runs = [dict(points) for (other, _), points in curves.items() if other == heads]
            steps = sorted(set.intersection(*map(set, runs)))
            means = [float(np.mean([run[step] for run in runs])) for step in steps]
            axes.plot(
                steps, means, color=color, linestyle=dashes, linewidth=2.2, marker=marker,
                markersize=5, markevery=max(1, len(steps) // 6), label=str(heads),
            )  # fmt: skip
        if curves:
            # Late differences are small beside the first fall; equal ratios keep them visible.
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5)))
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_locator(NullLocator())
            axes.legend(title="heads")
        else:
            _say(axes, "no curve yet")
        return figure


def metric_by_heads(comparison: Comparison, metric: Metric, *, theme: Theme = "light") -> "Figure":
    """A metric against the head count: its mean, and a thin line a seed through the runs.

    Parallel thin lines mean that seeds agree about the head counts, however far apart they lie.
    """
    with styled(theme):
        factor, unit = (100.0, " (%)") if metric.style == "percent" else (1.0, "")
        figure, axes = panel("heads", f"{metric.label}{unit}", theme)
        rows = [row for row in comparison.rows if row.cells[metric.name].summary is not None]
        places = _places(axes, [row.heads for row in rows])
        for seed in sorted({seed for row in rows for seed in row.cells[metric.name].values}):
            found = {
                places[row.heads]: factor * row.cells[metric.name].values[seed]
                for row in rows
                if seed in row.cells[metric.name].values
            }
            axes.plot(
                list(found), list(found.values()), color=MUTED[theme], linewidth=0.8, alpha=0.8,
                marker="o", markersize=3, label="one seed",
            )  # fmt: skip
        means = [(row.heads, row.cells[metric.name].summary) for row in rows]
        axes.plot(
            [places[heads] for heads, _ in means],
            [factor * summary.mean for _, summary in means if summary is not None],
            color=RAMP[theme][1], linewidth=2.2, marker="s", markersize=6, label="mean",
        )  # fmt: skip
        if rows:
            handles = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
            axes.legend(handles.values(), handles.keys())
        else:
            _say(axes, "no value yet")
        return figure


def differences(comparison: Comparison, metric: Metric, *, theme: Theme = "light") -> "Figure":
    """Paired differences to the best head count, with their intervals, and a line at zero.

    Filled where the interval excludes zero, hollow where it does not; small dots are single seeds.
    """
    with styled(theme):
        factor, unit = (100.0, ", points") if metric.style == "percent" else (1.0, "")
        best = "the best" if comparison.best is None else listed([comparison.best])
        figure, axes = panel("heads", f"{metric.label}{unit}, minus {best}", theme)
        cells = {
            row.heads: row.cells[metric.name]
            for row in comparison.rows
            if row.cells[metric.name].difference is not None
        }
        places = _places(axes, list(cells))
        axes.axhline(0, color=WARM[theme], linewidth=1.2, linestyle=(0, (4, 2)))
        reference = next(
            (
                row.cells[metric.name].values
                for row in comparison.rows
                if row.heads == comparison.best
            ),
            {},
        )
        for heads, cell in cells.items():
            found = cell.difference
            assert found is not None
            for seed in found.seeds:
                each = factor * (cell.values[seed] - reference[seed])
                axes.plot(places[heads] + 0.14, each, "o", color=MUTED[theme], markersize=3)
            reach = None
            if found.low is not None and found.high is not None:
                reach = factor * (found.high - found.low) / 2
            axes.errorbar(
                places[heads], factor * found.mean, yerr=reach, color=RAMP[theme][1], marker="s",
                markersize=7, markerfacecolor=RAMP[theme][1] if found.clear else PAPER[theme],
                markeredgewidth=1.6, linewidth=1.8, capsize=5, capthick=1.8,
            )  # fmt: skip
        if not cells:
            _say(axes, "nothing to compare yet")
        return figure


def attention_maps(
    weights: Any,
    queries: Sequence[str],
    sources: Sequence[str],
    *,
    query_label: str,
    source_label: str,
    theme: Theme = "light",
) -> "Figure":
    """Where each head of each layer looks: rows are layers, columns heads, dark is much.

    Every map has a row a query and a column a source, and one scale from 0 to 1 (square root, so
    that small weights show). Maps grow with the sentence so that labels never overlap.

    Args:
      weights: attention weights [L, H, T, S]; other axes before the last two are refused.
      queries: T tokens that look.
      sources: S tokens that are looked at.
      query_label: name of the vertical axis.
      source_label: name of the horizontal axis.
      theme: colours for a light or a dark page.

    Raises:
      ValueError: the array is not [L, H, T, S] for these tokens.
    """
    array = np.asarray(weights, dtype=np.float64)
    wanted = (len(queries), len(sources))
    if array.ndim != 4 or array.shape[2:] != wanted or not array.size:
        raise ValueError(
            f"found attention weights of shape {array.shape} for {wanted[0]} queries and "
            f"{wanted[1]} sources; [layers, heads, {wanted[0]}, {wanted[1]}] would fit"
        )
    layers, heads = array.shape[:2]
    rows, columns = [_shortened(token) for token in queries], [_shortened(t) for t in sources]
    with styled(theme):
        from matplotlib.colors import LinearSegmentedColormap, PowerNorm
        from matplotlib.figure import Figure

        # All in inches.
        cell = max(LABEL_POINTS * 1.35 / 72, 1.1 / max(wanted))
        left, bottom = 0.7 + _widest(rows), 0.4 + _widest(columns)
        wide, high, gap, top, bar = cell * wanted[1], cell * wanted[0], 0.16, 0.34, 0.75
        width = left + heads * wide + (heads - 1) * gap + bar
        height = bottom + layers * high + (layers - 1) * gap + top
        figure = Figure(figsize=(width, height))
        shade = LinearSegmentedColormap.from_list("attention", SHADE[theme])
        image = None
        for layer in range(layers):
            for head in range(heads):
                x = left + head * (wide + gap)
                y = bottom + (layers - 1 - layer) * (high + gap)
                box = (x / width, y / height, wide / width, high / height)
                axes = figure.add_axes(box)
                image = axes.imshow(
                    array[layer, head], cmap=shade, norm=PowerNorm(0.5, 0, 1), aspect="auto",
                    interpolation="nearest",
                )  # fmt: skip
                axes.grid(False)
                axes.tick_params(length=0, labelsize=LABEL_POINTS)
                for side in axes.spines.values():
                    side.set_visible(True)
                lowest, first = layer == layers - 1, head == 0
                axes.set_xticks(range(wanted[1]), columns if lowest else [], rotation=90)
                axes.set_yticks(range(wanted[0]), rows if first else [])
                if layer == 0:
                    axes.set_title(f"head {head + 1}", fontsize=9)
                if first:
                    axes.set_ylabel(f"layer {layer + 1}", fontsize=9)
        assert image is not None
        tall = min(high, 1.6)
        x, y = (
            (width - bar + 0.16) / width,
            (bottom + (layers * (high + gap) - gap - tall)) / height,
        )
        scale = figure.add_axes((x, y, 0.1 / width, tall / height))
        figure.colorbar(image, cax=scale, ticks=[0, 0.1, 0.3, 0.6, 1])
        scale.tick_params(labelsize=LABEL_POINTS, length=2)
        x, y = (left + width - bar) / 2 / width, (bottom + height - top) / 2 / height
        figure.supxlabel(source_label, fontsize=9, x=x, y=0.06 / height, va="bottom")
        figure.supylabel(query_label, fontsize=9, x=0.06 / width, y=y, ha="left")
        return figure


def save(figure: "Figure", path: str | Path) -> Path:
    """Writes a figure to `path` in the format of its suffix, and returns the path."""
    figure.savefig(path, dpi=DOTS)
    return Path(path)


def png(figure: "Figure") -> bytes:
    """A figure as the bytes of a PNG file."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=DOTS)
    return buffer.getvalue()


def _places(axes: "Axes", head_counts: Sequence[int]) -> dict[int, int]:
    axes.set_xticks(range(len(head_counts)), [str(heads) for heads in head_counts])
    axes.set_xlim(-0.5, max(0.5, len(head_counts) - 0.5))
    axes.grid(False, axis="x")
    return {heads: place for place, heads in enumerate(head_counts)}


def _columns(points: Sequence[tuple[int, float]]) -> tuple[list[int], list[float]]:
    return [step for step, _ in points], [
        loss if math.isfinite(loss) else math.nan for _, loss in points
    ]


def _say(axes: "Axes", text: str) -> None:
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center")


def _widest(labels: Sequence[str]) -> float:
    """Width in inches of the widest label."""
    from matplotlib.textpath import TextPath

    return (
        max(TextPath((0, 0), label, size=LABEL_POINTS).get_extents().width for label in labels) / 72
    )


def _shortened(token: str) -> str:
    shown = token.replace(" ", "␣").replace("\n", "⏎").replace("\t", "⇥") or "∅"
    return shown if len(shown) <= TOKEN_LENGTH else shown[: TOKEN_LENGTH - 1] + "…"
