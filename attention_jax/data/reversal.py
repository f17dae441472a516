"""Reversal: the answer is the sentence, last symbol first.

    source  17 4 4 32
    target  32 4 4 17

A symbol is a token, and a sentence has 1 to N of them, each length as often. Nothing can be guessed
and nothing left out, so a model that must hold the sentence in one vector is asked for all that the
vector holds, and one that attends has to look at one place each. That place is known, and is each
symbol's alignment. With a second number, as in reverse-25-50, the split `test_longer` has sentences
of 26 to 50 symbols, longer than any in training; all else stays the same.

Source: the sizes are those of JoeyNMT's reversal task (Kreutzer et al. 2019; 50 symbols, up to 25
of them, 50,000 + 1,000 + 1,000 sentences).
"""

import random

from attention_jax.data.lengths import Lengths, lengths_in
from attention_jax.data.lines import DataError
from attention_jax.data.pair import Pair
from attention_jax.data.text import Splits

SYMBOLS = tuple(map(str, range(50)))
SIZES = {"train": 50_000, "validation": 1_000, "test": 1_000}
"""sentences of each split"""
LONGER = 1_000
"""sentences of `test_longer`, where there is one"""
MOST = 1_000
"""symbols in a sentence"""


def symbols_in(name: str) -> Lengths | None:
    """The most symbols, 25 for the corpus name "reverse-25"; None for a name that is none of this.

    Raises:
      DataError: a number of symbols that no sentence can have.
    """
    return lengths_in(name, "reverse", "symbols", MOST)


def reversal(symbols: int, longest: int, tested: int | None = None) -> Splits:
    """The splits of a reversal corpus; the same on every machine.

    No training sentence is one of validation or test, but those of one symbol: there are only 50.

    Args:
      symbols: in the longest sentence of training.
      longest: tokens that a side may have, its end mark included; a symbol is a token, from a
        vocabulary of 309 on.
      tested: symbols in the longest sentence of `test_longer`; None: there is no such split.

    Raises:
      DataError: the sentences are longer than that.
    """
    lengths = Lengths(symbols, tested)
    if longest <= lengths.longest:
        raise DataError(
            f"max_length is {longest}; the longest sentences of reverse-{lengths} have "
            f"{lengths.longest + 1} tokens with their end mark, so {lengths.longest + 1} would fit."
        )
    splits: Splits = {}
    taken: set[str] = set()
    for split in ("validation", "test", "train"):  # training last: it avoids the others
        chance = random.Random(f"reverse-{symbols} {split}")
        splits[split] = [_sentence(1, symbols, taken, chance) for _ in range(SIZES[split])]
        taken |= {pair.source for pair in splits[split] if " " in pair.source}
    splits = {split: splits[split] for split in SIZES}
    if tested is not None:
        chance, least = random.Random(f"reverse-{lengths} test_longer"), symbols + 1
        splits["test_longer"] = [_sentence(least, tested, set(), chance) for _ in range(LONGER)]
    return splits


def _sentence(least: int, most: int, taken: set[str], chance: random.Random) -> Pair:
    """A sentence that is none of those taken."""
    length = chance.randint(least, most)
    while (source := " ".join(chance.choices(SYMBOLS, k=length))) in taken:
        pass
    target = " ".join(reversed(source.split()))
    return Pair(source, target, tuple((at, length - 1 - at) for at in range(length)))
