"""Associative recall: key-value pairs, then queries; the translation is the value of every query.

    source  ba om ce ut du ap ? du ba du
    target  ap om ap

Keys, values and queries are drawn anew for each sentence, so nothing can be learnt by heart, and
queries with replacement, so that no answer follows from the others: whoever answers has looked a
key up. Where each answer stands is known exactly, and is each pair's alignment.

Source: Arora et al. 2023, "Zoology", section 3 (multi-query associative recall).
"""

import random
import re

from attention_jax.data.pair import Pair
from attention_jax.data.text import DataError, Splits

CONSONANTS, VOWELS = "bcdfghjklmnpqrstvwxz", "aeiou"
KEYS = tuple(one + other for one in CONSONANTS for other in VOWELS)
VALUES = tuple(other + one for one in CONSONANTS for other in VOWELS)

MOST = len(KEYS) // 2
"""pairs of a sentence, at most: half of the keys that a corpus has stand in a sentence"""

SIZES = {"train": 20_000, "validation": 200, "test": 500}
"""sentences of each split"""


def pairs_in(name: str) -> int | None:
    """16 for the corpus name "recall-16", None for a name that is none of this corpus.

    Raises:
      DataError: a number of pairs that no sentence can have.
    """
    if not (found := re.fullmatch(r"recall-(\d+)", name)):
        return None
    if not 1 <= int(found[1]) <= MOST:
        raise DataError(f"{name} has {found[1]} pairs; recall-1 to recall-{MOST} would fit.")
    return int(found[1])


def recall(pairs: int, longest: int) -> Splits:
    """The splits of a recall corpus; the same on every machine.

    Args:
      pairs: key-value pairs in a sentence, and queries of them.
      longest: tokens that a side may have, its end mark included; a word is a token.

    Raises:
      DataError: the sentences are longer than that.
    """
    tokens = 3 * pairs + 2  # the question mark and the end mark
    if longest < tokens:
        raise DataError(
            f"max_length is {longest}; a sentence of recall-{pairs} has {tokens} tokens with its "
            f"end mark, so {tokens} would fit."
        )
    return {
        split: [_sentence(pairs, chance) for _ in range(count)]
        for split, count in SIZES.items()
        for chance in [random.Random(f"recall-{pairs} {split}")]
    }


def _sentence(pairs: int, chance: random.Random) -> Pair:
    keys = chance.sample(KEYS[: 2 * pairs], pairs)
    values = chance.choices(VALUES[: 2 * pairs], k=pairs)
    asked = chance.choices(range(pairs), k=pairs)
    listed = [word for pair in zip(keys, values, strict=True) for word in pair]
    return Pair(
        " ".join([*listed, "?", *(keys[one] for one in asked)]),
        " ".join(values[one] for one in asked),
        tuple((2 * one + 1, at) for at, one in enumerate(asked)),
    )
