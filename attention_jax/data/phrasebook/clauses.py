"""Who does what: subjects, objects and predicates that fit each other."""

from collections.abc import Sequence

from attention_jax.data.phrasebook.choice import Draw, Unsaid
from attention_jax.data.phrasebook.frames import DEEDS, HAUNTS, PLACED
from attention_jax.data.phrasebook.lexicon import (
    ABSOLUTE,
    ADJECTIVES,
    COLOURS,
    MOODS,
    NOUNS,
    STATES,
    VERBS,
    Verb,
)
from attention_jax.data.phrasebook.objects import HOMELY, as_object, thing
from attention_jax.data.phrasebook.people import MY
from attention_jax.data.phrasebook.phrases import Clitic, NounPhrase, noun_phrase, placed
from attention_jax.data.phrasebook.verbs import VerbGroup, be, quality, verb_group
from attention_jax.data.phrasebook.words import Phrase, Target, Word, phrase

_OPPOSITES = (
    COLOURS,
    MOODS,
    frozenset(("big", "small")),
    frozenset(("old", "new", "young")),
    frozenset(("expensive", "cheap")),
    frozenset(("clean", "dirty")),
    frozenset(("hot", "cold")),
    frozenset(("strong", "sick", "tired")),
)

_SIZES = {"big", "small", "tall", "heavy"}
_LASTING = COLOURS | _SIZES | {"old", "new", "young", "broken", "intelligent"}
"""Adjectives that nothing is going to be."""


def unlike(adjective: str, choices: Sequence[str]) -> tuple[str, ...]:
    """The choices that neither repeat nor contradict an adjective."""
    against = {adjective}
    for group in _OPPOSITES:
        if adjective in group:
            against |= group
    return tuple(choice for choice in choices if choice not in against)


def tense_for(draw: Draw, verb: Verb, subject: NounPhrase, negated: bool) -> str:
    """A tense that fits the verb and that its English form shows."""
    if verb.stative:
        return draw.pick(("present", "past"))
    if verb.base == "cry":
        return draw.pick(("past", "past", "present"))
    tenses = ["past", "past", "past", "future", "perfect"]
    if verb.base in ("lose", "break"):
        return draw.pick(("past", "past", "past", "perfect"))
    if verb.base != "find":
        tenses += ["present", "present"]
    if verb.base == verb.past and not negated:  # "they read" could be either
        tenses = ["future", "perfect"] + ["present"] * 3 * (subject.person == 2)
    return draw.pick(tenses)


_WHEN = {"past": "yesterday", "future": "tomorrow", "perfect": "today", "present": "every day"}

_WHEN_ES = {"past": "ayer", "future": "mañana", "perfect": "hoy", "present": "todos los días"}


def when(tense: str) -> Phrase:
    """The time word of a tense."""
    if tense == "present":
        return phrase("every", "todos los").then(phrase("day", "días"))
    return phrase(_WHEN[tense], _WHEN_ES[tense])


def place(draw: Draw, spot: str) -> Phrase:
    """A spot such as "in-garden", spelled out: in my old garden."""
    preposition, name = spot.split("-")
    noun = NOUNS[name]
    fitting = tuple(adjective for adjective in noun.adjectives if adjective not in STATES)
    adjective = draw.pick(fitting) if fitting and draw.chance(0.2) else ""
    determiner = draw.pick(MY) if name in HOMELY and draw.chance(0.25) else "the"
    return placed(preposition, noun_phrase(noun, determiner, adjective))


def spot(draw: Draw, noun: str) -> Phrase:
    """Where something or somebody is; names and pronouns are found where people are."""
    return place(draw, draw.pick(PLACED[noun or "boy"]))


def with_object(group: VerbGroup, made: Phrase) -> Phrase:
    """A predicate: the verb and its object."""
    return group.phrase.then(made)


def with_clitic(group: VerbGroup, *pronouns: Clitic) -> Phrase:
    """A predicate whose objects are pronouns; the group was built with their Spanish."""
    english = tuple(word for one in pronouns for word in one.english)
    return Phrase(group.helper + group.main + english, group.spanish)


def transitive(
    draw: Draw, doer: NounPhrase, *, verb: str = "", tense: str = "", noun: str = ""
) -> Phrase:
    """A verb and its thing."""
    chosen = VERBS[verb or draw.pick(DEEDS)]
    made = thing(draw, chosen.base, doer, noun)
    counted = made.spanish[0].text in ("dos", "tres", "muchos", "muchas")
    negated = not counted and draw.chance(0.25)
    tense = tense or tense_for(draw, chosen, doer, negated)
    group = verb_group(chosen, tense, doer, negated=negated)
    return with_object(group, as_object(chosen.base, made))


def intransitive(draw: Draw, doer: NounPhrase, *, tense: str = "") -> Phrase:
    """A deed without an object, and where."""
    verb = VERBS[draw.pick(("sing", "sleep", "run", "work", "play", "cry"))]
    if verb.base == "cry" and tense in ("future", "perfect"):
        raise Unsaid
    negated = draw.chance(0.2)
    tense = tense or tense_for(draw, verb, doer, negated)
    group = verb_group(verb, tense, doer, negated=negated)
    if draw.chance(0.3):
        return group.phrase
    return group.phrase.then(place(draw, draw.pick(HAUNTS[verb.base])))


def predicative(draw: Draw, about: NounPhrase, *, tense: str = "", but: str = "") -> Phrase | None:
    """To be and an adjective that fits and is not `but`; None where there is none."""
    known = NOUNS[about.noun].adjectives if about.noun else ("tall", *sorted(MOODS))
    choices = tuple(one for one in unlike(about.adjective, known) if one != but)
    if about.noun in ("", "brother", "sister", "father", "mother", "uncle", "aunt"):
        choices = (*choices, "intelligent", "famous", "strong")
    if not choices:
        return None
    adjective = draw.pick(choices)
    tense = tense or draw.pick(("present", "present", "past", "future"))
    if tense == "future" and adjective in _LASTING:
        tense = "present"
    negated = draw.chance(0.2)
    words, targets = be(ADJECTIVES[adjective].copula, tense, about, negated=negated)
    very = adjective not in ABSOLUTE and draw.chance(0.2)
    return Phrase(words, targets).then(quality(adjective, about, very=very))


def located(draw: Draw, about: NounPhrase, *, tense: str = "") -> Phrase:
    """To be somewhere."""
    tense = tense or draw.pick(("present", "present", "past"))
    words, targets = be("estar", tense, about, negated=draw.chance(0.15))
    return Phrase(words, targets).then(spot(draw, about.noun))


def that(english: str) -> Phrase:
    """The relative pronoun or conjunction: who, that."""
    return phrase(english, "que")


def infinitive(verb: Verb, to: Word | None) -> Phrase:
    """To buy, or buy: comprar."""
    main = (Word(verb.base), Word(verb.particle)) if verb.particle else (Word(verb.base),)
    english = main if to is None else (to, *main)
    return Phrase(english, (Target(verb.spanish, english),))


Made = list[tuple[Phrase, str]] | None
"""A sentence or two with their marks; None where a draw led nowhere."""


def told(*parts: Phrase) -> Made:
    """A statement of these parts, in this order in both languages."""
    whole = Phrase()
    for part in parts:
        whole = whole.then(part)
    return [(whole, "")]
