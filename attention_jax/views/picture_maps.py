"""A picture again and again, each time lit where something looked: a word, or a head.

Source: Xu et al. 2015, figures 2 and 3.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int, UInt8

from attention_jax.views.figure import blank, finished
from attention_jax.views.style import INK, MUTED, WARM, Theme, drawable, known, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DARK = 0.16
"""how light a place is that is not looked at"""


def picture_maps(
    picture: UInt8[np.ndarray, "height width 3"],
    maps: Float[np.ndarray, "N S"],
    titles: Sequence[str],
    *,
    notes: Sequence[str] = (),
    boxes: Sequence[Int[np.ndarray, "M 4"]] = (),
    columns: int = 6,
    title: str = "",
    theme: Theme = "light",
    file: str | Path | None = None,
) -> "Figure":
    """The picture as it is, then once for each map.

    Each map has its own scale: where it is largest the picture is as it is, where it is nothing the
    picture is nearly black.

    Args:
      picture: red, green and blue.
      maps: numbers from 0 for each cell, row by row; as many rows of cells as columns.
      titles: what stands above each.
      notes: what stands below each; none, or one each.
      boxes: for each map the boxes to be drawn, in pixels: top, left, bottom, right; none, or one
        array each.
      columns: how many stand beside each other.
      title: above all.
      theme: colours for light or dark paper.
      file: where to write the figure too; the suffix decides how.

    Returns:
      A figure, which a notebook shows.

    Raises:
      ValueError: titles, notes or boxes are not as many as maps, or cells do not fit the picture.
    """
    maps = np.asarray(maps, np.float64)
    lit = [_lit(picture, one) for one in _squares(maps, picture.shape)]
    for name, found in (("titles", titles), ("notes", notes), ("boxes", boxes)):
        if len(found) != len(maps) and (len(found) or name == "titles"):
            raise ValueError(f"found {len(found)} {name} for {len(maps)} maps; one each would fit")
    columns = min(columns, len(maps) + 1)
    rows = -(-(len(maps) + 1) // columns)
    known(theme)
    with styled(theme):
        size = 1.12 * columns + 0.1, (1.5 if notes else 1.36) * rows + (0.35 if title else 0.05)
        figure = blank(*size, layout="constrained")
        panels: Any = figure.subplots(rows, columns, squeeze=False)
        for axes in panels.flat:
            axes.set(xticks=[], yticks=[])
            axes.grid(False)
            for side in axes.spines.values():
                side.set_visible(False)
        for axes, shown, words in zip(panels.flat, [picture, *lit], ["", *titles], strict=False):
            axes.imshow(shown, interpolation="nearest")
            axes.set_title(drawable(words, 20), fontsize=9, color=INK[theme], pad=3)
        for axes, note in zip(panels.flat[1:], notes, strict=False):
            axes.set_xlabel(drawable(note, 24), fontsize=7.5, color=MUTED[theme], labelpad=2)
        for axes, found in zip(panels.flat[1:], boxes, strict=False):
            _frame(axes, found, WARM[theme])
        if title:
            figure.suptitle(drawable(title, 110), fontsize=10, color=INK[theme])
    return finished(figure, file)


def _squares(
    maps: Float[np.ndarray, "N S"], shape: tuple[int, ...]
) -> Float[np.ndarray, "N rows rows"]:
    rows = round(maps.shape[-1] ** 0.5) if maps.ndim == 2 else 0
    fits = rows and rows**2 == maps.shape[-1] and len(shape) == 3
    if not fits or shape[0] % rows or shape[1] % rows:
        raise ValueError(
            f"found maps of shape {list(maps.shape)} over a picture of {list(shape)}; [N, S] would "
            "fit, with S a square whose side divides the picture's"
        )
    return maps.reshape(len(maps), rows, rows)


def _lit(picture: np.ndarray, one: Float[np.ndarray, "rows rows"]) -> np.ndarray:
    """The picture, darker where the map is smaller."""
    light = one / max(one.max(), 1e-12)
    down, across = (size // len(one) for size in picture.shape[:2])
    light = np.kron(light, np.ones((down, across)))[..., None]
    return (picture * (DARK + (1 - DARK) * light)).astype(np.uint8)


def _frame(axes: Any, boxes: Int[np.ndarray, "M 4"], colour: str) -> None:
    """Lines around boxes that have an area; pixels are counted from their middle."""
    from matplotlib.patches import Rectangle

    for top, left, bottom, right in np.asarray(boxes):
        if bottom > top and right > left:
            corner = left - 0.5, top - 0.5
            look: Any = {"fill": False, "edgecolor": colour, "linewidth": 1.3}
            axes.add_patch(Rectangle(corner, right - left, bottom - top, **look))
