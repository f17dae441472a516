"""The one style of all figures: colours for light and dark pages, markers, dashes, an empty panel.

Head counts are ordered, so their colours run along one ramp whose lightness rises with the count:
they stay apart in grey print and for the colour-blind, and markers and dashes say the same again.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Theme = Literal["light", "dark"]

PAPER = {"light": "#ffffff", "dark": "#15181d"}
INK = {"light": "#1f2328", "dark": "#e3e6ea"}
FAINT = {"light": "#d5d9de", "dark": "#363c45"}
MUTED = {"light": "#59626d", "dark": "#9aa4b0"}
WARM = {"light": "#b3470b", "dark": "#f0975a"}
RAMP = {
    "light": ("#0b1f4b", "#2a5a9c", "#2f8f9d", "#7fb069", "#d8a31a"),
    "dark": ("#5b7fd6", "#4fb0d8", "#5fd0b0", "#b5e07a", "#ffe27a"),
}
SHADE = {
    "light": ("#ffffff", "#cfe0ee", "#6f9fc8", "#28588f", "#0b1f4b"),
    "dark": ("#15181d", "#203a5c", "#2f6f9f", "#6fc3cf", "#f4fbe8"),
}
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
DASHES = ("-", (0, (5, 1.5)), (0, (3, 1, 1, 1)), (0, (1, 1)))


@contextlib.contextmanager
def styled(theme: Theme) -> Iterator[None]:
    """Figures made inside have the style; what they draw later keeps it.

    Raises:
      ValueError: the theme is neither "light" nor "dark".
    """
    if theme not in PAPER:
        raise ValueError(f"found theme={theme!r}; 'light' or 'dark' would fit")
    import matplotlib

    settings: dict[Any, Any] = {
        "font.size": 10, "font.family": "sans-serif", "axes.labelsize": 10,
        "figure.facecolor": PAPER[theme], "axes.facecolor": PAPER[theme],
        "text.color": INK[theme], "axes.labelcolor": INK[theme], "axes.titlecolor": INK[theme],
        "axes.edgecolor": FAINT[theme], "xtick.color": INK[theme], "ytick.color": INK[theme],
        "axes.spines.top": False, "axes.spines.right": False,
        "axes.grid": True, "grid.color": FAINT[theme], "grid.linewidth": 0.6,
        "legend.frameon": False, "legend.fontsize": 9, "legend.title_fontsize": 9,
        "text.usetex": False, "text.parse_math": False, "axes.unicode_minus": True,
    }  # fmt: skip
    with matplotlib.rc_context(settings):
        yield


def panel(x_label: str, y_label: str, theme: Theme) -> tuple["Figure", "Axes"]:
    """A figure with one pair of axes, sized so that its text stays readable on a phone."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 3.7), layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.set_axisbelow(True)
    # Ticks are made when they are drawn, outside `styled`: what they look like is said here.
    axes.tick_params(color=FAINT[theme], labelcolor=INK[theme])
    axes.grid(True, color=FAINT[theme], linewidth=0.6)
    return figure, axes


def looks(head_counts: Sequence[int], theme: Theme) -> dict[int, tuple[Any, str, Any]]:
    """Colour, marker and dashes of each head count."""
    from matplotlib.colors import LinearSegmentedColormap

    ramp = LinearSegmentedColormap.from_list("heads", RAMP[theme])
    last = max(1, len(head_counts) - 1)
    return {
        heads: (ramp(place / last), MARKERS[place % len(MARKERS)], DASHES[place % len(DASHES)])
        for place, heads in enumerate(head_counts)
    }
