"""The sentence patterns, how many sentences each gives, and the splits they fall into."""

from collections.abc import Callable
from functools import cache
from hashlib import sha256

from attention_jax.data.pair import Pair
from attention_jax.data.phrasebook import dialogue, nested, statements
from attention_jax.data.phrasebook.phrases import Draw, Unsaid
from attention_jax.data.phrasebook.statements import Made
from attention_jax.data.phrasebook.words import render

LONGEST = 14
"""Words of the longest sentence, on either side, outside test_long."""
LONGEST_OF_ALL = 24
"""Words of the longest sentence of test_long."""
PINNED = {"The ball is blue": "test"}
"""Sentences whose split does not follow from their digest."""

PATTERNS: tuple[tuple[Callable[[Draw], Made], int], ...] = (
    (statements.qualities, 5_200),
    (statements.deeds, 4_000),
    (statements.timed_deeds, 2_800),
    (statements.habits, 1_200),
    (statements.motions, 1_760),
    (statements.walks, 1_440),
    (statements.market_days, 1_200),
    (statements.wearers, 1_200),
    (statements.couples, 1_200),
    (statements.encounters, 2_400),
    (statements.pronouns, 2_400),
    (statements.gifts, 2_400),
    (statements.gifts_to_me, 1_600),
    (statements.gifts_of_it, 1_600),
    (statements.places, 2_000),
    (statements.existence, 1_200),
    (statements.likings, 2_400),
    (statements.wishes, 2_000),
    (statements.comparisons, 960),
    (statements.families, 600),
    (statements.beasts, 960),
    (statements.finds, 1_200),
    (nested.owned_qualities, 3_200),
    (nested.doers, 2_400),
    (nested.found_again, 1_200),
    (nested.helpers, 1_000),
    (nested.reasons, 2_400),
    (nested.moods, 1_600),
    (nested.sequels, 2_400),
    (nested.handed_on, 1_000),
    (nested.reports, 2_400),
    (nested.deep_reports, 1_200),
    (dialogue.whether, 1_440),
    (dialogue.is_it, 960),
    (dialogue.which, 1_440),
    (dialogue.who_did, 800),
    (dialogue.where_is_it, 2_000),
    (dialogue.do_you_see_it, 1_200),
    (dialogue.i_did, 800),
)
LONG_PATTERNS: tuple[tuple[Callable[[Draw], Made], int], ...] = (
    (nested.long_reports, 400),
    (nested.long_qualities, 100),
    (nested.long_helpers, 250),
    (nested.long_reasons, 250),
)


def _length(pair: Pair) -> int:
    return max(pair.source.count(" "), pair.target.count(" ")) + 1


def sentences(pattern: Callable[[Draw], Made], count: int, *, long: bool = False) -> list[Pair]:
    """The first `count` different sentences of a pattern, always the same ones.

    Args:
      pattern: one of PATTERNS or LONG_PATTERNS.
      count: how many are wanted; fewer come back where the pattern does not give more.
      long: keep those longer than LONGEST, instead of the others.
    """
    draw = Draw(int.from_bytes(sha256(pattern.__name__.encode()).digest()[:8], "big"))
    found: dict[str, Pair] = {}
    for _ in range(12 * count):
        try:
            made = pattern(draw)
        except Unsaid:
            continue
        if made is None:
            continue
        pair = render(*made)
        if (LONGEST < _length(pair) <= LONGEST_OF_ALL) == long:
            found.setdefault(pair.source, pair)
            if len(found) == count:
                break
    return list(found.values())


def split_of(source: str) -> str:
    """Train, validation or test, by a digest of the English sentence."""
    if source in PINNED:
        return PINNED[source]
    bucket = int.from_bytes(sha256(source.encode()).digest()[:4], "big") % 1_000
    return "test" if bucket < 22 else "validation" if bucket < 38 else "train"


def _digest(pair: Pair) -> bytes:
    return sha256(b"order" + pair.source.encode()).digest()


@cache
def _all() -> dict[str, tuple[Pair, ...]]:
    splits: dict[str, dict[str, Pair]] = {"train": {}, "validation": {}, "test": {}}
    ordinary = [pair for pattern, count in PATTERNS for pair in sentences(pattern, count)]
    for pair in (_pinned(), *ordinary):
        splits[split_of(pair.source)].setdefault(pair.source, pair)
    splits["test_long"] = {
        pair.source: pair
        for pattern, count in LONG_PATTERNS
        for pair in sentences(pattern, count, long=True)
    }
    return {name: tuple(sorted(made.values(), key=_digest)) for name, made in splits.items()}


def pairs() -> dict[str, list[Pair]]:
    """All sentence pairs, by split: train, validation, test and test_long.

    The same on every machine and in every run. No English sentence occurs twice; sentences of
    test_long are longer than any other and are made by nesting more deeply.
    """
    return {name: list(made) for name, made in _all().items()}


def _pinned() -> Pair:
    about = statements.noun_phrase(statements.NOUNS["ball"])
    words, targets = statements.be("ser", "present", about)
    predicate = statements.Phrase(words, targets).then(statements.quality("blue", about))
    return render((about.phrase.then(predicate), ""))
