"""Figures that show themselves in a notebook, and become small files.

Neither pyplot nor a display is needed, and no global state is touched.
"""

import functools
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS = 160  # an inch; sharp on screens of 1.5 to 2 times density
CSS = 96  # pixels an inch on a page


def blank(width: float, height: float, **options: Any) -> "Figure":
    """An empty figure of that size in inches, which a notebook shows when it is returned."""
    return _shown()(figsize=(width, height), **options)


def finished(figure: "Figure", file: str | Path | None) -> "Figure":
    """The figure, written to `file` where one is named."""
    if file is not None:
        save(figure, file)
    return figure


def save(figure: "Figure", path: str | Path) -> Path:
    """Writes a figure to `path` in the format of its suffix, and returns the path.

    Raises:
      ValueError: no format has that suffix; the message names those that there are.
    """
    figure.savefig(path, dpi=DOTS)
    return Path(path)


def png(figure: "Figure") -> bytes:
    """A figure as the bytes of a PNG file of at most 256 colours, a third as large as with all."""
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image  # comes with matplotlib

    figure.set_dpi(DOTS)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    drawn = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    buffer = BytesIO()
    few = drawn.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    few.save(buffer, "png", optimize=True)
    return buffer.getvalue()


@functools.cache
def _shown() -> type["Figure"]:
    """Matplotlib's figure with what a notebook asks for; made when the first one is drawn."""
    from matplotlib.figure import Figure

    class Shown(Figure):
        def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
            width, height = (round(CSS * inches) for inches in self.get_size_inches())
            return png(self), {"width": width, "height": height}

    return Shown
