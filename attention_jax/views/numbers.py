"""Numbers as people read them: a value, a mean with its spread, a difference with its interval."""

from attention_jax.analysis.head_counts import Cell, Metric
from attention_jax.analysis.statistics import Difference

_DIGITS = {"plain": 4, "percent": 1, "score": 1, "count": 0, "bytes": 0, "seconds": 0}
_FACTOR = {"percent": 100.0, "bytes": 1 / 2**20}
_UNIT = {"percent": " %", "bytes": " MiB", "seconds": " s"}


def value(number: float | None, metric: Metric) -> str:
    """A value with its unit: "0.4263", "78.4 %", "412 MiB"; a dash for none."""
    if number is None:
        return "–"
    return f"{_plain(number, metric)}{_UNIT.get(metric.style, '')}"


def mean(cell: Cell, metric: Metric) -> str:
    """Mean and sample standard deviation over seeds; no spread for a single seed."""
    summary = cell.summary
    if summary is None:
        return "–"
    unit = _UNIT.get(metric.style, "")
    if summary.deviation is None:
        return f"{_plain(summary.mean, metric)}{unit}"
    return f"{_plain(summary.mean, metric)} ± {_plain(summary.deviation, metric)}{unit}"


def difference(found: Difference | None, metric: Metric) -> str:
    """A paired difference and its interval: "+0.0302 [+0.0063, +0.0541]"."""
    if found is None:
        return ""
    text = _plain(found.mean, metric, sign="+")
    if found.low is None or found.high is None:
        return f"{text} ({'one seed' if len(found.seeds) == 1 else 'equal in all seeds'})"
    low, high = _plain(found.low, metric, sign="+"), _plain(found.high, metric, sign="+")
    return f"{text} [{low}, {high}]"


def _plain(number: float, metric: Metric, sign: str = "") -> str:
    scaled = number * _FACTOR.get(metric.style, 1.0)
    return f"{scaled:{sign},.{_DIGITS[metric.style]}f}".replace("-", "−")
