"""How far one sequence is from another: edits between them.

Source: Levenshtein 1966; as a rate, the word error rate of speech recognition.
"""

from collections.abc import Sequence
from typing import Any


def edit_distance(one: Sequence[Any], other: Sequence[Any]) -> int:
    """How many insertions, deletions and replacements make `one` into `other`, at the least."""
    row = list(range(len(other) + 1))  # row[j]: from what was read to the first j of other
    for read, mine in enumerate(one, start=1):
        corner, row[0] = row[0], read
        for at, theirs in enumerate(other, start=1):
            least = min(corner + (mine != theirs), row[at] + 1, row[at - 1] + 1)
            corner, row[at] = row[at], least
    return row[-1]


def accuracy(
    found: Sequence[Sequence[Any]], wanted: Sequence[Sequence[Any]]
) -> tuple[float, float]:
    """1 - edits / what was wanted, over all sequences, and the share of those that are exact.

    The first is one minus the word error rate, and below zero where far too much was found.

    Raises:
      ValueError: there are not as many of both, or nothing was wanted.
    """
    if len(found) != len(wanted) or not sum(map(len, wanted)):
        raise ValueError(
            f"{len(found)} sequences were found and {len(wanted)} wanted; as many, and something "
            "in them, would fit"
        )
    pairs = list(zip(found, wanted, strict=True))
    edits = sum(edit_distance(one, other) for one, other in pairs)
    exact = sum(list(one) == list(other) for one, other in pairs)
    return 1 - edits / sum(map(len, wanted)), exact / len(pairs)
