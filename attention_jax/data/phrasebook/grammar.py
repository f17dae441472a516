"""The sentence patterns, how many sentences each gives, and the splits they fall into."""

from collections.abc import Callable
from functools import cache
from hashlib import sha256

from attention_jax.data.pair import Pair
from attention_jax.data.phrasebook import deeds, dialogue, giving, nested, relatives, states
from attention_jax.data.phrasebook.choice import Draw, Unsaid
from attention_jax.data.phrasebook.clauses import Made
from attention_jax.data.phrasebook.lexicon import NOUNS
from attention_jax.data.phrasebook.phrases import noun_phrase
from attention_jax.data.phrasebook.verbs import be, quality
from attention_jax.data.phrasebook.words import Phrase, render

LONGEST = 14
"""Words of the longest sentence, on either side, outside test_long."""
LONGEST_OF_ALL = 18
"""Words of the longest sentence of test_long."""
PINNED = {"The ball is blue": "test"}
"""Sentences whose split does not follow from their digest."""

PATTERNS: tuple[tuple[Callable[[Draw], Made], int], ...] = (
    (states.qualities, 5_200),
    (deeds.deeds, 4_000),
    (deeds.timed_deeds, 2_800),
    (deeds.habits, 1_200),
    (deeds.motions, 1_760),
    (deeds.walks, 1_440),
    (deeds.market_days, 1_200),
    (deeds.wearers, 1_200),
    (states.couples, 1_200),
    (deeds.encounters, 2_400),
    (giving.pronouns, 2_400),
    (giving.gifts, 2_400),
    (giving.gifts_to_me, 1_600),
    (giving.gifts_of_it, 1_600),
    (states.places, 2_000),
    (states.existence, 1_200),
    (states.likings, 2_400),
    (deeds.wishes, 2_000),
    (states.comparisons, 960),
    (states.families, 600),
    (deeds.beasts, 960),
    (deeds.finds, 1_200),
    (relatives.owned_qualities, 3_200),
    (relatives.doers, 2_400),
    (relatives.found_again, 1_200),
    (relatives.helpers, 1_000),
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
    (relatives.long_qualities, 100),
    (relatives.long_helpers, 250),
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
    shortest, longest = (LONGEST + 1, LONGEST_OF_ALL) if long else (1, LONGEST)
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
        if shortest <= _length(pair) <= longest:
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
    """The sentence that every example starts from."""
    about = noun_phrase(NOUNS["ball"])
    words, targets = be("ser", "present", about)
    predicate = Phrase(words, targets).then(quality("blue", about))
    return render((about.phrase.then(predicate), ""))
