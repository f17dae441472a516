"""Who does what: subjects, objects and predicates that fit each other."""

from collections.abc import Sequence

from attention_jax.data.phrasebook.frames import CONTENTS, DEEDS, HAUNTS, HELPED, OBJECTS, PLACED, fit
from attention_jax.data.phrasebook.lexicon import (
    ABSOLUTE,
    ADJECTIVES,
    COLOURS,
    NAMES,
    NOUNS,
    STATES,
    VERBS,
    Verb,
)
from attention_jax.data.phrasebook.phrases import (
    Clitic,
    Draw,
    NounPhrase,
    VerbGroup,
    be,
    named,
    noun_phrase,
    owned,
    personal,
    placed,
    pronoun,
    quality,
    verb_group,
)
from attention_jax.data.phrasebook.words import Phrase, Target, Word, phrase

PEOPLE = tuple(noun for noun in NOUNS.values() if noun.kind == "person")
KIN = tuple(noun for noun in NOUNS.values() if noun.kind == "kin")
THINGS = tuple(noun for noun in NOUNS.values() if noun.kind == "thing")
FOOD = tuple(noun for noun in NOUNS.values() if noun.kind in ("food", "drink"))
ANIMALS = tuple(noun for noun in NOUNS.values() if noun.kind == "animal")
PLACES = tuple(noun for noun in NOUNS.values() if noun.kind == "place")
MY = ("my", "my", "your", "his", "her", "our", "their")
HOMELY = frozenset("house kitchen garden table chair box car door window".split())

_OPPOSITES = (
    COLOURS,
    frozenset(("big", "small")),
    frozenset(("old", "new", "young")),
    frozenset(("expensive", "cheap")),
    frozenset(("clean", "dirty")),
    frozenset(("hot", "cold")),
    frozenset(("happy", "sad")),
    frozenset(("strong", "sick", "tired")),
)
_LASTING = COLOURS | frozenset("big small old new young broken heavy tall intelligent".split())


def unlike(adjective: str, choices: Sequence[str]) -> tuple[str, ...]:
    """The choices that neither repeat nor contradict an adjective."""
    against = {adjective}
    for group in _OPPOSITES:
        if adjective in group:
            against |= group
    return tuple(choice for choice in choices if choice not in against)


def person(draw: Draw, *, plain: float = 0.6) -> NounPhrase:
    """Somebody by noun: the old man, a girl, many women; `plain` is the chance of no adjective."""
    noun = draw.pick(PEOPLE)
    plural = draw.chance(0.3)
    many = ("the", "the", "the", "the", "all", "many", "two", "three")
    determiner = draw.pick(many if plural else ("the", "the", "the", "the", "the", "a"))
    if noun.english in ("king", "queen"):
        determiner = "the"
    adjective = "" if draw.chance(plain) else draw.pick(noun.adjectives)
    return noun_phrase(noun, determiner, adjective, plural=plural)


def relative(draw: Draw) -> NounPhrase:
    """Somebody of a family: my sister, Ana's brothers."""
    noun = draw.pick(KIN)
    plural = bool(noun.plural) and draw.chance(0.25)
    if draw.chance(0.15):
        return owned(named(draw.pick(tuple(NAMES))), noun_phrase(noun, "the", plural=plural))
    return noun_phrase(noun, draw.pick(MY), plural=plural)


def someone(draw: Draw) -> NounPhrase:
    """A person who is not a pronoun."""
    roll = draw.pick(range(10))
    if roll < 5:
        return person(draw)
    return relative(draw) if roll < 8 else named(draw.pick(tuple(NAMES)))


def subject(draw: Draw, *, pronouns: float = 0.3) -> NounPhrase:
    """A person, or a pronoun."""
    if draw.chance(pronouns):
        return pronoun(draw.pick(("I", "I", "I", "he", "she", "we", "we", "they")))
    return someone(draw)


def again(someone: NounPhrase) -> NounPhrase:
    """The pronoun that takes up a subject; unspoken in Spanish."""
    if someone.person == 2:
        name = ("she" if someone.feminine else "he") if someone.human else "it"
    else:
        name = ("I", "you", "", "we", "they")[someone.person]
    return pronoun(name, silent=True, feminine=someone.feminine)


def own(draw: Draw, owner: NounPhrase) -> str:
    """The possessive of a subject, or now and then of somebody else."""
    if draw.chance(0.15):
        return draw.pick(MY)
    third = "her" if owner.feminine else "his"
    return ("my", "your", third, "our", "their")[owner.person]


_DETERMINERS = {
    "eat": ("a", "a", "the", "the", "", "", "two", "this"),
    "drink": ("the", "", "", "this"),
    "buy": ("a", "a", "the", "the", "", "two", "three", "this"),
    "sell": ("a", "the", "the", "", "own", "own", "two", "this"),
    "see": ("a", "the", "the", "own", "two", "three", "many"),
    "look": ("the", "the", "own", "own"),
    "find": ("a", "the", "the", "own", "own", "two"),
    "lose": ("the", "the", "own", "own", "two"),
    "break": ("a", "the", "the", "own", "two"),
    "write": ("a", "a", "the", "two", "three", "many"),
    "read": ("a", "the", "the", "this", "own", "two", "many"),
    "want": ("a", "a", "the", "this", "", "two"),
    "have": ("a", "a", "a", "two", "three", "many", ""),
    "give": ("a", "a", "the", "the", "own", "two", "this"),
    "send": ("a", "a", "the", "the", "own", "two", "this"),
    "definite": ("the", "the", "the", "own"),
}


def thing(
    draw: Draw, verb: str, owner: NounPhrase, noun: str = "", *, definite: bool = False
) -> NounPhrase:
    """What a verb is done to."""
    noun = noun or draw.pick(OBJECTS[verb])
    entry = NOUNS[noun]
    plural = bool(entry.plural) and draw.chance(0.35)
    name = "definite" if definite else verb
    determiner = draw.pick(_DETERMINERS.get(name, ("the", "the", "own", "own", "this")))
    if entry.kind in ("food", "drink") and determiner == "own":
        determiner = "the"
    if determiner in ("two", "three", "many"):
        determiner, plural = (determiner if entry.plural else "the"), bool(entry.plural)
    elif determiner == "a":
        determiner, plural = ("a" if entry.plural else ""), False
    elif determiner == "":
        plural = bool(entry.plural)
    elif determiner == "own":
        determiner = own(draw, owner)
    fitting = fit(verb, noun)
    adjective = draw.pick(fitting) if fitting and draw.chance(0.35) else ""
    made = noun_phrase(entry, determiner, adjective, plural=plural)
    if noun == "photo" and draw.chance(0.4):
        seen = relative(draw) if draw.chance(0.5) else person(draw, plain=0.9)
        if seen.definite:
            made = made.extended(placed("of", seen))
    elif noun == "coffee" and verb in ("drink", "want") and not adjective:
        made = noun_phrase(NOUNS["cup"], "a", plural=False)
        made = made.extended(placed("of", noun_phrase(entry, "")))
    elif noun == "milk" and verb == "buy" and not adjective:
        held = draw.pick(CONTENTS["bottle"])
        plural = draw.chance(0.4)
        made = noun_phrase(NOUNS["bottle"], "two" if plural else "a", plural=plural)
        made = made.extended(placed("of", noun_phrase(NOUNS[held], "")))
    return made


def as_object(verb: str, made: NounPhrase) -> Phrase:
    """A direct object, with the personal a where Spanish wants one."""
    animal = made.noun in NOUNS and NOUNS[made.noun].kind == "animal"
    if made.human or (animal and made.definite and verb in HELPED):
        return personal(made)
    return made.phrase


def tense_for(draw: Draw, verb: Verb, subject: NounPhrase, negated: bool) -> str:
    """A tense that fits the verb and that its English form shows."""
    if verb.stative:
        return draw.pick(("present", "present", "past", "future" if verb.base == "have" else "past"))
    tenses = ["past", "past", "past", "future", "perfect"]
    if verb.base not in ("find", "lose", "break"):
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
    negated = draw.chance(0.2)
    tense = tense or tense_for(draw, verb, doer, negated)
    group = verb_group(verb, tense, doer, negated=negated)
    if draw.chance(0.3):
        return group.phrase
    return group.phrase.then(place(draw, draw.pick(HAUNTS[verb.base])))


def companion(draw: Draw, doer: NounPhrase) -> NounPhrase:
    """Somebody else than the subject."""
    if draw.chance(0.35):
        taken = {word.text for word in doer.english}
        return named(draw.pick([name for name in NAMES if name not in taken]))
    if draw.chance(0.5):
        noun = draw.pick(KIN)
        return noun_phrase(noun, own(draw, doer))
    noun = draw.pick([noun for noun in PEOPLE if noun.english != doer.noun])
    adjective = draw.pick(noun.adjectives) if draw.chance(0.3) else ""
    return noun_phrase(noun, "the", adjective, plural=draw.chance(0.25))


def predicative(draw: Draw, about: NounPhrase, *, tense: str = "") -> Phrase | None:
    """To be and an adjective that fits; None where none does."""
    known = NOUNS[about.noun].adjectives if about.noun else ("tired", "sad", "happy", "sick", "tall")
    choices = unlike(about.adjective, known)
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


def topic(draw: Draw) -> NounPhrase:
    """Something or somebody to say a quality of."""
    roll = draw.pick(range(20))
    if roll < 8:
        noun = draw.pick(THINGS)
    elif roll < 11:
        noun = draw.pick(FOOD)
    elif roll < 13:
        noun = draw.pick(ANIMALS)
    elif roll < 15:
        noun = draw.pick(PLACES)
    else:
        return person(draw, plain=0.75) if roll < 18 else subject(draw, pronouns=0.4)
    plural = bool(noun.plural) and draw.chance(0.4)
    mine = noun.kind in ("thing", "animal") or noun.english in HOMELY
    few = ("the", "the", "the", "the", "this", draw.pick(MY) if mine else "this")
    determiner = draw.pick((*few, "all", "many") if plural else few)
    if noun.english in ("tree", "eagle", "bird", "cow") and determiner in MY:
        determiner = "the"
    fitting = tuple(one for one in noun.adjectives if one not in STATES)
    adjective = draw.pick(fitting) if fitting and draw.chance(0.25) else ""
    return noun_phrase(noun, determiner, adjective, plural=plural)


def belonging(draw: Draw) -> NounPhrase:
    """The girl's red hat, Ana's keys."""
    noun = draw.pick(("hat", "shirt", "shoe", "dress", "key", "book", "car", "house", "bicycle"))
    noun = draw.pick((noun, draw.pick(("dog", "cat", "horse", "letter", "cup", "ball", "photo"))))
    entry = NOUNS[noun]
    adjective = draw.pick(fit("buy", noun)) if draw.chance(0.3) else ""
    item = noun_phrase(entry, "the", adjective, plural=draw.chance(0.4))
    if draw.chance(0.35):
        return owned(named(draw.pick(tuple(NAMES))), item)
    if draw.chance(0.3):
        family = draw.pick([one for one in KIN if one.english in ("father", "mother")])
        return owned(noun_phrase(family, draw.pick(MY)), item)
    holder = draw.pick(PEOPLE)
    trait = draw.pick(holder.adjectives) if draw.chance(0.3) else ""
    return owned(noun_phrase(holder, "the", trait), item)


def that(english: str) -> Phrase:
    """The relative pronoun or conjunction: who, that."""
    return phrase(english, "que")


def infinitive(verb: Verb, to: Word | None) -> Phrase:
    """To buy, or buy: comprar."""
    main = (Word(verb.base), Word(verb.particle)) if verb.particle else (Word(verb.base),)
    english = main if to is None else (to, *main)
    return Phrase(english, (Target(verb.spanish, english),))
