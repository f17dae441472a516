"""Heat maps: a row a query, a column a source; one, or many on one scale."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from attention_jax.views.figure import finished
from attention_jax.views.map_grid import Shades, map_grid
from attention_jax.views.map_page import Words
from attention_jax.views.style import DIVERGING, PAPER, SHADE, Theme, known

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Scale = Literal["linear", "sqrt", "diverging"]
Tokens = Sequence[str] | None
Limits = tuple[float, float] | None


def heat_map(
    weights: Any,
    queries: Tokens = None,
    sources: Tokens = None,
    *,
    query_label: str = "query",
    source_label: str = "source",
    title: str = "",
    numbers: bool | None = None,
    scale: Scale = "linear",
    limits: Limits = None,
    theme: Theme = "light",
    file: str | Path | None = None,
) -> "Figure":
    """A matrix as a picture: attention weights, logits, a bias; rows are queries.

    On light paper dark is much, on dark paper light is. What is not finite has no colour.

    Args:
      weights: numbers [T, S].
      queries: T tokens beside the rows; None numbers them from zero.
      sources: S tokens below the columns; None numbers them from zero.
      query_label: name of the vertical axis.
      source_label: name of the horizontal axis.
      title: above the picture.
      numbers: whether the cells hold their numbers; None: where there is room.
      scale: "sqrt" shows small weights better; "diverging" has its middle at zero.
      limits: the numbers with the first and the last colour; None takes 0 and 1 where all lie
        between them, else the least and the largest, alike on both sides where diverging.
      theme: colours for light or dark paper.
      file: where to write the figure too; the suffix decides how.

    Returns:
      A figure, which a notebook shows.

    Raises:
      ValueError: the numbers are not [T, S] for these tokens, or the scale cannot show them.
    """
    array = checked(weights, [], queries, sources)[None]
    words = Words(
        queries or array.shape[1], sources or array.shape[2], query_label, source_label, title
    )
    drawn = shades(array, scale, limits, theme)
    return finished(map_grid(array, drawn, words, numbers=numbers, theme=theme), file)


def heat_maps(
    weights: Any,
    queries: Tokens = None,
    sources: Tokens = None,
    *,
    titles: Sequence[str] | None = None,
    columns: int | None = None,
    query_label: str = "query",
    source_label: str = "source",
    title: str = "",
    numbers: bool | None = None,
    scale: Scale = "linear",
    limits: Limits = None,
    theme: Theme = "light",
    file: str | Path | None = None,
) -> "Figure":
    """Several matrices of one size beside each other, with one scale for all: heads, say.

    Args:
      weights: numbers [N, T, S], or N matrices [T, S] by their titles.
      queries: as in `heat_map`, for all.
      sources: as in `heat_map`, for all.
      titles: one for each; None for "head 1" and so on.
      columns: how many stand beside each other; None: as many as fit a page.
      query_label: name of the vertical axes.
      source_label: name of the horizontal axes.
      title: above all of them.
      numbers: as in `heat_map`.
      scale: as in `heat_map`.
      limits: as in `heat_map`.
      theme: as in `heat_map`.
      file: as in `heat_map`.

    Returns:
      A figure, which a notebook shows.

    Raises:
      ValueError: as `heat_map`, or there are not as many titles as matrices.
    """
    if isinstance(weights, Mapping):
        titles = tuple(weights) if titles is None else titles
        shapes = {np.shape(one) for one in weights.values()}
        if len(shapes) > 1:
            raise ValueError(f"found matrices of shapes {sorted(shapes)}; one shape would fit")
        weights = np.stack([np.asarray(one, np.float64) for one in weights.values()] or [[[]]])
    array = checked(weights, ["N"], queries, sources)
    if titles is None:
        titles = [f"head {place + 1}" for place in range(len(array))]
    if len(titles) != len(array):
        raise ValueError(f"found {len(titles)} titles for {len(array)} matrices; one each")
    words = Words(
        queries or array.shape[1], sources or array.shape[2], query_label, source_label, title,
        titles,
    )  # fmt: skip
    drawn = shades(array, scale, limits, theme)
    figure = map_grid(
        array, drawn, words, columns=columns, roomy=2.1, longest=4.2, numbers=numbers, theme=theme
    )
    return finished(figure, file)


def checked(weights: Any, names: Sequence[str], queries: Tokens, sources: Tokens) -> np.ndarray:
    """The numbers as float64, if they have these axes and fit the tokens.

    Raises:
      ValueError: they do not; the message names both.
    """
    found = np.asarray(weights)
    wanted = [*names, "T", "S"]
    fits = found.ndim == len(wanted) and found.size > 0
    for tokens, name, axis in ((queries, "queries", -2), (sources, "sources", -1)):
        if isinstance(tokens, str):
            raise ValueError(f"{name} is the string {tokens!r}; a sequence of tokens would fit")
        if tokens is not None:
            wanted[axis] = str(len(tokens))
            fits = fits and found.shape[axis] == len(tokens)
    if not fits:
        raise ValueError(
            f"found an array of shape {list(found.shape)}; [{', '.join(wanted)}] would fit"
        )
    return found.astype(np.float64)


def shades(array: np.ndarray, scale: Scale, limits: Limits, theme: Theme) -> Shades:
    """Colours for all numbers of the array.

    Raises:
      ValueError: the scale is not known, or cannot show these numbers or limits.
    """
    from matplotlib.colors import LinearSegmentedColormap, Normalize, PowerNorm
    from matplotlib.ticker import MaxNLocator

    if scale not in ("linear", "sqrt", "diverging"):
        raise ValueError(f"found scale={scale!r}; 'linear', 'sqrt' or 'diverging' would fit")
    colours = (DIVERGING if scale == "diverging" else SHADE)[known(theme)]
    colours = LinearSegmentedColormap.from_list(scale, colours).with_extremes(bad=PAPER[theme])
    low, high = limits or _limits(array, scale)
    if not low < high or (scale == "sqrt" and low < 0):
        raise ValueError(
            f"found numbers or limits from {low:g} to {high:g} for scale={scale!r}; "
            f"{'none below zero' if low < high else 'a smaller number first'} would fit"
        )
    if scale == "sqrt":
        ticks = [low + (high - low) * share for share in (0, 0.1, 0.3, 0.6, 1)]
        return Shades(colours, PowerNorm(0.5, low, high, clip=True), ticks)
    ticks = [tick for tick in MaxNLocator(4).tick_values(low, high) if low <= tick <= high]
    return Shades(colours, Normalize(low, high, clip=True), ticks)


def _limits(array: np.ndarray, scale: Scale) -> tuple[float, float]:
    finite = array[np.isfinite(array)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 1.0)
    if scale == "diverging":
        most = max(abs(low), abs(high)) or 1.0
        return -most, most
    if low >= 0 and high <= 1:
        return 0.0, 1.0
    return (low, high) if low < high else (low - 0.5, high + 0.5)
