"""Addition: two whole numbers, written digit by digit, and their sum.

    addition-3            source  1 2 3 + 4 5       target  1 6 8
    addition-reversed-3   source  3 2 1 + 5 4       target  8 6 1

A digit is a token. The longer number has 1 to N digits, each length as often, and the other has up
to as many. The first digit of a sum may hang on all that follow, by their carries; the wrong way
round each hangs on what was written before it, and on two digits of the source. With a second
number, as in addition-8-16, the split `test_longer` has numbers of 9 to 16 digits, of which none is
seen in training.

Source: the task is that of Kaiser and Sutskever 2016, "Neural GPUs Learn Algorithms", in decimal
digits, as Dehghani et al. 2018, section 3, take it.
"""

import random

from attention_jax.data.lengths import Lengths, lengths_in
from attention_jax.data.lines import DataError
from attention_jax.data.pair import Pair
from attention_jax.data.text import Splits

SIZES = {"train": 50_000, "validation": 1_000, "test": 1_000}
"""problems of each split"""
LONGER = 1_000
"""problems of `test_longer`, where there is one"""
MOST = 500
"""digits of a number"""


def digits_in(name: str) -> tuple[Lengths, bool] | None:
    """The digits of the corpus name "addition-8-16", and whether it is reversed.

    None for a name that is none of this.

    Raises:
      DataError: a number of digits that no number can have.
    """
    for kind, turned in (("addition", False), ("addition-reversed", True)):
        if (found := lengths_in(name, kind, "digits", MOST)) is not None:
            return found, turned
    return None


def addition(digits: Lengths, longest: int, *, turned: bool = False) -> Splits:
    """The splits of an addition corpus; the same on every machine.

    No training problem is one of another split, but those of two single digits: there are only 100.

    Args:
      digits: of the longest number in training, and of that in `test_longer`, if there is one.
      longest: tokens that a side may have, its end mark included; a digit is a token, from a
        vocabulary of 270 on.
      turned: the last digit first, in all three numbers.

    Raises:
      DataError: the problems are longer than that.
    """
    needed = 2 * digits.longest + 2
    if longest < needed:
        raise DataError(
            f"max_length is {longest}; two numbers of {digits.longest} digits have {needed} tokens "
            f"with their sign and end mark, so {needed} would fit."
        )
    # Of the same numbers, whichever way they are written and whatever comes beyond them.
    name, short = f"addition-{digits.trained}", (1, digits.trained)
    splits: Splits = {}
    taken: set[tuple[int, int]] = set()
    for split in ("validation", "test", "train"):  # training last: it avoids the others
        chance = random.Random(f"{name} {split}")
        problems = [_problem(*short, taken, chance) for _ in range(SIZES[split])]
        taken |= {problem for problem in problems if max(problem) > 9}
        splits[split] = [_pair(*problem, turned) for problem in problems]
    splits = {split: splits[split] for split in SIZES}
    if digits.tested is not None:
        chance, least = random.Random(f"addition-{digits} test_longer"), digits.trained + 1
        problems = [_problem(least, digits.tested, set(), chance) for _ in range(LONGER)]
        splits["test_longer"] = [_pair(*problem, turned) for problem in problems]
    return splits


def _problem(
    least: int, most: int, taken: set[tuple[int, int]], chance: random.Random
) -> tuple[int, int]:
    """Two numbers, not both taken."""
    length = chance.randint(least, most)
    while True:
        numbers = [_number(length, chance), _number(chance.randint(1, length), chance)]
        chance.shuffle(numbers)
        if (problem := (numbers[0], numbers[1])) not in taken:
            return problem


def _number(digits: int, chance: random.Random) -> int:
    return chance.randint(10 ** (digits - 1) if digits > 1 else 0, 10**digits - 1)


def _pair(one: int, other: int, turned: bool) -> Pair:
    """A problem as text; each digit is aligned with those of its own power of ten."""
    words = [str(number)[:: -1 if turned else 1] for number in (one, other, one + other)]
    source, target = " ".join([*words[0], "+", *words[1]]), " ".join(words[2])
    powers = [range(len(word)) if turned else range(len(word))[::-1] for word in words]
    at = {power: place for place, power in enumerate(powers[2])}
    begins = 0, len(words[0]) + 1
    links = [
        (begin + place, at[power])
        for begin, found in zip(begins, powers, strict=False)
        for place, power in enumerate(found)
    ]
    return Pair(source, target, tuple(links))
