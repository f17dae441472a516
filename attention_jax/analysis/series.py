"""Records of runs as lines for a plot and as a table: one value of a quantity a seed or a round."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from statistics import mean
from typing import Any

Record = Mapping[str, Any]
Line = tuple[list[float], list[float], list[float], list[float]]
"""x, the means, and the ends of the band: the smallest and the largest value"""


def series(records: Sequence[Record], by: str, x: str, y: str) -> dict[str, Line]:
    """A line for each value of `by`: `y` against `x`, averaged over what has both in common.

    Args:
      records: what was found; those without `y`, or with None there, are left out.
      by: what the lines are, in the order found.
      x: the horizontal quantity.
      y: the vertical one.

    Returns:
      What `views.line_plots.lines` draws, by the name of the line.
    """
    cells = _cells(records, by, x, y)
    return {
        name: (
            sorted(columns),
            [mean(columns[at]) for at in sorted(columns)],
            [min(columns[at]) for at in sorted(columns)],
            [max(columns[at]) for at in sorted(columns)],
        )
        for name, columns in cells.items()
    }


def table(
    records: Sequence[Record],
    by: str,
    x: str,
    y: str,
    *,
    show: Callable[[float], str] = "{:.3g}".format,
) -> str:
    """A Markdown table of `y`: a row for each value of `by`, a column for each of `x`.

    A cell is the mean and, where there are several values, the smallest and the largest.

    Args:
      records: as in `series`.
      by: what the rows are.
      x: what the columns are.
      y: what the cells hold.
      show: how a number is written.
    """
    cells = _cells(records, by, x, y)
    columns = sorted({at for row in cells.values() for at in row})
    head = [
        f"{y} | {x} " + " | ".join(f"{at:,}" for at in columns),
        "|".join(["---"] * (len(columns) + 1)),
    ]
    rows = [
        " | ".join([name, *(_cell(row.get(at, []), show) for at in columns)])
        for name, row in cells.items()
    ]
    return "\n".join(f"| {line} |" for line in (*head, *rows))


def _cell(values: list[float], show: Callable[[float], str]) -> str:
    if not values:
        return ""
    spread = f" ({show(min(values))} to {show(max(values))})" if len(values) > 1 else ""
    return show(mean(values)) + spread


def _cells(records: Sequence[Record], by: str, x: str, y: str) -> dict[str, dict[Any, list[float]]]:
    """Values of `y`, by line and by `x`."""
    found: dict[str, dict[Any, list[float]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        if record.get(y) is not None:
            found[str(record[by])][record[x]].append(float(record[y]))
    return {name: dict(columns) for name, columns in found.items()}
