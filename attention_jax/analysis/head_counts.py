"""How many heads? From the records of runs to a table, paired differences and a verdict.

Runs of one seed share initial weights and batches across head counts, so head counts are compared
seed by seed (`statistics.paired_difference`). The best head count is picked after looking at all of
them, so any two could have ended up compared: the intervals hold together for all k(k-1)/2 pairs.
Without that correction four equal head counts with three seeds would show a "clear" difference in
18 reports of 100.
"""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from attention_jax.analysis.statistics import Difference, Summary, paired_difference, summarise


@dataclass(frozen=True)
class Metric:
    """A number of a run: where it stands in the record, and how to read it.

    Attributes:
      name: short and unique, such as "test_bleu".
      path: keys into the record; a mapping at the end gives its "score".
      label: for people.
      better: which way is better, or None for numbers that only describe.
      style: how it is written: "plain", "percent" (the record holds 0 to 1), "score" (0 to 100),
        "count", "bytes" or "seconds".
    """

    name: str
    path: tuple[str, ...]
    label: str
    better: Literal["lower", "higher"] | None
    style: Literal["plain", "percent", "score", "count", "bytes", "seconds"] = "plain"


def metrics(splits: Sequence[str] = ()) -> tuple[Metric, ...]:
    """The metrics of a comparison: of validation, of each test split, then of cost."""
    scores = [_split_metrics("validation", ()), *(_split_metrics(s, ("test", s)) for s in splits)]
    cost = (
        Metric("tokens_per_second", ("tokens_per_second",), "tokens/s", "higher", "count"),
        Metric("train_seconds", ("train_seconds",), "training time", "lower", "seconds"),
        Metric("memory", ("memory_bytes",), "memory", "lower", "bytes"),
    )
    return (*itertools.chain.from_iterable(scores), *cost)


def _split_metrics(split: str, path: tuple[str, ...]) -> tuple[Metric, ...]:
    label = split.replace("_", " ")
    return (
        Metric(f"{split}_loss", (*path, "loss"), f"{label} loss", "lower"),
        Metric(
            f"{split}_exact", (*path, "exact_match"), f"{label} exact match", "higher", "percent"
        ),
        Metric(f"{split}_bleu", (*path, "bleu"), f"{label} BLEU", "higher", "score"),
        Metric(f"{split}_chrf", (*path, "chrf"), f"{label} chrF", "higher", "score"),
    )


@dataclass(frozen=True)
class Cell:
    """One metric of one head count.

    Attributes:
      values: the finite values, by seed.
      summary: their mean and spread; None without values.
      difference: paired, minus the best head count's; None for the best itself, or without common
        seeds.
    """

    values: Mapping[int, float]
    summary: Summary | None
    difference: Difference | None


@dataclass(frozen=True)
class Row:
    """One head count: its seeds, its parameters, and a cell a metric (by name)."""

    heads: int
    seeds: tuple[int, ...]
    parameters: int | None
    cells: Mapping[str, Cell]


@dataclass(frozen=True)
class Comparison:
    """Head counts side by side.

    Attributes:
      rows: one a head count, fewest heads first; head counts without a finished run have no row.
      metrics: the columns: every metric that some run has.
      primary: the metric that decides which head count is best.
      best: the head count with the best mean of `primary` over the seeds that all rows share; None
        if they share none.
      shared: the seeds that all rows share with a finite value of `primary`.
      level: confidence of the intervals, for all `pairs` together.
      pairs: how many pairs of head counts the intervals are corrected for.
      expected: how many runs there should be.
      missing: (heads, seed) of expected runs without a record.
      failed: (heads, seed) of runs without a finite `primary`.
    """

    rows: tuple[Row, ...]
    metrics: tuple[Metric, ...]
    primary: Metric
    best: int | None
    shared: tuple[int, ...]
    level: float
    pairs: int
    expected: int
    missing: tuple[tuple[int, int], ...]
    failed: tuple[tuple[int, int], ...]


def compare(
    records: Iterable[Mapping[str, Any]],
    *,
    expected: Iterable[tuple[int, int]] = (),
    primary: str | None = None,
    level: float = 0.95,
) -> Comparison:
    """Puts the records of finished runs side by side.

    Args:
      records: one result record a run; `heads` and `seed` say which, and must be unique together.
      expected: (heads, seed) of all runs there should be, to tell which are missing.
      primary: name of the metric that decides; None takes the loss of the first test split that
        all records have, else the validation loss. Loss moves before BLEU does, and the test splits
        have not chosen the checkpoint.
      level: confidence of all intervals together.

    Raises:
      ValueError: two records are of one run, a record lacks heads or seed, or `primary` is unknown.
    """
    runs = _by_run(records)
    planned = dict.fromkeys(expected) | dict.fromkeys(runs)
    splits = list(dict.fromkeys(split for run in runs.values() for split in run.get("test") or ()))
    columns = metrics(splits)
    deciding = _primary(columns, runs, splits, primary)
    columns = tuple(
        metric
        for metric in columns
        if metric == deciding or any(read(run, metric) is not None for run in runs.values())
    )
    head_counts = sorted({heads for heads, _ in runs})
    count = len({heads for heads, _ in planned})
    pairs = max(1, count * (count - 1) // 2)

    values = {
        heads: {metric.name: _values(runs, heads, metric) for metric in columns}
        for heads in head_counts
    }
    decisive = {h: values[h][deciding.name] for h in head_counts if values[h][deciding.name]}
    shared = sorted(set.intersection(*map(set, decisive.values()))) if decisive else []
    best = None
    if shared:
        sums = {h: math.fsum(found[seed] for seed in shared) for h, found in decisive.items()}
        best = (min if deciding.better == "lower" else max)(sums, key=lambda heads: sums[heads])

    def cell(heads: int, metric: Metric) -> Cell:
        mine = values[heads][metric.name]
        difference = None
        if best is not None and heads != best:
            reference = values[best][metric.name]
            difference = paired_difference(mine, reference, level=level, comparisons=pairs)
        return Cell(mine, summarise(mine.values()) if mine else None, difference)

    rows = tuple(
        Row(
            heads,
            tuple(sorted(seed for other, seed in runs if other == heads)),
            next((run.get("parameters") for (h, _), run in runs.items() if h == heads), None),
            {metric.name: cell(heads, metric) for metric in columns},
        )
        for heads in head_counts
    )
    return Comparison(
        rows=rows,
        metrics=columns,
        primary=deciding,
        best=best,
        shared=tuple(shared),
        level=level,
        pairs=pairs,
        expected=len(planned),
        missing=tuple(sorted(run for run in planned if run not in runs)),
        failed=tuple(sorted(run for run in runs if read(runs[run], deciding) is None)),
    )


def read(record: Mapping[str, Any], metric: Metric) -> float | None:
    """The metric's value in a record; None where it is absent, null or not finite."""
    found: Any = record
    for part in metric.path:
        found = found.get(part) if isinstance(found, Mapping) else None
    if isinstance(found, Mapping):
        found = found.get("score")
    if found is None:
        return None
    value = float(found)
    return value if math.isfinite(value) else None


def curve(
    lines: Iterable[Mapping[str, Any]], *, split: str = "validation"
) -> list[tuple[int, float]]:
    """(step, loss) of one split, in order, from the metric lines of a run (`metrics.jsonl`)."""
    return [
        (int(line["step"]), float(line["loss"]))
        for line in lines
        if line.get("split") == split and line.get("loss") is not None
    ]


def _by_run(records: Iterable[Mapping[str, Any]]) -> dict[tuple[int, int], Mapping[str, Any]]:
    runs: dict[tuple[int, int], Mapping[str, Any]] = {}
    for record in records:
        for field in ("heads", "seed"):
            if not isinstance(record.get(field), int):
                name, found = record.get("name", "without a name"), record.get(field)
                raise ValueError(
                    f"found {field}={found!r} in the record {name!r}; a number would fit"
                )
        run = (record["heads"], record["seed"])
        if run in runs:
            raise ValueError(
                f"found two records of heads={run[0]}, seed={run[1]}; one a run would fit"
            )
        runs[run] = record
    return dict(sorted(runs.items()))


def _primary(
    columns: Sequence[Metric],
    runs: Mapping[tuple[int, int], Mapping[str, Any]],
    splits: Sequence[str],
    name: str | None,
) -> Metric:
    known = {metric.name: metric for metric in columns if metric.better is not None}
    if name is not None:
        if name not in known:
            raise ValueError(f"found primary={name!r}; one of {', '.join(known)} would fit")
        return known[name]
    for split in splits:
        metric = known[f"{split}_loss"]
        if all(split in (run.get("test") or ()) for run in runs.values()):
            return metric
    return known["validation_loss"]


def _values(
    runs: Mapping[tuple[int, int], Mapping[str, Any]], heads: int, metric: Metric
) -> dict[int, float]:
    found = {seed: read(run, metric) for (other, seed), run in runs.items() if other == heads}
    return {seed: value for seed, value in found.items() if value is not None}
