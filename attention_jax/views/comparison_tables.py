"""The tables of a comparison: the variants side by side, how sure that is, and every run."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attention_jax.analysis.variants import Comparison, Metric, read
from attention_jax.views import numbers
from attention_jax.views.tables import Table, Text

if TYPE_CHECKING:
    from attention_jax.analysis.significance import BleuTest


MOST = 6  # columns of the first table


def main_metrics(comparison: Comparison) -> list[Metric]:
    """The columns of the first table: the deciding split, validation, and what it costs."""
    split = comparison.primary.name.rsplit("_", 1)[0]
    wanted = [f"{split}_{name}" for name in ("loss", "exact", "bleu")]
    wanted += ["validation_loss", "tokens_per_second", "decode_tokens_per_second"]
    wanted += ["cache_bytes", "memory"]
    known = {metric.name: metric for metric in comparison.metrics}
    cache = known.get("cache_bytes")
    # A page is only so wide. A cache of one size says nothing; else it says more than validation.
    spare = "validation_loss" if cache and varies(comparison, cache) else "cache_bytes"
    names = [name for name in dict.fromkeys(wanted) if name in known]
    kept = [name for name in names if name != spare or name == comparison.primary.name]
    return [known[name] for name in kept[:MOST]]


def varies(comparison: Comparison, metric: Metric) -> bool:
    """Whether a metric is not one and the same number in all runs."""
    cells = (row.cells[metric.name].values.values() for row in comparison.rows)
    return len({value for values in cells for value in values}) > 1


def side_by_side(comparison: Comparison, columns: Sequence[Metric]) -> Table:
    """A row a variant: mean ± deviation, and below it the paired difference from the best."""
    several = len({row.parameters for row in comparison.rows}) > 1
    rows, marked = [], set()
    for place, row in enumerate(comparison.rows):
        best = row.variant == comparison.best and len(comparison.rows) > 1
        cells = [Text(row.variant, tag="best mean" if best else ""), str(len(row.seeds))]
        if several:
            cells.append(numbers.NONE if row.parameters is None else f"{row.parameters:,}")
        for metric in columns:
            cell = row.cells[metric.name]
            look = ""
            if cell.difference is not None and cell.difference.clear:
                better = (cell.difference.mean < 0) == (metric.better == "lower")
                look = "clear better" if better else "clear"
            below = numbers.difference(cell.difference, metric)
            cells.append(Text(numbers.mean(cell, metric), below, look))
        rows.append(cells)
        if best:
            marked.add(place)
    head = ["", "seeds", *(["parameters"] if several else []), *(one.label for one in columns)]
    return Table("The variants side by side", head, rows, frozenset(marked))


def explanation(comparison: Comparison) -> str:
    """How to read the tables, in one paragraph."""
    if len(comparison.rows) < 2 or comparison.best is None:
        return "Each cell: mean ± sample standard deviation over seeds."
    together = f" at once for all {comparison.pairs} pairs" if comparison.pairs > 1 else ""
    return (
        "Each cell: mean ± sample standard deviation over seeds; below it the paired difference "
        f"from {comparison.best}, seed by seed, and its {kind(comparison)} interval "
        f"({comparison.level:.0%}{together}). Bold where the interval excludes zero."
    )


def kind(comparison: Comparison) -> str:
    """What the intervals of the deciding metric are: "Student t" or "bootstrap"."""
    cells = [row.cells[comparison.primary.name] for row in comparison.rows]
    methods = {cell.difference.method for cell in cells if cell.difference is not None}
    return "bootstrap" if methods == {"bootstrap"} else "Student t"


def certainty(comparison: Comparison, significance: Sequence["BleuTest"] = ()) -> Table | None:
    """How sure the answer is: of the deciding metric, and of BLEU where it was tested.

    A row a variant other than the best: the difference, its interval, and the smallest true
    difference that this many seeds would have seen; then BLEU's paired bootstrap over sentences.
    """
    primary = comparison.primary
    tests = {test.variant: test for test in significance}
    rows = []
    for row in comparison.rows:
        found, test = row.cells[primary.name].difference, tests.get(row.variant)
        if found is None and test is None:
            continue
        cells: list[Text | str] = [row.variant]
        if found is None:
            cells += [numbers.NONE] * 4
        else:
            text, _, interval = numbers.difference(found, primary).partition(" ")
            other = "" if found.bootstrap is None else _other_interval(found, primary)
            cells += [
                text,
                Text(interval.strip("()") if found.low is None else interval, other),
                "yes" if found.clear else "none found",
                numbers.size(found.detectable, primary),
            ]
        if tests:
            cells += _tested(test)
        rows.append(cells)
    if not rows:
        return None
    label = f"{primary.label} minus {comparison.best or 'the best'}"
    head = ["", label, f"interval ({comparison.level:.0%})"]
    head += ["a difference?", "smallest one seen"]
    if tests:
        baselines = ", ".join(dict.fromkeys(test.baseline for test in significance))
        head += [f"BLEU minus {baselines}", "p", "p, corrected"]
    return Table("How sure the answer is", head, rows)


def certainty_explanation(comparison: Comparison, significance: Sequence["BleuTest"] = ()) -> str:
    """How to read that table."""
    cells = [row.cells[comparison.primary.name].difference for row in comparison.rows]
    parts = []
    if any(found is not None and found.detectable is not None for found in cells):
        parts.append(
            "Smallest one seen: a true difference of this size would have been found four times in "
            "five, with this many seeds and this spread; a smaller one may be there all the same."
        )
    if any(found is not None and found.bootstrap is not None for found in cells):
        parts.append(
            "Below the interval that decides stands the other one, for comparison; over few seeds "
            "a bootstrap is too narrow."
        )
    if significance:
        parts.append(
            "BLEU: paired bootstrap over the sentences of one run each, so it speaks of these "
            f"models and not of other seeds; p corrected for {len(significance)} "
            f"test{'' if len(significance) == 1 else 's'} (Holm)."
        )
    return " ".join(parts)


def every_run(comparison: Comparison, records: Sequence[Mapping[str, Any]]) -> Table:
    """A row a run, a column a metric."""
    rows = [
        [
            str(record["variant"]),
            str(record["seed"]),
            *(numbers.value(read(record, metric), metric) for metric in comparison.metrics),
        ]
        for record in records
    ]
    return Table("Every run", ["", "seed", *(one.label for one in comparison.metrics)], rows)


def _other_interval(found, primary: Metric) -> str:
    if found.method == "bootstrap":
        return ""
    low, high = found.bootstrap
    text = numbers.difference(type(found)(found.mean, low, high, 0.5, 1, found.seeds), primary)
    return f"bootstrap {text.partition(' ')[2]}"


def _tested(test: "BleuTest | None") -> list[Text | str]:
    if test is None:
        return ["", "", ""]
    gain = numbers.compact(test.bleu - test.baseline_bleu, 2, "+")
    found = test.p_corrected < 0.05
    return [
        Text(gain, f"of {test.mean:.1f} ± {test.reach:.1f} BLEU"),
        numbers.probability(test.p_value),
        Text(
            numbers.probability(test.p_corrected),
            "a difference" if found else "none found",
            "clear" if found else "",
        ),
    ]
