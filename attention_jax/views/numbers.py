"""Numbers as people read them: a value, a mean with its spread, a difference with its interval."""

import math

from attention_jax.analysis.statistics import Difference
from attention_jax.analysis.variants import Cell, Metric

_DIGITS = {"plain": 4, "percent": 1, "score": 1, "count": 0, "bytes": 0, "seconds": 0}
NONE = "–"


def unit(metric: Metric, size: float) -> tuple[float, str]:
    """The factor and the unit that a metric is written in, for values of about this size."""
    match metric.style:
        case "percent":
            return 100.0, "%"
        case "bytes":
            return (1 / 2**20, "MiB") if abs(size) >= 2**20 else (1 / 2**10, "KiB")
        case "seconds":
            return 1.0, "s"
    return 1.0, ""


def value(number: float | None, metric: Metric) -> str:
    """A value with its unit: "0.4263", "78.4 %", "412 MiB"; a dash for none."""
    if number is None:
        return NONE
    factor, name = unit(metric, number)
    return _with(name, _plain(number, metric, factor))


def mean(cell: Cell, metric: Metric) -> str:
    """Mean and sample standard deviation over seeds; no spread for a single seed."""
    summary = cell.summary
    if summary is None:
        return NONE
    factor, name = unit(metric, summary.mean)
    text = _plain(summary.mean, metric, factor)
    if summary.deviation is not None:
        text += f" ± {_plain(summary.deviation, metric, factor)}"
    return _with(name, text)


def difference(found: Difference | None, metric: Metric) -> str:
    """A paired difference and its interval: "+0.0302 [+0.0063, +0.0541]"; nothing for none."""
    if found is None:
        return ""
    ends = [end for end in (found.mean, found.low, found.high) if end is not None]
    factor, name = unit(metric, max(map(abs, ends)))
    name = name if metric.style == "bytes" else ""  # the others stand above it already
    text = _plain(found.mean, metric, factor, "+")
    if found.low is None or found.high is None:
        why = "one seed" if len(found.seeds) == 1 else "equal in all seeds"
        return f"{_with(name, text)} ({why})"
    low, high = (_plain(end, metric, factor, "+") for end in (found.low, found.high))
    return _with(name, f"{text} [{low}, {high}]")


def size(number: float | None, metric: Metric) -> str:
    """A size without a sign, such as the smallest difference seen: "0.0140"; a dash for none."""
    if number is None:
        return NONE
    factor, name = unit(metric, number)
    return _with(name if metric.style == "bytes" else "", _plain(number, metric, factor))


def probability(p: float) -> str:
    """A p-value: "0.023", or "< 0.001"."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def compact(number: float | None, digits: int = 3, sign: str = "") -> str:
    """A plain number with so many decimals; a dash for none or what is not finite."""
    if number is None or not math.isfinite(number):
        return NONE
    rounded = round(float(number), digits)
    return f"{rounded or 0.0:{sign if rounded else ''},.{digits}f}".replace("-", "−")


def _plain(number: float, metric: Metric, factor: float, sign: str = "") -> str:
    return f"{number * factor:{sign},.{_DIGITS[metric.style]}f}".replace("-", "−")


def _with(name: str, text: str) -> str:
    return f"{text} {name}" if name else text
