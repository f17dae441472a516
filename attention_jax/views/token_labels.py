"""Labels along an axis that never overlap: tokens as they can be read, every n-th of too many."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from attention_jax.views.style import drawable

if TYPE_CHECKING:
    from matplotlib.axis import Axis

POINTS = 8.0
LINE = 1.35 * POINTS / 72  # inches from one line of labels to the next
LETTERS = 12  # of a token that are shown
SPACE = 0.08  # inches between labels that stand beside each other


@dataclass(frozen=True)
class Labels:
    """What stands along an axis.

    Attributes:
      names: one for each cell.
      step: every step-th is shown.
      upright: whether they run upwards, below a horizontal axis.
      room: inches that they take away from the axis.
      note: says which are shown, where that is not plain to see.
    """

    names: tuple[str, ...]
    step: int
    upright: bool
    room: float
    note: str

    def put(self, axis: "Axis") -> None:
        """Writes the labels beside the axis."""
        places = range(0, len(self.names), self.step)
        names = [self.names[place] for place in places]
        axis.set_ticks(list(places), names, rotation=90 if self.upright else 0)
        axis.set_tick_params(length=0, pad=3, labelsize=POINTS)


def down(tokens: Sequence[str] | int, cell: float) -> Labels:
    """Labels beside rows that are `cell` inches high; a number stands for so many, unnamed."""
    names = named(tokens)
    # Numbers go on without being read; they may stand farther apart.
    step = _step(tokens, (1.6 if isinstance(tokens, int) and tokens > 20 else 1.0) * LINE / cell)
    room = max(width(name) for name in names[::step])
    return Labels(names, step, False, room, _note(tokens, step))


def across(tokens: Sequence[str] | int, cell: float) -> Labels:
    """Labels below columns that are `cell` inches wide: level where there is room."""
    names = named(tokens)
    widest = max(map(width, names)) + SPACE
    if isinstance(tokens, int) or widest <= cell:
        return Labels(names, _step(tokens, widest / cell), False, POINTS / 72, "")
    step = _step(tokens, LINE / cell)
    room = max(width(name) for name in names[::step])
    return Labels(names, step, True, room, _note(tokens, step))


def named(tokens: Sequence[str] | int) -> tuple[str, ...]:
    """Tokens as a figure can show them: one short line, blanks visible; places for a number."""
    if isinstance(tokens, int):
        return tuple(map(str, range(tokens)))
    return tuple(_readable(token) for token in tokens)


def width(text: str, points: float = POINTS) -> float:
    """Inches that the text takes."""
    from matplotlib.backends.backend_agg import RendererAgg
    from matplotlib.font_manager import FontProperties

    dots = 288  # so many that rounding to pixels does not count
    measure = RendererAgg(1, 1, dots).get_text_width_height_descent
    return measure(text, FontProperties(size=points), ismath=False)[0] / dots


def _readable(token: str) -> str:
    shown = token.replace(" ", "␣").replace("\n", "⏎").replace("\t", "⇥") or "∅"
    return drawable(shown, LETTERS)


def _step(tokens: Sequence[str] | int, least: float) -> int:
    """Every how many-th fits, where `least` cells are needed for each; round for numbers."""
    step = 1
    while step < least - 1e-9:
        step += 1
    if isinstance(tokens, int):
        rounds = (unit * 10**power for power in range(9) for unit in (1, 2, 5))
        return next(one for one in rounds if one >= step)
    return step


def _note(tokens: Sequence[str] | int, step: int) -> str:
    if step == 1 or isinstance(tokens, int):
        return ""
    return f"every {step}{ {2: 'nd', 3: 'rd'}.get(step, 'th') } is named"
