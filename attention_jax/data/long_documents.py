"""Long reports and their summaries: of everything that is told, one sentence a person counts.

    source  report on anna , otto : it rained in rome . otto once saw lima . otto has moved to oslo
            . the road to cork is closed . anna has moved to rome . ...
    target  anna lives in rome . otto lives in oslo .

The headline names the persons that the summary is about, in its order. What counts of each is told
once, somewhere, as "has moved to"; all else (what they saw and whom they met, the moves of others,
weather and roads) only looks like it. So the summary cannot be written from what stands near: a
model has to look for each person across the whole report, by what is said and not by where. Which
word each word of the summary stands on is known, and is each pair's alignment.
"""

import random
import re
from collections.abc import Sequence

from attention_jax.data.lines import DataError
from attention_jax.data.pair import Pair
from attention_jax.data.text import Splits

_NAMES = """
ada alma anna arno axel bela bert boris carl cleo cora dana dora edda egon elsa emil erik eva finn
fred gerd greta gina hans hugo ida igor ilse ines ivan jana jens jill jonas julia kai karin klara
kurt lars lena leo lina lotte lukas mara maria mark milo mona nina noah nora olaf olga otto paul
petra rosa ruth
"""
_PLACES = """
bern bonn cairo cork dakar delhi dublin genoa graz lagos lima linz london lyon madrid malta milan
minsk nice oslo paris perth porto prague quito riga rome seoul sofia tokyo tunis turin
"""
NAMES, PLACES = tuple(_NAMES.split()), tuple(_PLACES.split())
ABOUT_ONE = ("{} once saw {}", "{} never liked {}", "{} is back from {}", "{} wrote about {}")
ABOUT_PLACES = ("it rained in {}", "the road to {} is closed", "bread is cheap in {}")

SIZES = {"train": 20_000, "validation": 200, "test": 400}
"""reports of each split"""
SENTENCES = 3, 5
"""of a report for each person of its headline, at least and at most"""
LONGEST = 7
"""words of the longest sentence, its full stop included"""
MOST = len(NAMES) // 2


def persons_in(name: str) -> int | None:
    """8 for the corpus name "reports-8", None for a name that is none of this corpus.

    Raises:
      DataError: a number of persons that no report can have.
    """
    if not (found := re.fullmatch(r"reports-(\d+)", name)):
        return None
    if not 1 <= int(found[1]) <= MOST:
        raise DataError(f"{name} has {found[1]} persons; reports-1 to reports-{MOST} would fit.")
    return int(found[1])


def tokens_of(persons: int) -> int:
    """The most tokens of a report, its end mark included, where a word is a token."""
    return 2 + 2 * persons + SENTENCES[1] * persons * LONGEST + 1


def reports(persons: int, longest: int) -> Splits:
    """The splits of a corpus of reports; the same on every machine.

    Args:
      persons: in the headline of each report, which has 3 to 5 sentences of up to 7 words for
        each of them: with 8 persons about 200 words, with 30 about 800.
      longest: tokens that a side may have, its end mark included; a word is a token, from a
        vocabulary of 600 on.

    Raises:
      DataError: the reports may be longer than that.
    """
    if longest < (most := tokens_of(persons)):
        raise DataError(
            f"max_length is {longest}; the reports of reports-{persons} have up to {most} tokens "
            f"with their end mark, so {most} would fit."
        )
    return {
        split: [_report(persons, chance) for _ in range(count)]
        for split, count in SIZES.items()
        for chance in [random.Random(f"reports-{persons} {split}")]
    }


def _report(persons: int, chance: random.Random) -> Pair:
    """A report and its summary."""
    every = chance.sample(NAMES, len(NAMES))
    about, others = every[:persons], every[persons:]
    homes = chance.choices(PLACES, k=persons)
    told = [_aside(about, others, chance) for _ in range(chance.randint(*SENTENCES) * persons)]
    places = chance.sample(range(len(told)), persons)
    for name, home, at in zip(about, homes, places, strict=True):
        told[at] = f"{name} has moved to {home}"
    source = f"report on {' , '.join(about)} : " + " . ".join(told) + " ."
    lives = [f"{name} lives in {home} ." for name, home in zip(about, homes, strict=True)]
    begins = [2 + 2 * persons]  # the headline's words, then those of each sentence
    for sentence in told:
        begins.append(begins[-1] + len(sentence.split()) + 1)
    links = []
    for person, at in enumerate(places):
        links += [(2 + 2 * person, 5 * person), (begins[at] + 4, 5 * person + 3)]
    return Pair(source, " ".join(lives), tuple(links))


def _aside(about: Sequence[str], others: Sequence[str], chance: random.Random) -> str:
    """A sentence that does not count."""
    kind, place = chance.random(), chance.choice(PLACES)
    if kind < 0.25:
        return chance.choice(ABOUT_PLACES).format(place)
    if kind < 0.5:
        return f"{chance.choice(others)} has moved to {place}"
    if kind < 0.6:
        return f"{chance.choice(about)} met {chance.choice(others)} in {place}"
    return chance.choice(ABOUT_ONE).format(chance.choice(about), place)
