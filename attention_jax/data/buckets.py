"""Which padded lengths batches should have, so that few programs waste little padding."""

import numpy as np

ROUNDING = 4
"""Padded lengths are multiples of this, or the largest length allowed."""


def rows_within(length: int, tokens: int) -> int:
    """Rows of this length that fit into a token budget, one at least."""
    return max(1, tokens // length)


def rounded(lengths: np.ndarray, limit: int) -> np.ndarray:
    """Lengths rounded up to multiples of `ROUNDING`, but not above `limit` if they fit under."""
    return np.minimum(-(-lengths // ROUNDING) * ROUNDING, max(limit, int(lengths.max())))


def choose(
    longest: np.ndarray, tokens: int, shapes: int, limit: int
) -> tuple[np.ndarray, list[int]]:
    """The padded lengths with the fewest positions in all, and how many pairs fall to each.

    Exact, by dynamic programming over the different rounded lengths: `best[j]` is the least cost of
    all pairs up to length j, and one more bucket ends at j. The cost of a bucket is that of its
    batches, empty rows included.

    Args:
      longest: the length of each pair, its longer side.
      tokens: the most positions a side of a batch has.
      shapes: the most lengths to choose.
      limit: the largest length allowed.

    Returns:
      Rising lengths, at most `shapes`, and for each the number of pairs that need it.
    """
    lengths, counts = np.unique(rounded(longest, limit), return_counts=True)
    before = np.concatenate([[0], np.cumsum(counts)])  # pairs shorter than lengths[j]
    rows = np.array([rows_within(int(n), tokens) for n in lengths])
    # cost[i, j]: one bucket, padded to lengths[j], for the lengths i..j.
    pairs = before[None, 1:] - before[:-1, None]
    cost = np.where(pairs > 0, -(-pairs // rows) * rows * lengths, np.inf)
    best = cost[0]
    starts: list[np.ndarray] = []
    totals = [best[-1]]
    for _ in range(1, min(shapes, len(lengths))):
        total = np.concatenate([[np.inf], best[:-1]])[:, None] + cost
        starts.append(total.argmin(axis=0))
        best = total.min(axis=0)
        totals.append(best[-1])
    chosen, last = [], len(lengths) - 1
    for start in reversed(starts[: int(np.argmin(totals))]):
        chosen.append(last)
        last = int(start[last]) - 1
    ends = np.array([*chosen, last][::-1])
    return lengths[ends], [int(n) for n in np.diff(before[ends + 1], prepend=0)]
