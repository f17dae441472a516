"""Masks and positions as pictures: who may see whom, and what tells them apart."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from attention_jax.views.figure import finished
from attention_jax.views.heat_maps import Limits, Scale, Tokens, checked, shades
from attention_jax.views.map_grid import Shades, map_grid
from attention_jax.views.map_page import Words
from attention_jax.views.style import FAINT, RAMP, Theme, known

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIZE = 8  # positions of a mask that fits any number


def mask(
    mask: Any,
    queries: Tokens = None,
    sources: Tokens = None,
    *,
    shape: tuple[int, int] | None = None,
    query_label: str = "query",
    source_label: str = "source",
    title: str = "",
    theme: Theme = "light",
    file: str | Path | None = None,
) -> "Figure":
    """Who may see whom: a filled cell where the query may attend to the source.

    A mask that differs along the batch, or between heads, has a picture for each.

    Args:
      mask: a mask object, or a boolean array [T, S] or [*B, H, T, S].
      queries: T tokens beside the rows; None numbers them from zero.
      sources: S tokens below the columns; None numbers them from zero.
      shape: T and S, where neither the mask nor the tokens tell; 8 and 8 otherwise.
      query_label: name of the vertical axis.
      source_label: name of the horizontal axis.
      title: above the picture.
      theme: colours for light or dark paper.
      file: where to write the figure too; the suffix decides how.

    Returns:
      A figure, which a notebook shows.

    Raises:
      ValueError: the mask does not fit the tokens or the shape.
    """
    cells = _cells(mask, queries, sources, shape)
    leading = cells.shape[:-2]
    titles = [f"mask {', '.join(map(str, at))}" for at in np.ndindex(leading)] if leading else []
    words = (query_label, source_label, title, titles)
    return finished(_drawn(cells, queries, sources, words, None, theme), file)


def masks(
    masks: Mapping[str, Any],
    queries: Tokens = None,
    sources: Tokens = None,
    *,
    shape: tuple[int, int] | None = None,
    columns: int | None = None,
    query_label: str = "query",
    source_label: str = "source",
    title: str = "",
    theme: Theme = "light",
    file: str | Path | None = None,
) -> "Figure":
    """Several masks of one size beside each other.

    Args:
      masks: mask objects, or boolean arrays [T, S], by their titles.
      queries: as in `mask`, for all.
      sources: as in `mask`, for all.
      shape: as in `mask`, for all.
      columns: how many stand beside each other; None: as many as fit a page.
      query_label: name of the vertical axes.
      source_label: name of the horizontal axes.
      title: above all of them.
      theme: as in `mask`.
      file: as in `mask`.

    Returns:
      A figure, which a notebook shows.

    Raises:
      ValueError: there is none, they differ in size, or one has a batch.
    """
    found = {name: _cells(one, queries, sources, shape) for name, one in masks.items()}
    sizes = {name: cells.shape for name, cells in found.items()}
    if len(set(sizes.values())) != 1 or any(len(size) > 2 for size in sizes.values()):
        raise ValueError(f"found masks of shapes {sizes}; at least one, all [T, S], would fit")
    words = (query_label, source_label, title, list(found))
    return finished(
        _drawn(np.stack(list(found.values())), queries, sources, words, columns, theme), file
    )


def positions(
    table: Any,
    *,
    title: str = "",
    position_label: str = "position",
    feature_label: str = "feature",
    scale: Scale = "diverging",
    limits: Limits = None,
    theme: Theme = "light",
    file: str | Path | None = None,
) -> "Figure":
    """What is added at each position: positions down, features across, zero in the middle.

    Args:
      table: numbers [T, D], such as `sinusoidal(T, D)` or a learned table.
      title: above the picture.
      position_label: name of the vertical axis.
      feature_label: name of the horizontal axis.
      scale: as in `heat_map`.
      limits: as in `heat_map`.
      theme: colours for light or dark paper.
      file: where to write the figure too; the suffix decides how.

    Returns:
      A figure, which a notebook shows.

    Raises:
      ValueError: the table is not [T, D].
    """
    array = checked(table, [], None, None)[None]
    words = Words(array.shape[1], array.shape[2], position_label, feature_label, title)
    drawn = shades(array, scale, limits, theme)
    figure = map_grid(array, drawn, words, size=(5.6, 3.4), numbers=False, theme=theme)
    return finished(figure, file)


def _cells(found: Any, queries: Tokens, sources: Tokens, shape: tuple | None) -> np.ndarray:
    """The mask as a boolean array [*B, H, T, S] without leading axes of size one."""
    from attention_jax.functional.mask_algebra import as_mask

    one = as_mask(found)
    sizes = tuple(
        len(tokens) if tokens is not None else size or own or SIZE
        for tokens, size, own in zip(
            (queries, sources), shape or (None, None), one.extent(), strict=True
        )
    )
    cells = np.asarray(one.array(*sizes))
    leading = tuple(size for size in cells.shape[:-2] if size > 1)
    return np.broadcast_to(cells.reshape(*leading, *cells.shape[-2:]), (*leading, *sizes))


def _drawn(
    cells: np.ndarray,
    queries: Tokens,
    sources: Tokens,
    words: tuple[str, str, str, list[str]],
    columns: int | None,
    theme: Theme,
) -> "Figure":
    from matplotlib.colors import ListedColormap, NoNorm

    look = Shades(ListedColormap([FAINT[known(theme)], RAMP[theme][1]]), NoNorm(0, 1))
    size = cells.shape[-2:]
    note = f"{'dark' if theme == 'light' else 'light'} cells: may attend"
    around = Words(queries or size[0], sources or size[1], *words, note=note)
    maps = cells.reshape(-1, *size).astype(int)
    return map_grid(
        maps, look, around, columns=columns, roomy=2.1 if len(maps) > 1 else 3.2, longest=4.2,
        numbers=False, theme=theme,
    )  # fmt: skip
