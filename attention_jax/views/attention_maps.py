"""Where every head looks, for one sentence: a grid of maps, layers down, heads across."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from attention_jax.views.style import SHADE, Theme, drawable, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LABEL_POINTS = 7.0
TOKEN_LENGTH = 12


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
        scale.grid(False)
        x, y = (left + width - bar) / 2 / width, (bottom + height - top) / 2 / height
        figure.supxlabel(source_label, fontsize=9, x=x, y=0.06 / height, va="bottom")
        figure.supylabel(query_label, fontsize=9, x=0.06 / width, y=y, ha="left")
        return figure


def _widest(labels: Sequence[str]) -> float:
    """Width in inches of the widest label."""
    from matplotlib.textpath import TextPath

    return (
        max(TextPath((0, 0), label, size=LABEL_POINTS).get_extents().width for label in labels) / 72
    )


def _shortened(token: str) -> str:
    shown = token.replace(" ", "␣").replace("\n", "⏎").replace("\t", "⇥") or "∅"
    return drawable(shown, TOKEN_LENGTH)
