"""Records of runs as lines for a plot and as tables: several values, one a seed or a round."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

Record = Mapping[str, Any]
Line = tuple[list[float], list[float], list[float], list[float]]
"""x, the means, and the ends of the band: the smallest and the largest value"""


def series(records: Sequence[Record], by: str, x: str, y: str) -> dict[str, Line]:
    """A line for each value of `by`: `y` against `x`, averaged over what has both in common.

    Args:
      records: what was found; those without `y` are left out, None is a gap.
      by: what the lines are, in the order found.
      x: the horizontal quantity.
      y: the vertical one.

    Returns:
      What `views.line_plots.lines` draws, by the name of the line.
    """
    found = {}
    for name, columns in _cells(records, by, x, y).items():
        places = sorted(at for at in columns if columns[at])
        values = [columns[at] for at in places]
        found[name] = (
            places,
            [mean(v) for v in values],
            [min(v) for v in values],
            [max(v) for v in values],
        )
    return found


def table(records: Sequence[Record], by: str, x: str, y: str) -> str:
    """A Markdown table of `y`: a row for each value of `by`, a column for each of `x`.

    A cell is the mean and, where values differ, the smallest and the largest.

    Args:
      records: as in `series`.
      by: what the rows are.
      x: what the columns are.
      y: what the cells hold.
    """
    cells = _cells(records, by, x, y)
    columns = sorted({at for row in cells.values() for at in row})
    rows = [[f"{by}, {x}", *(f"{at:,}" for at in columns)], ["---"] * (len(columns) + 1)]
    rows += [[name, *(_cell(row.get(at, [])) for at in columns)] for name, row in cells.items()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def write(
    records: Sequence[Record], by: str, x: str, quantities: Mapping[str, str], folder: Path
) -> str:
    """Writes records.json and a picture of each quantity, on logarithmic axes where it can.

    Args:
      records: as in `series`.
      by: what the lines are.
      x: the horizontal quantity; above zero.
      quantities: what the pictures show, and how they call it.
      folder: where they go.

    Returns:
      Markdown tables of all quantities.
    """
    from attention_jax.views.line_plots import lines  # matplotlib

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "records.json").write_text(json.dumps(records, indent=1), "utf-8")
    for y, label in quantities.items():
        found = series(records, by, x, y)
        # What goes down to zero, or is a share of one, is read from an axis that begins there.
        wide = [value for _, *rows in found.values() for row in rows for value in row]
        if not wide:
            continue
        log = min(wide) > 0 and max(wide) > 10 * min(wide)
        picture = folder / f"{y}.png"
        lines(found, x_label=x, y_label=label, log_x=True, log_y=log, file=picture)
    tables = (f"{label}\n\n{table(records, by, x, y)}" for y, label in quantities.items())
    return "\n\n".join(tables)


def _cell(values: list[float]) -> str:
    if not values:
        return ""
    low, middle, high = (f"{one:.3g}" for one in (min(values), mean(values), max(values)))
    return middle if low == high else f"{middle} ({low} to {high})"


def _cells(records: Sequence[Record], by: str, x: str, y: str) -> dict[str, dict[Any, list[float]]]:
    """Values of `y`, by line and by `x`."""
    found: dict[str, dict[Any, list[float]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        if y in record:
            values = found[str(record[by])][record[x]]
            values += [] if record[y] is None else [float(record[y])]
    return {name: dict(columns) for name, columns in found.items()}
