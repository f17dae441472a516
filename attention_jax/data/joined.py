"""Pairs joined to longer ones, so that a sentence is long and nothing else about it is new.

    A dog runs .    +    Two men sleep .    →    A dog runs . Two men sleep .

The long sentences of a corpus differ from its short ones in more than their length. Here each split
holds its text several times: by ones, by twos and so on. So the same sentences stand alone and
among others, and what a model loses on the way from one to the other it loses to length.
"""

import random
from collections.abc import Sequence

from attention_jax.data.pair import Pair
from attention_jax.data.text import Splits


def joined(splits: Splits, most: int) -> Splits:
    """Every split by ones, by twos ... by `most`; the same on every machine.

    Which pairs meet is drawn anew for each size, inside the split. The last of a size may be of
    fewer pairs.

    Args:
      splits: pairs by split.
      most: pairs to join, at most; 1 leaves the splits as they are.
    """
    return {
        split: [one for size in range(1, most + 1) for one in _by(size, pairs, split)]
        for split, pairs in splits.items()
    }


def join(pairs: Sequence[Pair]) -> Pair:
    """One pair of several, in their order, with all their links."""
    links: list[tuple[int, int]] = []
    source = target = 0  # words before the pair
    for pair in pairs:
        links += [(source + one, target + other) for one, other in pair.alignment]
        source += len(pair.source.split())
        target += len(pair.target.split())
    text = " ".join(pair.source for pair in pairs), " ".join(pair.target for pair in pairs)
    return Pair(*text, tuple(links))


def _by(size: int, pairs: Sequence[Pair], split: str) -> Sequence[Pair]:
    if size == 1:
        return pairs
    order = random.Random(f"{split} by {size}").sample(pairs, len(pairs))
    return [join(order[start : start + size]) for start in range(0, len(order), size)]
