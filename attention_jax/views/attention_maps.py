"""Where every head looks, for one sentence: a grid of maps, layers down, heads across."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from attention_jax.views.figure import finished
from attention_jax.views.heat_maps import Limits, Scale, Tokens, checked, shades
from attention_jax.views.map_grid import map_grid
from attention_jax.views.map_page import Words
from attention_jax.views.style import Theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def attention_maps(
    weights: Any,
    queries: Tokens = None,
    sources: Tokens = None,
    *,
    query_label: str = "query",
    source_label: str = "source",
    title: str = "",
    scale: Scale = "sqrt",
    limits: Limits = (0.0, 1.0),
    theme: Theme = "light",
    file: str | Path | None = None,
) -> "Figure":
    """Where each head of each layer looks: rows are layers, columns heads, dark is much.

    Every map has a row a query and a column a source, and one scale from 0 to 1 (square root, so
    that small weights show). Maps grow with the sentence so that labels never overlap.

    Args:
      weights: attention weights [L, H, T, S].
      queries: T tokens that look; None numbers them from zero.
      sources: S tokens that are looked at; None numbers them from zero.
      query_label: name of the vertical axis.
      source_label: name of the horizontal axis.
      title: above all of them.
      scale: as in `heat_map`.
      limits: as in `heat_map`.
      theme: colours for light or dark paper.
      file: where to write the figure too; the suffix decides how.

    Returns:
      A figure, which a notebook shows.

    Raises:
      ValueError: the array is not [L, H, T, S] for these tokens.
    """
    array = checked(weights, ["L", "H"], queries, sources)
    layers, heads, *size = array.shape
    titles = [f"head {head + 1}" for head in range(heads)] + [""] * (layers - 1) * heads
    rows = [f"layer {layer + 1}" for layer in range(layers)]
    words = Words(
        queries or size[0], sources or size[1], query_label, source_label, title, titles, rows
    )
    figure = map_grid(
        array.reshape(-1, *size), shades(array, scale, limits, theme), words, columns=heads,
        roomy=1.3, longest=5.0, numbers=False, theme=theme,
    )  # fmt: skip
    return finished(figure, file)
