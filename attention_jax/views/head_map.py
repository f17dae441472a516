"""Maps of a model's heads: a row an attention, a column a head, a colour a number.

One map says what each head is worth and what it does; small ones beside each other show where its
statistics are high. Layers may have unequal heads, or none: what is not there leaves a gap.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from attention_jax.views import numbers
from attention_jax.views.figure import blank
from attention_jax.views.head_words import (
    MEASURES,
    Layer,
    Measure,
    layers,
    measures,
    number,
    word,
)
from attention_jax.views.style import (
    FAINT,
    INK,
    MUTED,
    PAPER,
    SHADE,
    Theme,
    drawable,
    ink,
    say,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PatchCollection
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

WIDE, HIGH = 0.74, 0.44  # inches of a head with words in it
SMALL, LOW = 0.21, 0.25  # of one without
LEFT, TOP, BAR, BOTTOM = 1.05, 0.42, 0.95, 0.12
PANELS = 10.8  # inches that maps may take beside each other
PART_GAP = 0.45  # rows between two parts
INSET = 0.04


@dataclass(frozen=True)
class _Grid:
    rows: Sequence[Layer]
    tops: Sequence[float]
    columns: int
    height: float

    def cells(self) -> list[tuple[float, int, Mapping[str, Any]]]:
        """Upper edge, column and description of every head."""
        return [
            (top, column, head)
            for row, top in zip(self.rows, self.tops, strict=True)
            for column, head in row.heads.items()
        ]


def head_map(
    description: Mapping[str, Any],
    measure: Measure | None,
    *,
    limit: float | None = None,
    theme: Theme = "light",
) -> "Figure":
    """What each head is worth, by colour and number, and what it does, in a word.

    The colour follows the square root, so that heads of little worth can still be told apart; a
    head that does harm (a negative number) has none.

    Args:
      description: the heads of one model, as `analysis.heads.describe` makes it.
      measure: the number shown; None shows words alone.
      limit: the number with the strongest colour, to compare maps; None takes the largest here.
      theme: colours for a light or a dark page.
    """
    grid = _grid(description)
    with styled(theme):
        from matplotlib.colors import PowerNorm

        wide, high = grid.columns * WIDE, grid.height * HIGH
        bar = BAR if measure is not None else 0.2
        width, height = LEFT + wide + bar, TOP + high + BOTTOM
        figure = blank(width, height)
        axes = figure.add_axes((LEFT / width, BOTTOM / height, wide / width, high / height))
        _frame(axes, grid, theme)
        if not grid.rows:
            say(axes, "no heads")
            return figure
        cells = grid.cells()
        found = [number(head, measure) if measure else None for _, _, head in cells]
        top = limit if limit else max((n for n in found if n is not None), default=0.0)
        top = max(top, 1e-9)
        shades = _cells(axes, cells, found, PowerNorm(0.5, 0, top, clip=True), theme)
        colors: Any = shades.get_facecolor()
        for (y, x, head), value, color in zip(cells, found, colors, strict=True):
            look: Any = {"color": ink(color, theme), "ha": "center", "va": "center"}
            name = word(head)
            if name:
                axes.text(x + 0.5, y + 0.36, name, fontsize=8, **look)
            if measure is not None:
                text = numbers.compact(value, measure.digits, _sign(measure))
                place = 0.7 if name else 0.5
                axes.text(x + 0.5, y + place, text, fontsize=7, **look)
        if measure is not None:
            tall = min(high, 1.6)
            place = ((LEFT + wide + 0.18) / width, (BOTTOM + high - tall) / height)
            scale = figure.add_axes((*place, 0.1 / width, tall / height))
            # Nearly evenly spaced, and short to read.
            ticks = [float(f"{top * share**2:.1g}") for share in (0, 0.25, 0.5, 0.75)]
            _bar(figure, shades, scale, theme, [*ticks, top])
            scale.set_ylabel(measure.label, fontsize=8)
        return figure


def head_statistics(
    description: Mapping[str, Any],
    among: Sequence[Measure] = MEASURES,
    *,
    theme: Theme = "light",
) -> "Figure":
    """Small maps of the heads beside each other, one a statistic, each with its own scale.

    Args:
      description: the heads of one model, as `analysis.heads.describe` makes it.
      among: the statistics shown, of which those without any number are left out.
      theme: colours for a light or a dark page.
    """
    grid = _grid(description)
    shown = measures(description.get("heads") or (), among)
    with styled(theme):
        from matplotlib.colors import Normalize

        cell = max(SMALL, 1.3 / grid.columns)
        wide, high, gap, foot = grid.columns * cell, grid.height * LOW, 0.26, 0.72
        across = max(1, min(len(shown), int((PANELS - LEFT) / (wide + gap))))
        down = max(1, -(-len(shown) // across))
        width = LEFT + across * (wide + gap)
        height = down * (TOP + high + foot)
        figure = blank(width, height)
        for place, measure in enumerate(shown):
            x = LEFT + place % across * (wide + gap)
            y = height - (place // across + 1) * (TOP + high + foot) + foot
            axes = figure.add_axes((x / width, y / height, wide / width, high / height))
            _frame(axes, grid, theme, names=place % across == 0, small=True)
            # A head without this number (only cross has a gold alignment) leaves a gap.
            cells = [cell for cell in grid.cells() if number(cell[2], measure) is not None]
            found = [number(head, measure) or 0.0 for _, _, head in cells]
            top = max(found)
            # Shares and rates have one scale from 0 to 1 wherever they are seen.
            top = 1.0 if measure.key not in ("entropy", "distance") else max(top, 1e-9)
            shades = _cells(axes, cells, found, Normalize(0, top, clip=True), theme)
            axes.set_title(measure.label, fontsize=9, pad=18, loc="left")
            box = (x / width, (y - 0.24) / height, wide / width, 0.08 / height)
            _bar(figure, shades, figure.add_axes(box), theme)
        if not shown:
            axes = figure.add_axes((0, 0, 1, 1))
            _bare(axes)
            say(axes, "no statistics")
        return figure


def _grid(description: Mapping[str, Any]) -> _Grid:
    rows = layers(description)
    tops, y = [], 0.0
    for place, row in enumerate(rows):
        y += PART_GAP if place and row.part != rows[place - 1].part else 0.0
        tops.append(y)
        y += 1
    columns = max((column + 1 for row in rows for column in row.heads), default=1)
    return _Grid(rows, tops, columns, max(y, 1.0))


def _frame(
    axes: "Axes", grid: _Grid, theme: Theme, *, names: bool = True, small: bool = False
) -> None:
    """Rows named on the left, parts beside them, heads above."""
    _bare(axes)
    axes.set_xlim(0, grid.columns)
    axes.set_ylim(grid.height, 0)
    points = 7 if small else 8
    if grid.rows:
        # A small map of many heads names every other one.
        step = 2 if small and grid.columns > 8 else 1
        for column in range(0, grid.columns, step):
            axes.annotate(
                str(column + 1), (column + 0.5, 0), xytext=(0, 3), textcoords="offset points",
                ha="center", fontsize=points, color=MUTED[theme], annotation_clip=False,
            )  # fmt: skip
    if names and grid.rows and not small:
        axes.annotate(
            "head", (0, 0), xytext=(-6, 3), textcoords="offset points", ha="right",
            fontsize=points, color=MUTED[theme], annotation_clip=False,
        )  # fmt: skip
    for row, top in zip(grid.rows, grid.tops, strict=True):
        if not row.heads:
            axes.text(
                0.08, top + 0.5, "no head left", va="center", fontsize=points, color=MUTED[theme]
            )
        if names:
            axes.annotate(
                f"layer {row.layer + 1}", (0, top + 0.5), xytext=(-6, 0), ha="right", va="center",
                textcoords="offset points", fontsize=points, annotation_clip=False,
            )  # fmt: skip
    for part in dict.fromkeys(row.part for row in grid.rows) if names else ():
        mine = [top for row, top in zip(grid.rows, grid.tops, strict=True) if row.part == part]
        axes.annotate(
            drawable(part, 30), (0, (mine[0] + mine[-1] + 1) / 2), xytext=(-48, 0), ha="right",
            va="center", textcoords="offset points", rotation=90, fontsize=points + 1,
            fontweight="bold", annotation_clip=False,
        )  # fmt: skip


def _bare(axes: "Axes") -> None:
    axes.grid(False)
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_visible(False)


def _cells(
    axes: "Axes", cells: Sequence, found: Sequence[float | None], norm: "Normalize", theme: Theme
) -> "PatchCollection":
    """A square a head, coloured by its number; without a number it is only outlined."""
    import numpy as np
    from matplotlib.collections import PatchCollection
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.patches import Rectangle

    shade = LinearSegmentedColormap.from_list("heads", SHADE[theme])
    shade = shade.with_extremes(bad=PAPER[theme])
    side = 1 - 2 * INSET
    squares = [Rectangle((x + INSET, y + INSET), side, side) for y, x, _ in cells]
    collection = PatchCollection(squares, cmap=shade, norm=norm)
    values = [np.nan if value is None else value for value in found]
    collection.set_array(np.ma.masked_invalid(np.asarray(values, float)))
    collection.set_edgecolor(FAINT[theme])
    collection.set_linewidth(0.6)
    axes.add_collection(collection)
    collection.update_scalarmappable()
    return collection


def _bar(
    figure: "Figure",
    shades: "PatchCollection",
    axes: "Axes",
    theme: Theme,
    ticks: Sequence[float] | None = None,
) -> None:
    """The scale of the colours: upright with the ticks given, else lying with few."""
    from matplotlib.ticker import MaxNLocator

    if ticks is None:
        bar = figure.colorbar(shades, cax=axes, orientation="horizontal", ticks=MaxNLocator(3))
    else:
        bar = figure.colorbar(shades, cax=axes, ticks=ticks, format="{x:.2g}")
    axes.grid(False)
    bar.outline.set_edgecolor(FAINT[theme])  # pyright: ignore[reportCallIssue, reportAttributeAccessIssue]
    axes.tick_params(labelsize=7, length=2, color=FAINT[theme], labelcolor=INK[theme])


def _sign(measure: Measure) -> str:
    return "+" if measure.key == "loss_without" else ""
