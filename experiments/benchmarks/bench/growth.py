"""How figures grow with a size: exponents, and jumps between neighbouring sizes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

CLIFF = 1.5
OVERHEAD_MS = 1.0
"""a pair of sizes of which one takes less is called overhead, whatever it shows: what a call costs
by itself counts there"""


@dataclass(frozen=True)
class Jump:
    """Two neighbouring sizes whose cost for each unit of work differs too much.

    Attributes:
      before: the smaller size.
      after: the larger one.
      ratio: the larger one's cost for each unit of work over the smaller one's.
      overhead: whether one of them takes so little that this is the cost of a call.
    """

    before: int
    after: int
    ratio: float
    overhead: bool


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """The power of the size with which values grow: least squares over logarithms.

    Raises:
      ValueError: there are fewer than two points, or one is not positive.
    """
    if len(sizes) < 2 or len(sizes) != len(values) or min(*sizes, *values) <= 0:
        raise ValueError(
            f"found sizes {list(sizes)} and values {list(values)}; two or more of each, all "
            "positive, would fit"
        )
    x, y = ([math.log(one) for one in some] for some in (sizes, values))
    middle, height = sum(x) / len(x), sum(y) / len(y)
    slope = sum((a - middle) * (b - height) for a, b in zip(x, y, strict=True))
    return slope / sum((a - middle) ** 2 for a in x)


def upper_half(sizes: Sequence[int]) -> list[int]:
    """The larger half of sizes, in their order, the middle one included."""
    return list(sizes[len(sizes) // 2 :])


def jumps(sizes: Sequence[int], ms: Sequence[float], works: Sequence[float]) -> list[Jump]:
    """Neighbours whose time for each unit of work differs by more than CLIFF, either way.

    Args:
      sizes: in rising order.
      ms: milliseconds of each.
      works: units of work of each, as floating point operations.
    """
    found = []
    for at in range(1, len(sizes)):
        ratio = (ms[at] / works[at]) / (ms[at - 1] / works[at - 1])
        if max(ratio, 1 / ratio) > CLIFF:
            overhead = min(ms[at - 1], ms[at]) < OVERHEAD_MS
            found.append(Jump(sizes[at - 1], sizes[at], ratio, overhead))
    return found
