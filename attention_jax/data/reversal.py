"""Reversal: the answer is the sentence, last symbol first.

    source  17 4 4 32
    target  32 4 4 17

A symbol is a token, and a sentence has 1 to N of them, each length as often. Nothing can be guessed
and nothing left out, so a model that must hold the sentence in one vector is asked for all that the
vector holds, and one that attends has to look at one place each. That place is known, and is each
symbol's alignment.

Source: the sizes are those of JoeyNMT's reversal task (Kreutzer et al. 2019; 50 symbols, up to 25
of them, 50,000 + 1,000 + 1,000 sentences).
"""

import random
import re

from attention_jax.data.lines import DataError
from attention_jax.data.pair import Pair
from attention_jax.data.text import Splits

SYMBOLS = tuple(map(str, range(50)))
SIZES = {"train": 50_000, "validation": 1_000, "test": 1_000}
"""sentences of each split"""
MOST = 1_000
"""symbols in a sentence"""


def symbols_in(name: str) -> int | None:
    """25, the most symbols, for the corpus name "reverse-25"; None for a name that is none of this.

    Raises:
      DataError: a number of symbols that no sentence can have.
    """
    if not (found := re.fullmatch(r"reverse-(\d+)", name)):
        return None
    if not 1 <= int(found[1]) <= MOST:
        raise DataError(f"{name} has {found[1]} symbols; reverse-1 to reverse-{MOST} would fit.")
    return int(found[1])


def reversal(symbols: int, longest: int) -> Splits:
    """The splits of a reversal corpus; the same on every machine.

    No training sentence is one of validation or test, but those of one symbol: there are only 50.

    Args:
      symbols: in the longest sentence.
      longest: tokens that a side may have, its end mark included; a symbol is a token, from a
        vocabulary of 309 on.

    Raises:
      DataError: the sentences are longer than that.
    """
    if longest <= symbols:
        raise DataError(
            f"max_length is {longest}; the longest sentences of reverse-{symbols} have "
            f"{symbols + 1} tokens with their end mark, so {symbols + 1} would fit."
        )
    splits: Splits = {}
    taken: set[str] = set()
    for split in ("validation", "test", "train"):  # training last: it avoids the others
        chance = random.Random(f"reverse-{symbols} {split}")
        splits[split] = [_sentence(symbols, taken, chance) for _ in range(SIZES[split])]
        taken |= {pair.source for pair in splits[split] if " " in pair.source}
    return {split: splits[split] for split in SIZES}


def _sentence(symbols: int, taken: set[str], chance: random.Random) -> Pair:
    """A sentence that is none of those taken."""
    length = chance.randint(1, symbols)
    while (source := " ".join(chance.choices(SYMBOLS, k=length))) in taken:
        pass
    target = " ".join(reversed(source.split()))
    return Pair(source, target, tuple((at, length - 1 - at) for at in range(length)))
