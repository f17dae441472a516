"""Means, spreads and paired differences over a handful of seeds.

Runs of one comparison share initial weights and batches seed by seed, so their differences are
taken seed by seed too: what a lucky seed gives to both sides cancels.

Intervals are Student t intervals of the paired differences. A bootstrap would be too narrow here:
three differences have only ten distinct resamples, none of which reaches beyond the three values
seen, and a percentile interval of them covers the true mean 75 times in 100 instead of 95. The t
interval is exact for normal differences and honestly wide: at three seeds it reaches 4.3 standard
errors to each side, where five seeds need 2.8.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Summary:
    """Values of one quantity over seeds.

    Attributes:
      count: how many values there are.
      mean: their mean.
      deviation: their sample standard deviation (n - 1); None for a single value.
      low: the smallest value.
      high: the largest value.
    """

    count: int
    mean: float
    deviation: float | None
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """A paired difference, one side minus the other, over the seeds that both have.

    Attributes:
      mean: mean of the differences, in the units of the quantity.
      low: lower end of the interval; None where there is no interval.
      high: upper end of the interval; None where there is no interval.
      level: how often such intervals hold the truth, all `comparisons` of them at once.
      comparisons: for how many intervals read together `level` is promised.
      seeds: the seeds compared, in order.
    """

    mean: float
    low: float | None
    high: float | None
    level: float
    comparisons: int
    seeds: tuple[int, ...]

    @property
    def clear(self) -> bool:
        """Whether there is an interval and it excludes zero."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def summarise(values: Iterable[float]) -> Summary:
    """Count, mean, sample standard deviation and range of some finite values.

    Raises:
      ValueError: there is no value, or one is not finite.
    """
    found = [float(value) for value in values]
    if not found:
        raise ValueError("found no values to summarise; give at least one")
    if not all(math.isfinite(value) for value in found):
        raise ValueError(
            f"found values that are not finite in {found}; leave failed runs out first"
        )
    mean = math.fsum(found) / len(found)
    return Summary(len(found), mean, _deviation(found, mean), min(found), max(found))


def paired_difference(
    values: Mapping[int, float],
    reference: Mapping[int, float],
    *,
    level: float = 0.95,
    comparisons: int = 1,
) -> Difference | None:
    """The mean of `values - reference` over their common seeds, with a Student t interval.

    There is no interval for a single seed, nor when all differences are equal: no spread means
    nothing to judge chance by (it happens with counts, such as exact match on few sentences).

    Args:
      values: one finite value a seed.
      reference: the same quantity of the other side.
      level: confidence, between 0 and 1.
      comparisons: how many intervals will be read together. Each is widened (Bonferroni) so that
        all hold at once with `level`.

    Returns:
      The difference, or None if the sides have no seed in common.

    Raises:
      ValueError: `level`, `comparisons` or a value is impossible.

    Source: Student 1908; Dunn 1961 for several intervals at once.
    """
    _check(level, comparisons)
    seeds = tuple(sorted(set(values) & set(reference)))
    if not seeds:
        return None
    differences = [float(values[seed]) - float(reference[seed]) for seed in seeds]
    summary = summarise(differences)
    low = high = None
    scale = max(max(abs(values[seed]), abs(reference[seed])) for seed in seeds)
    # Equal differences can miss each other by a rounding error; that is not a spread.
    if summary.deviation is not None and summary.deviation > 1e-12 * scale:
        reach = half_width(len(seeds), level=level, comparisons=comparisons) * summary.deviation
        low, high = summary.mean - reach, summary.mean + reach
    return Difference(summary.mean, low, high, level, comparisons, seeds)


def half_width(count: int, *, level: float = 0.95, comparisons: int = 1) -> float:
    """Half the width of a Student t interval of a mean, in standard deviations of one value.

    Args:
      count: how many values the mean is of; two or more.
      level: confidence, between 0 and 1.
      comparisons: how many intervals hold at once with `level` (Bonferroni).

    Raises:
      ValueError: an argument is impossible.
    """
    _check(level, comparisons)
    if count < 2:
        raise ValueError(f"found {count} value; an interval needs two or more")
    from scipy import stats  # half a second to import

    tail = (1 - level) / (2 * comparisons)
    return float(stats.t.isf(tail, count - 1)) / math.sqrt(count)


def _check(level: float, comparisons: int) -> None:
    if not 0 < level < 1:
        raise ValueError(f"found level={level}; a number between 0 and 1 would fit, such as 0.95")
    if comparisons < 1:
        raise ValueError(f"found comparisons={comparisons}; one or more would fit")


def _deviation(values: list[float], mean: float) -> float | None:
    if len(values) < 2:
        return None
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))
