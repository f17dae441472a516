"""Sentence patterns of one clause with object pronouns."""

from attention_jax.data.phrasebook.choice import Draw, Unsaid
from attention_jax.data.phrasebook.clauses import (
    Made,
    tense_for,
    told,
    when,
    with_clitic,
    with_object,
)
from attention_jax.data.phrasebook.frames import DEEDS, HELPED
from attention_jax.data.phrasebook.lexicon import VERBS
from attention_jax.data.phrasebook.objects import thing
from attention_jax.data.phrasebook.people import companion, subject
from attention_jax.data.phrasebook.phrases import Clitic, NounPhrase, clitic, clitic_for, placed
from attention_jax.data.phrasebook.verbs import verb_group
from attention_jax.data.phrasebook.words import Phrase, Target, Word


def _other(draw: Draw, doer: NounPhrase) -> str:
    unfit = {0: ("me", "us"), 1: ("you",), 3: ("me", "us")}.get(doer.person, ())
    return draw.pick([one for one in ("me", "you", "us", "him", "her") if one not in unfit])


def pronouns(draw: Draw) -> Made:
    """I see it: lo veo. Ana has not helped us."""
    doer = subject(draw, pronouns=0.4)
    negated = draw.chance(0.3)
    if draw.chance(0.5):
        verb = VERBS[draw.pick(HELPED)]
        meant = clitic(_other(draw, doer))
    else:
        verb = VERBS[draw.pick([base for base in DEEDS if base != "look"])]
        meant = clitic_for(False, draw.chance(0.5))
    tense = tense_for(draw, verb, doer, negated)
    group = verb_group(verb, tense, doer, negated=negated, clitics=(meant.spanish,))
    parts = [doer.phrase, with_clitic(group, meant)]
    if not verb.stative and not negated and tense in ("past", "future") and draw.chance(0.35):
        parts.append(when(tense))
    return told(*parts)


def dative(someone: NounPhrase, *links: Word) -> Target:
    """The pronoun that Spanish sets beside an indirect object: le or les."""
    return Target("les" if someone.plural else "le", links or (someone.head,))


def gifts(draw: Draw) -> Made:
    """The woman gives the red ball to the boy: la mujer le da la bola roja al niño."""
    doer = subject(draw)
    verb = VERBS[draw.pick(("give", "give", "send", "sell"))]
    negated = draw.chance(0.2)
    item = thing(draw, "send" if verb.base == "send" else "give", doer)
    if verb.base == "sell":
        item = thing(draw, "sell", doer)
    if negated and not item.definite:
        return None
    taker = companion(draw, doer)
    tense = tense_for(draw, verb, doer, negated)
    group = verb_group(verb, tense, doer, negated=negated, clitics=(dative(taker),))
    return told(doer.phrase, with_object(group, item.phrase), placed("to", taker))


_TO = {"me": "me", "you": "te", "us": "nos", "him": "le", "her": "le", "them": "les"}


def _taker(draw: Draw, doer: NounPhrase) -> str:
    return draw.pick((_other(draw, doer), _other(draw, doer), "them"))


def gifts_to_me(draw: Draw) -> Made:
    """She gives me the key: ella me da la llave."""
    doer = subject(draw, pronouns=0.4)
    verb = VERBS[draw.pick(("give", "send"))]
    negated = draw.chance(0.25)
    item = thing(draw, verb.base, doer)
    if negated and not item.definite:
        return None
    name = _taker(draw, doer)
    word = Word(name)
    pronoun_ = Clitic((word,), Target(_TO[name], (word,)))
    tense = tense_for(draw, verb, doer, negated)
    group = verb_group(verb, tense, doer, negated=negated, clitics=(pronoun_.spanish,))
    return told(doer.phrase, with_clitic(group, pronoun_), item.phrase)


def passed_on(
    draw: Draw, doer: NounPhrase, tense: str, negated: bool, feminine: bool, plural: bool
) -> Phrase:
    """Give it to somebody, as a predicate: se la da a Ana, me la da."""
    verb = VERBS[draw.pick(("give", "give", "send", "sell"))]
    what = clitic_for(feminine, plural)
    to = Word("to")
    if draw.chance(0.5):
        name = _taker(draw, doer)
        if name == "them" and plural:
            raise Unsaid
        word = Word(name)
        clitics = (Target("se" if _TO[name][0] == "l" else _TO[name], (to, word)), what.spanish)
        group = verb_group(verb, tense, doer, negated=negated, clitics=clitics)
        return with_clitic(group, what, Clitic((to, word), clitics[0]))
    taker = companion(draw, doer)
    clitics = (Target("se", (taker.head,)), what.spanish)
    group = verb_group(verb, tense, doer, negated=negated, clitics=clitics)
    return with_clitic(group, what).then(placed("to", taker))


def gifts_of_it(draw: Draw) -> Made:
    """She gives them to me: ella me los da."""
    doer = subject(draw, pronouns=0.4)
    negated = draw.chance(0.3)
    tense = tense_for(draw, VERBS["give"], doer, negated)
    return told(doer.phrase, passed_on(draw, doer, tense, negated, False, draw.chance(0.5)))
