"""The one style of all figures: colours for light and dark pages, markers, dashes, an empty panel.

Variants come in an order, so their colours run along one ramp whose lightness rises with it: they
stay apart in grey print and for the colour-blind, and markers and dashes say the same again.
"""

import contextlib
import functools
import re
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

from attention_jax.views.figure import blank

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
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
# From much below zero to much above it: blue is above, and lightness runs one way in grey too.
DIVERGING = {
    "light": ("#ffe3b0", "#dd9c4a", "#8d9199", "#2d64a6", "#0b1f4b"),
    "dark": ("#3d1d06", "#a85f1e", "#808791", "#6fb5de", "#eaf7ff"),
}
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
# What has letters that the usual font lacks: Chinese, Japanese and Korean, Indic ones, Hebrew.
FALLBACKS = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "Source Han Sans SC", "PingFang SC",
    "Hiragino Sans GB", "Microsoft YaHei", "WenQuanYi Zen Hei", "Droid Sans Fallback",
    "Noto Sans Arabic", "Noto Sans Hebrew", "Noto Sans Devanagari", "Noto Sans Thai",
    "Arial Unicode MS", "Unifont",
)  # fmt: skip
LINE = 52  # characters of all tick labels beside each other
DASHES = ("-", (0, (5, 1.5)), (0, (3, 1, 1, 1)), (0, (1, 1)))


@contextlib.contextmanager
def styled(theme: Theme) -> Iterator[None]:
    """Figures made inside have the style; what they draw later keeps it.

    Raises:
      ValueError: the theme is neither "light" nor "dark".
    """
    import matplotlib

    known(theme)

    settings: dict[Any, Any] = {
        "font.size": 10, "font.family": _families(), "axes.labelsize": 10,
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


def known(theme: Theme) -> Theme:
    """The theme itself.

    Raises:
      ValueError: it is neither "light" nor "dark".
    """
    if theme not in PAPER:
        raise ValueError(f"found theme={theme!r}; 'light' or 'dark' would fit")
    return theme


@functools.cache
def _families() -> list[str]:
    """The usual letters, and those fonts of this machine that have the others."""
    from matplotlib.font_manager import fontManager

    there = set(fontManager.get_font_names())
    return ["sans-serif", *(name for name in FALLBACKS if name in there)]


def panel(x_label: str, y_label: str, theme: Theme) -> tuple["Figure", "Axes"]:
    """A figure with one pair of axes, sized so that its text stays readable on a phone."""
    figure = blank(5.2, 3.7, layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.set_axisbelow(True)
    # Ticks are made when they are drawn, outside `styled`: what they look like is said here.
    axes.tick_params(color=FAINT[theme], labelcolor=INK[theme])
    axes.grid(True, color=FAINT[theme], linewidth=0.6)
    return figure, axes


def looks(labels: Sequence[str], theme: Theme) -> dict[str, tuple[Any, str, Any]]:
    """Colour, marker and dashes of each label, in the order given."""
    from matplotlib.colors import LinearSegmentedColormap

    ramp = LinearSegmentedColormap.from_list("variants", RAMP[theme])
    last = max(1, len(labels) - 1)
    return {
        label: (ramp(place / last), MARKERS[place % len(MARKERS)], DASHES[place % len(DASHES)])
        for place, label in enumerate(labels)
    }


def titled(labels: Sequence[str]) -> tuple[str, list[str]]:
    """What labels have in common, and the rest of each: of "1 head" and "2 heads" heads, and 1, 2.

    Labels that are not all a number and one noun stay whole, broken into short lines.
    """
    matches = [re.fullmatch(r"(\d+) (\D+?)s?", label) for label in labels]
    found = [match.groups() for match in matches if match is not None]
    nouns = {noun for _, noun in found}
    if len(found) == len(labels) and len(nouns) == 1:
        return f"{nouns.pop()}s", [number for number, _ in found]
    width = max(8, LINE // max(1, len(labels)))
    shown = [drawable(label, 4 * LINE) for label in labels]
    lines = [textwrap.wrap(label, width, max_lines=4, placeholder="…") for label in shown]
    return "", ["\n".join(found) for found in lines]


def drawable(text: str, most: int = LINE) -> str:
    """What data say as a label of a figure: one line, not too long, that fonts can be asked for."""
    clean = re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]", "\ufffd", text)
    return clean if len(clean) <= most else f"{clean[: most - 1]}…"


def ink(color: Sequence[float], theme: Theme) -> str:
    """Light or dark letters, whichever can be read on that colour."""
    linear = [((c + 0.055) / 1.055) ** 2.4 if c > 0.04 else c / 12.92 for c in color[:3]]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    dark, light = ("#1f2328", "#ffffff") if theme == "light" else ("#0d0f12", "#e3e6ea")
    return light if luminance < 0.21 else dark


def log_axis(axis: "Axis", subs: Sequence[float] = (1, 1.5, 2, 3, 5)) -> None:
    """Equal ratios look equal, with plain numbers at the ticks: `subs` of each power of ten."""
    from matplotlib.ticker import LogLocator, NullLocator

    axis.axes.set(**{f"{axis.axis_name}scale": "log"})  # pyright: ignore[reportAttributeAccessIssue]
    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_locator(NullLocator())


def say(axes: "Axes", text: str) -> None:
    """Words in the middle of axes that have nothing to show."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center")
