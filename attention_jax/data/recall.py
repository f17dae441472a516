"""Associative recall: pairs of a key and a value in random order; the answer is all values by key.

    source  duap baom ceut
    target  om ut ap            the values of ba, ce and du

A word is a token, so what a head must do is one look: the answer's place in the sentence says which
key is wanted, and the word that begins with it is somewhere among all others. Nothing can be learnt
by heart or worked out by elimination: values are drawn with replacement, and order and values are
drawn anew for each sentence. What each answer stands on is known, and is each pair's alignment.

Source: Arora et al. 2023, "Zoology", section 3 (recall of several pairs; there with queries in the
text, here all keys are asked for, in their order).
"""

import random
import re

from attention_jax.data.lines import DataError
from attention_jax.data.pair import Pair
from attention_jax.data.text import Splits

CONSONANTS, VOWELS = "bcdfghjklmnpqrst", "aeiou"
KEYS = tuple(one + other for other in VOWELS[:4] for one in CONSONANTS)
VALUES = tuple("u" + one for one in CONSONANTS)
MOST = len(KEYS)

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
      pairs: key-value pairs in a sentence; all sentences have the same keys.
      longest: tokens that a side may have, its end mark included; a word is a token.

    Raises:
      DataError: the sentences are longer than that.
    """
    if longest <= pairs:
        raise DataError(
            f"max_length is {longest}; a sentence of recall-{pairs} has {pairs + 1} tokens with "
            f"its end mark, so {pairs + 1} would fit."
        )
    return {
        split: [_sentence(pairs, chance) for _ in range(count)]
        for split, count in SIZES.items()
        for chance in [random.Random(f"recall-{pairs} {split}")]
    }


def _sentence(pairs: int, chance: random.Random) -> Pair:
    order, values = chance.sample(range(pairs), pairs), chance.choices(VALUES, k=pairs)
    listed = [KEYS[key] + values[key] for key in order]
    links = tuple((at, key) for at, key in enumerate(order))
    return Pair(" ".join(listed), " ".join(values), links)
