"""From seconds to figures: medians and minima, spreads, ratios, whether results agree."""

import math
import statistics
from collections.abc import Sequence
from typing import Any

FEWEST = 3  # rounds that say something about their spread

Rounds = Sequence[Sequence[float]]
"""seconds of each call of each round"""


def figures(rounds: Rounds) -> dict[str, Any]:
    """What all rounds of one contender and case tell.

    Returns:
      ms: the median of the rounds' medians; min_ms: of all calls; spread: the slowest round's
      median over the fastest's, None of fewer than three; round_ms: the rounds' medians; calls.
    """
    medians = [statistics.median(seconds) for seconds in rounds]
    return {
        "ms": 1e3 * statistics.median(medians),
        "min_ms": 1e3 * min(min(seconds) for seconds in rounds),
        "spread": max(medians) / min(medians) if len(medians) >= FEWEST else None,
        "round_ms": [1e3 * median for median in medians],
        "calls": sum(map(len, rounds)),
    }


def ratio(rounds: Rounds, others: Rounds) -> dict[str, Any]:
    """One contender's time over another's, in rounds that were run in turn.

    Returns:
      ratio: of the medians; ratio_range: the least and the greatest of any round.
    """
    own, other = ([statistics.median(one) for one in some] for some in (rounds, others))
    each = [a / b for a, b in zip(own, other, strict=True)]
    found = statistics.median(own) / statistics.median(other)
    return {"ratio": found, "ratio_range": [min(each), max(each)]}


def agree(numbers: Sequence[float], others: Sequence[float], tolerance: float) -> bool:
    """Whether two results' numbers are the same, to a part of each and of their usual size.

    Zero wants the very same numbers. What is not finite agrees with nothing.
    """
    if len(numbers) != len(others) or not all(map(math.isfinite, [*numbers, *others])):
        return False
    size = math.sqrt(sum(x * x for x in others) / max(1, len(others)))
    near = {"rel_tol": tolerance, "abs_tol": tolerance * size}
    return all(math.isclose(a, b, **near) for a, b in zip(numbers, others, strict=True))
