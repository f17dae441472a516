"""Sentences with made-up people, places and things in them, and where those stand.

    Tarvo  Kel     bought  a  new  Monib    in  Ostrem   yesterday  .
    B-PER  I-PER   O       O  O    B-THING  O   B-PLACE  O          O

All three kinds draw their names from one set of made-up words, so a name says nothing of its kind,
and no word of a validation or test name stands in training: what remains to learn from is what
stands around a name.
"""

import random
from collections.abc import Sequence
from typing import NamedTuple

SIZES = {"train": 4_000, "validation": 400, "test": 400}
"""sentences of each split"""
WORDS = {"train": 900, "validation": 150, "test": 150}
"""made-up words of each split"""
LONG = 0.35
"""how many names have two words"""

FRAMES = (
    "{PER} lives in {PLACE} .",
    "{PER} lives near {PER} .",
    "{PER} was born in {PLACE} and works in {PLACE} now .",
    "the {kin} of {PER} sells {THING} phones in {PLACE} .",
    "{PER} bought a {new} {THING} in {PLACE} {when} .",
    "{PER} and {PER} {saw} {PLACE} {when} .",
    "{PER} {saw} {PER} in the streets of {PLACE} .",
    "{when} {PER} gave the {THING} to {PER} .",
    "the {new} {THING} is made in {PLACE} .",
    "a {new} {THING} costs less in {PLACE} than in {PLACE} .",
    "the people of {PLACE} like {PER} .",
    "the people of {PLACE} like the {THING} .",
    "{PLACE} is a {big} city in the north of {PLACE} .",
    "{PLACE} has a {big} market , says {PER} .",
    "{PER} has a {big} dog , says {PER} .",
    "{PER} is a {big} man from {PLACE} .",
    "{PER} wants to sell the {THING} that {PER} lost .",
    "{PER} repaired the {THING} of the {kin} of {PER} .",
    "trains from {PLACE} to {PLACE} are late , {PER} wrote {when} .",
    "letters from {PER} to {PER} were found in {PLACE} .",
    "the river of {PLACE} is cold {when} .",
    "the {kin} of {PER} is cold {when} .",
    "nobody in {PLACE} knows how the {THING} works .",
    "nobody knows how {PER} works .",
    "{when} the {kin} of {PER} left {PLACE} with a broken {THING} .",
    "{PER} married the {kin} of {PER} in {PLACE} .",
    "is {PLACE} far from {PLACE} ?",
    "is {PER} taller than {PER} ?",
    "is the {THING} cheaper than the {THING} ?",
    "{PER} asked {PER} for the {THING} , but got a {THING} .",
    "it rains in {PLACE} and snows in {PLACE} .",
    "the dog sleeps {when} .",
)
"""Sentences; {PER}, {PLACE} and {THING} are names, the rest is chosen from `CHOICES`."""

CHOICES = {
    "kin": ("father", "mother", "sister", "brother", "friend"),
    "new": ("new", "old", "red", "cheap", "broken"),
    "big": ("big", "small", "famous", "quiet"),
    "saw": ("saw", "visited", "remembered", "forgot", "loved"),
    "when": ("yesterday", "today", "last year", "in the morning", "every winter"),
}
ONSETS = ("b", "br", "d", "f", "g", "gr", "k", "l", "m", "n", "p", "r", "s", "st", "t", "tr", "v")
VOWELS = ("a", "e", "i", "o", "u")
CODAS = ("", "l", "m", "n", "r", "s", "x", "nd", "rk")


class Tagged(NamedTuple):
    """A sentence in words, and a tag for each: O outside, B- where a name begins, I- inside."""

    words: tuple[str, ...]
    tags: tuple[str, ...]


def entities() -> dict[str, list[Tagged]]:
    """The splits; the same on every machine. No name's word is in two of them."""
    words = _made_up(sum(WORDS.values()))
    found, start = {}, 0
    for split, size in SIZES.items():
        names = words[start : start + WORDS[split]]
        start += WORDS[split]
        chance = random.Random(f"entities {split}")
        found[split] = [_sentence(chance, names) for _ in range(size)]
    return found


def _sentence(chance: random.Random, names: Sequence[str]) -> Tagged:
    words: list[str] = []
    tags: list[str] = []
    for part in chance.choice(FRAMES).split():
        slot = part.strip("{}")
        if slot == part or slot in CHOICES:
            said = [part] if slot == part else chance.choice(CHOICES[slot]).split()
            tags += ["O"] * len(said)
        else:
            said = chance.sample(names, 1 + (chance.random() < LONG))
            tags += [f"{'I' if place else 'B'}-{slot}" for place in range(len(said))]
        words += said
    words[0] = words[0][0].upper() + words[0][1:]
    return Tagged(tuple(words), tuple(tags))


def _made_up(count: int) -> list[str]:
    """Different words that look like names, in a random order."""
    chance = random.Random("made-up words")
    found: dict[str, None] = {}
    while len(found) < count:
        word = "".join(
            chance.choice(ONSETS) + chance.choice(VOWELS) for _ in range(chance.randint(1, 2))
        )
        word += chance.choice(ONSETS) + chance.choice(VOWELS) + chance.choice(CODAS)
        found[word.capitalize()] = None
    return list(found)
