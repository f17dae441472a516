"""Variants side by side: from the records of runs to a table and paired differences.

A variant is what an experiment varies, by its label: "4 heads", "2 key/value heads". Runs of one
seed share initial weights and batches across variants, so variants are compared seed by seed
(`statistics.paired_difference`). The best one is picked after looking at all of them, so any two
could have ended up compared: the intervals hold together for all k(k-1)/2 pairs. Without that
correction four equal variants with three seeds would show a "clear" difference in 18 reports of
100.
"""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from attention_jax.analysis.statistics import Difference, Summary, paired_difference, summarise

Run = tuple[str, int]
"""One run of a comparison: its variant's label, and its seed."""


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
        Metric("cache_bytes", ("cache_bytes",), "cache a sentence", "lower", "bytes"),
        Metric(
            "decode_tokens_per_second",
            ("decode_tokens_per_second",),
            "decoded tokens/s",
            "higher",
            "count",
        ),
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
    """One metric of one variant.

    Attributes:
      values: the finite values, by seed.
      summary: their mean and spread; None without values.
      difference: paired, minus the best variant's; None for the best itself, or without common
        seeds.
    """

    values: Mapping[int, float]
    summary: Summary | None
    difference: Difference | None


@dataclass(frozen=True)
class Row:
    """One variant: its seeds, its parameters, and a cell a metric (by name)."""

    variant: str
    seeds: tuple[int, ...]
    parameters: int | None
    cells: Mapping[str, Cell]


@dataclass(frozen=True)
class Comparison:
    """Variants side by side.

    Attributes:
      rows: one a variant, in the order of `compare`; variants without a finished run have no row.
      metrics: the columns: every metric that some run has.
      primary: the metric that decides which variant is best.
      best: the variant with the best mean of `primary` over the seeds that all rows share; None if
        they share none.
      shared: the seeds that all rows share with a finite value of `primary`.
      level: confidence of the intervals, for all `pairs` together.
      pairs: how many pairs of variants the intervals are corrected for.
      expected: how many runs there should be.
      missing: (variant, seed) of expected runs without a record.
      failed: (variant, seed) of runs without a finite `primary`.
    """

    rows: tuple[Row, ...]
    metrics: tuple[Metric, ...]
    primary: Metric
    best: str | None
    shared: tuple[int, ...]
    level: float
    pairs: int
    expected: int
    missing: tuple[Run, ...]
    failed: tuple[Run, ...]

    @property
    def detectable(self) -> float | None:
        """How large a true difference of `primary` from the best no row would have hidden.

        The largest `Difference.detectable` of the rows; None where there is none to tell.
        """
        cells = (row.cells[self.primary.name] for row in self.rows)
        found = (cell.difference.detectable for cell in cells if cell.difference is not None)
        return max((one for one in found if one is not None), default=None)


def compare(
    records: Iterable[Mapping[str, Any]],
    *,
    expected: Iterable[Run] = (),
    primary: str | None = None,
    level: float = 0.95,
) -> Comparison:
    """Puts the records of finished runs side by side.

    Args:
      records: one result record a run; `variant` and `seed` say which, and must be unique together.
      expected: (variant, seed) of all runs there should be, to tell which are missing. Variants
        come in the order of these, then in that of the records.
      primary: name of the metric that decides; None takes the loss of the first test split that
        all records have, else the validation loss. Loss moves before BLEU does, and the test splits
        have not chosen the checkpoint.
      level: confidence of all intervals together.

    Raises:
      ValueError: two records are of one run, a record lacks variant or seed, or `primary` is
        unknown.
    """
    found = _by_run(records)
    planned = _in_order([*expected, *found])
    runs = {run: found[run] for run in planned if run in found}
    splits = list(dict.fromkeys(split for run in runs.values() for split in run.get("test") or ()))
    columns = metrics(splits)
    deciding = _primary(columns, runs, splits, primary)
    columns = tuple(
        metric
        for metric in columns
        if metric == deciding or any(read(run, metric) is not None for run in runs.values())
    )
    variants = list(dict.fromkeys(variant for variant, _ in runs))
    count = len({variant for variant, _ in planned})
    pairs = max(1, count * (count - 1) // 2)

    values = {
        variant: {metric.name: _values(runs, variant, metric) for metric in columns}
        for variant in variants
    }
    decisive = {v: values[v][deciding.name] for v in variants if values[v][deciding.name]}
    shared = sorted(set.intersection(*map(set, decisive.values()))) if decisive else []
    best = None
    if shared:
        sums = {v: math.fsum(mine[seed] for seed in shared) for v, mine in decisive.items()}
        best = (min if deciding.better == "lower" else max)(sums, key=lambda variant: sums[variant])

    def cell(variant: str, metric: Metric) -> Cell:
        mine = values[variant][metric.name]
        difference = None
        if best is not None and variant != best:
            reference = values[best][metric.name]
            difference = paired_difference(mine, reference, level=level, comparisons=pairs)
        return Cell(mine, summarise(mine.values()) if mine else None, difference)

    rows = tuple(
        Row(
            variant,
            tuple(seed for other, seed in runs if other == variant),
            next((run.get("parameters") for (v, _), run in runs.items() if v == variant), None),
            {metric.name: cell(variant, metric) for metric in columns},
        )
        for variant in variants
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
        missing=tuple(run for run in planned if run not in runs),
        failed=tuple(run for run in runs if read(runs[run], deciding) is None),
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


def _by_run(records: Iterable[Mapping[str, Any]]) -> dict[Run, Mapping[str, Any]]:
    runs: dict[Run, Mapping[str, Any]] = {}
    for record in records:
        for field, kind, fits in (("variant", str, "a label"), ("seed", int, "a number")):
            if not isinstance(record.get(field), kind):
                name, found = record.get("name", "without a name"), record.get(field)
                raise ValueError(
                    f"found {field}={found!r} in the record {name!r}; {fits} would fit"
                )
        run = (record["variant"], record["seed"])
        if run in runs:
            raise ValueError(
                f"found two records of variant={run[0]!r}, seed={run[1]}; one a run would fit"
            )
        runs[run] = record
    return runs


def _in_order(runs: Iterable[Run]) -> list[Run]:
    """Each run once: by the first appearance of its variant, then by seed."""
    every = list(dict.fromkeys(runs))
    variants = list(dict.fromkeys(variant for variant, _ in every))
    return sorted(every, key=lambda run: (variants.index(run[0]), run[1]))


def _primary(
    columns: Sequence[Metric],
    runs: Mapping[Run, Mapping[str, Any]],
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
    runs: Mapping[Run, Mapping[str, Any]], variant: str, metric: Metric
) -> dict[int, float]:
    found = {seed: read(run, metric) for (other, seed), run in runs.items() if other == variant}
    return {seed: value for seed, value in found.items() if value is not None}
