"""Who: people, families, pronouns."""

from attention_jax.data.phrasebook.choice import Draw
from attention_jax.data.phrasebook.lexicon import NAMES, NOUNS
from attention_jax.data.phrasebook.phrases import NounPhrase, named, noun_phrase, owned, pronoun

_COMMON = ("boy", "girl", "man", "woman")

PEOPLE = tuple(NOUNS[name] for name in (*_COMMON, *_COMMON, "king", "queen"))

KIN = tuple(noun for noun in NOUNS.values() if noun.kind == "kin")

MY = ("my", "my", "your", "his", "her", "our", "their")


def person(draw: Draw, *, plain: float = 0.6) -> NounPhrase:
    """Somebody by noun: the old man, a girl, many women; `plain` is the chance of no adjective."""
    noun = draw.pick(PEOPLE)
    plural = bool(noun.plural) and draw.chance(0.35)
    many = ("the", "the", "the", "the", "all", "many", "two", "three")
    determiner = draw.pick(many if plural else ("the", "the", "the", "the", "the", "a"))
    if not noun.plural:
        determiner = "the"
    adjective = "" if draw.chance(plain) else draw.pick(noun.adjectives)
    return noun_phrase(noun, determiner, adjective, plural=plural)


def family_member(draw: Draw) -> NounPhrase:
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
    return family_member(draw) if roll < 8 else named(draw.pick(tuple(NAMES)))


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
    return noun_phrase(noun, "the", adjective, plural=bool(noun.plural) and draw.chance(0.3))
