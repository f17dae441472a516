"""The page of a grid of maps: how much room cells, labels and titles need, in inches."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from attention_jax.views import token_labels
from attention_jax.views.style import drawable
from attention_jax.views.token_labels import Labels

PAGE = 10.8  # inches that maps may take beside each other
LARGEST, LEAST = 0.5, 1.0  # inches of a cell at most, of a map at least
EDGE, GAP, BAR = 0.1, 0.2, 0.7
TITLE, HEADING, NUMBER = 9.0, 11.0, 7.5  # points
LEADING = 1.3 / 72  # inches of a line for each point of its letters


@dataclass(frozen=True)
class Words:
    """What stands around the maps.

    Attributes:
      queries: tokens beside the rows, or how many rows there are.
      sources: tokens below the columns, or how many columns there are.
      query_label: name of the vertical axes.
      source_label: name of the horizontal axes.
      title: above all.
      titles: above each map; none where there are none.
      rows: beside each row of maps, none where they have no name.
      note: below all.
    """

    queries: Sequence[str] | int
    sources: Sequence[str] | int
    query_label: str = ""
    source_label: str = ""
    title: str = ""
    titles: Sequence[str] = ()
    rows: Sequence[str] = ()
    note: str = ""


@dataclass(frozen=True)
class Page:
    """Where everything lies, in inches from the lower left corner.

    Attributes:
      columns: maps beside each other.
      titles: the lines above each map.
      heading: the lines above all.
      foot: the lines below all.
      rows: labels beside the rows.
      below: labels below the columns.
      width: of the page.
      left: to the left of the first map.
      bottom: below the last map.
      top: above the first title.
      pitch: from one map to the next.
      high: of a map.
      heads: of the titles above each row of maps.
    """

    columns: int
    titles: Sequence[Sequence[str]]
    heading: Sequence[str]
    foot: Sequence[str]
    rows: Labels
    below: Labels
    width: float
    left: float
    bottom: float
    top: float
    pitch: float
    high: float
    heads: Sequence[float]

    @property
    def height(self) -> float:
        """Of the page."""
        return self.bottom + len(self.heads) * (self.high + GAP) - GAP + sum(self.heads) + self.top

    def corner(self, place: int) -> tuple[float, float]:
        """The lower left corner of a map."""
        row, column = divmod(place, self.columns)
        above = self.top + (row + 1) * (self.high + GAP) - GAP + sum(self.heads[: row + 1])
        return self.left + column * self.pitch, self.height - above

    def part(self, x: float, y: float, wide: float = 0.0, high: float = 0.0) -> Any:
        """A box as parts of the page, as matplotlib wants it."""
        return x / self.width, y / self.height, wide / self.width, high / self.height


def lay_out(
    words: Words,
    shape: tuple[int, ...],
    size: tuple[float, float],
    columns: int | None,
    bar: bool,
) -> Page:
    """Gives all words and maps their room.

    Args:
      words: what stands around the maps.
      shape: their numbers [N, T, S].
      size: width and height of a map.
      columns: how many stand beside each other; None: as many as fit a page.
      bar: whether a scale of colours stands beside them.

    Raises:
      ValueError: columns is below one.
    """
    if columns is not None and columns < 1:
        raise ValueError(f"found columns={columns}; one or more would fit")
    count, rows, places = shape
    wide, high = size
    beside = token_labels.down(words.queries, high / rows)
    below = token_labels.across(words.sources, wide / places)
    titles = [wrapped(title, max(wide, 1.2), TITLE) for title in words.titles]
    widest = max((token_labels.width(line, TITLE) for one in titles for line in one), default=0.0)
    pitch = max(wide, widest) + GAP
    left = EDGE + beside.room + 0.1
    left += TITLE * LEADING * (bool(words.query_label) + bool(words.rows))
    right = BAR if bar else EDGE
    most = max(1, min(count, int((PAGE - left - right + GAP) / pitch)))
    across = min(columns, count) if columns else -(-count // -(-count // most))
    of_row = [titles[start : start + across] for start in range(0, count, across)]
    heads = [max(map(len, one), default=0) * TITLE * LEADING for one in of_row]
    width = max(left + across * pitch - GAP + right, 2.4)
    notes = [words.note]
    notes += [f"{words.query_label or 'rows'}: {beside.note}"] * bool(beside.note)
    notes += [f"{words.source_label or 'columns'}: {below.note}"] * bool(below.note)
    foot = wrapped("; ".join(filter(None, notes)), width - 2 * EDGE, NUMBER)
    bottom = EDGE + below.room + 0.08 + len(foot) * NUMBER * LEADING
    bottom += TITLE * LEADING * bool(words.source_label)
    heading = wrapped(words.title, width - left - EDGE, HEADING)
    return Page(
        columns=across, titles=titles, heading=heading, foot=foot, rows=beside, below=below,
        width=width, left=left, bottom=bottom, top=EDGE + len(heading) * HEADING * LEADING,
        pitch=pitch, high=high, heads=[head + 0.06 * bool(head) for head in heads],
    )  # fmt: skip


def size_of(
    words: Words, shape: tuple[int, ...], roomy: float, longest: float
) -> tuple[float, float]:
    """Width and height of a map: square cells, large where they are few."""
    _, rows, places = shape
    cell = min(LARGEST, roomy / max(rows, places))
    for tokens, size in ((words.queries, rows), (words.sources, places)):
        if not isinstance(tokens, int) and size * token_labels.LINE <= longest:
            cell = max(cell, token_labels.LINE)
    most = max(longest, roomy)
    return tuple(min(max(cell * size, LEAST), most) for size in (places, rows))  # pyright: ignore[reportReturnType]


def wrapped(text: str, wide: float, points: float) -> list[str]:
    """The text in lines of about that width, three at most."""
    letters = max(8, int(wide * 72 / points / 0.52))
    return textwrap.wrap(drawable(text, 3 * letters), letters, max_lines=3, placeholder="…")
