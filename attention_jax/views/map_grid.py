"""Maps in a grid: matrices of one size as pictures, with labels outside and one scale for all.

Only the maps at the left and at the bottom have labels: making and drawing ticks takes most time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from attention_jax.views.figure import DOTS, blank
from attention_jax.views.map_page import (
    EDGE,
    GAP,
    HEADING,
    LEADING,
    NUMBER,
    TITLE,
    Page,
    Words,
    lay_out,
    size_of,
)
from attention_jax.views.style import FAINT, INK, MUTED, PAPER, Theme, drawable, ink, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Shades:
    """How numbers become colours.

    Attributes:
      colours: matplotlib's colour map.
      norm: matplotlib's norm.
      ticks: at the bar beside the maps; none for no bar.
    """

    colours: Any
    norm: Any
    ticks: Sequence[float] = ()


def map_grid(
    maps: np.ndarray,
    shades: Shades,
    words: Words,
    *,
    columns: int | None = None,
    size: tuple[float, float] | None = None,
    roomy: float = 4.8,
    longest: float = 8.0,
    numbers: bool | None = None,
    theme: Theme = "light",
) -> "Figure":
    """Draws N matrices of one size, row after row.

    Args:
      maps: numbers [N, T, S].
      shades: how they become colours.
      words: what stands around them.
      columns: how many stand beside each other; None: as many as fit a page.
      size: width and height of a map in inches; None follows the matrix and its tokens.
      roomy: inches up to which maps grow to have large cells.
      longest: inches up to which they grow to name all their tokens.
      numbers: whether cells hold their numbers; None: where there is room.
      theme: colours for light or dark paper.
    """
    count, rows, places = maps.shape
    with styled(theme):
        wide, high = size or size_of(words, maps.shape, roomy, longest)
        page = lay_out(words, maps.shape, (wide, high), columns, bool(len(shades.ticks)))
        figure = blank(page.width, page.height)
        image = None
        for place, matrix in enumerate(maps):
            x, y = page.corner(place)
            axes = figure.add_axes(page.part(x, y, wide, high))
            image = _map(axes, matrix, shades, min(wide / places, high / rows), theme)
            row, column = divmod(place, page.columns)
            for axis, labels, outside in (
                (axes.yaxis, page.rows, column == 0),
                (axes.xaxis, page.below, place + page.columns >= count),
            ):
                if outside:
                    labels.put(axis)
                else:
                    axis.set_visible(False)
            if page.titles:
                axes.set_title("\n".join(page.titles[place]), fontsize=TITLE, pad=4, loc="left")
            if _numbered(numbers, wide / places, high / rows):
                _write(axes, matrix, shades, theme)
            if column == 0 and words.rows:
                x, y, *_ = page.part(page.left - page.rows.room - 0.1, y + high / 2)
                look: Any = {"rotation": 90, "ha": "right", "va": "center", "size": TITLE}
                figure.text(x, y, drawable(words.rows[row]), **look)
        _surround(figure, page, words, theme)
        if len(shades.ticks):
            tall = min(high, 1.6)
            x, y = page.corner(page.columns - 1)
            axes = figure.add_axes(page.part(x + wide + 0.14, y + high - tall, 0.1, tall))
            _bar(figure, image, axes, shades.ticks, theme)
        return figure


def _surround(figure: "Figure", page: Page, words: Words, theme: Theme) -> None:
    """Title, names of the axes, and notes."""
    middle = page.left + (page.columns * page.pitch - GAP) / 2
    floor = EDGE + len(page.foot) * NUMBER * LEADING
    upright = (page.bottom + page.height - page.top) / 2
    texts: Any = (
        (page.heading, page.left, page.height - EDGE, {"va": "top", "size": HEADING}),
        ([words.source_label], middle, floor, {"ha": "center", "va": "bottom", "size": TITLE}),
        (page.foot, EDGE, EDGE, {"va": "bottom", "size": NUMBER, "color": MUTED[theme]}),
        ([words.query_label], EDGE, upright, {"va": "center", "rotation": 90, "size": TITLE}),
    )
    for lines, x, y, look in texts:
        if any(lines):
            figure.text(x / page.width, y / page.height, "\n".join(lines), **look)


def _map(axes: "Axes", matrix: np.ndarray, shades: Shades, cell: float, theme: Theme) -> Any:
    """One matrix, with a thin line between cells that are large enough for it."""
    image = axes.imshow(
        np.ma.masked_invalid(matrix), cmap=shades.colours, norm=shades.norm, aspect="auto",
        interpolation="nearest" if cell * DOTS >= 3 else "auto",
    )  # fmt: skip
    axes.grid(False)
    for side in axes.spines.values():
        side.set_visible(True)
    if cell >= 0.12:
        rows, places = matrix.shape
        look: dict[str, Any] = {"color": PAPER[theme], "linewidth": 0.8}
        axes.hlines(np.arange(1, rows) - 0.5, -0.5, places - 0.5, **look)
        axes.vlines(np.arange(1, places) - 0.5, -0.5, rows - 0.5, **look)
    return image


def _numbered(numbers: bool | None, wide: float, high: float) -> bool:
    return wide >= 0.36 and high >= 0.2 if numbers is None else numbers


def _write(axes: "Axes", matrix: np.ndarray, shades: Shades, theme: Theme) -> None:
    """The number of each cell in the middle of it."""
    colours = shades.colours(shades.norm(np.ma.masked_invalid(matrix)))
    for (row, place), value in np.ndenumerate(matrix):
        axes.text(
            place, row, number(value), color=ink(colours[row, place], theme), fontsize=NUMBER,
            ha="center", va="center",
        )  # fmt: skip


def number(value: float) -> str:
    """A number in few letters; "0" and "1" are just that, "0.00" is little and "1.00" nearly 1."""
    if not np.isfinite(value):
        return "NaN" if np.isnan(value) else "∞" if value > 0 else "−∞"
    if value == round(value) and abs(value) < 1_000:
        return f"{value:.0f}".replace("-0", "0").replace("-", "−")
    text = f"{value:.2f}" if abs(value) < 9.995 else f"{value:.3g}"
    return text.replace("-0.00", "0.00").replace("-", "−")


def _bar(figure: "Figure", image: Any, axes: "Axes", ticks: Any, theme: Theme) -> None:
    """The scale of the colours."""
    bar: Any = figure.colorbar(image, cax=axes, ticks=ticks, format="{x:.3g}")
    bar.outline.set_edgecolor(FAINT[theme])
    axes.tick_params(labelsize=7, length=2, color=FAINT[theme], labelcolor=INK[theme])
    axes.grid(False)
