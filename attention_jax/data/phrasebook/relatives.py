"""Sentence patterns with relative clauses: agreement across a clause in between."""

from attention_jax.data.phrasebook.choice import Draw, Unsaid
from attention_jax.data.phrasebook.clauses import (
    Made,
    intransitive,
    located,
    predicative,
    tense_for,
    told,
    transitive,
    with_object,
)
from attention_jax.data.phrasebook.clauses import place as spell
from attention_jax.data.phrasebook.clauses import that as link
from attention_jax.data.phrasebook.frames import DEEDS, HAUNTS, OBJECTS, fit
from attention_jax.data.phrasebook.lexicon import NOUNS, VERBS
from attention_jax.data.phrasebook.objects import THINGS, as_object
from attention_jax.data.phrasebook.people import person, subject
from attention_jax.data.phrasebook.phrases import NounPhrase, noun_phrase
from attention_jax.data.phrasebook.verbs import verb_group

_HAD = tuple(base for base in DEEDS if base not in ("look", "read"))

_AFTER = {"break": "broken", "open": "closed"}
"""What a thing is not called after that was done to it."""

_GONE = ("eat", "drink", "break")


def _check_heard(doer: NounPhrase, imperfect: bool) -> None:
    """Refuse "that I had" inside another clause: tenía would be heard as she had."""
    if doer.person == 0 and imperfect:
        raise Unsaid


def had(draw: Draw, noun: str, *, deep: bool = False) -> tuple[NounPhrase, str, str]:
    """A thing and what somebody did with it: the keys that the old man sold.

    Returns:
      The noun phrase, and the verb and tense of its family_member clause.
    """
    base = draw.pick([base for base in _HAD if noun in OBJECTS[base]] or ["see"])
    entry = NOUNS[noun]
    plural = bool(entry.plural) and draw.chance(0.45)
    fitting = fit("buy", noun)
    adjective = draw.pick(fitting) if fitting and draw.chance(0.2) else ""
    head = noun_phrase(entry, "the", adjective, plural=plural)
    doer = who_is(draw) if deep else subject(draw, pronouns=0.35)
    verb = VERBS[base]
    tense = tense_for(draw, verb, doer, False)
    _check_heard(doer, verb.stative and tense == "past")
    if tense == "present" and not verb.stative:
        tense = "past"
    if tense == "future" and base in (*_GONE, "lose", "find"):
        tense = "past"
    group = verb_group(verb, tense, doer)
    tail = link("that").then(doer.phrase).then(group.phrase)
    return head.extended(tail), base, tense


def who_is(draw: Draw) -> NounPhrase:
    """Somebody and what they do: the girl who reads the red books."""
    while True:
        who = person(draw, plain=0.85)
        if who.definite and who.english[0].text != "all":
            break
    roll = draw.pick(range(10))
    if roll < 5:
        deed = transitive(draw, who)
    elif roll < 7:
        base = draw.pick(("work", "live", "sing", "sleep", "play"))
        tense = draw.pick(("present", "past"))
        group = verb_group(VERBS[base], tense, who)
        deed = group.phrase.then(spell(draw, draw.pick(HAUNTS[base])))
    elif roll < 9:
        deed = located(draw, who, tense="present")
    else:
        grown = () if who.noun in ("boy", "girl") else ("car", "house", "horse")
        item = noun_phrase(
            NOUNS[draw.pick(("hat", "dog", "cat", "bicycle", *grown))],
            "a",
            draw.pick(("big", "small", "white", "old")),
        )
        deed = with_object(verb_group(VERBS["have"], "present", who), item.phrase)
    return who.extended(link("who").then(deed))


def owned_qualities(draw: Draw) -> Made:
    """The keys that the old man sold are new."""
    made = had(
        draw, draw.pick((*THINGS, *THINGS, *(NOUNS[name] for name in OBJECTS["eat"]))).english
    )
    about, base, tense = made
    if draw.chance(0.15) and base not in (*_GONE, "lose") and about.noun in OBJECTS["lose"]:
        return told(about.phrase, located(draw, about, tense="present"))
    return _judged(draw, about, base, tense)


def _judged(draw: Draw, about: NounPhrase, base: str, tense: str) -> Made:
    """What is said of a thing after its relative clause: what is eaten was good."""
    tense = "past" if base in _GONE else "present" if tense == "present" else ""
    predicate = predicative(draw, about, tense=tense, but=_AFTER.get(base, ""))
    return predicate and told(about.phrase, predicate)


def doers(draw: Draw) -> Made:
    """The girl who reads the red books sings."""
    doer = who_is(draw)
    roll = draw.pick(range(10))
    if roll < 4:
        return told(doer.phrase, intransitive(draw, doer))
    if roll < 8:
        predicate = predicative(draw, doer)
        return predicate and told(doer.phrase, predicate)
    return told(doer.phrase, transitive(draw, doer))


def found_again(draw: Draw) -> Made:
    """Ana washed the shirts that the boy found."""
    doer = subject(draw)
    base = draw.pick(
        ("find", "sell", "see", "wash", "want", "lose", "break", "paint", "open", "buy")
    )
    made = had(draw, draw.pick(OBJECTS[base]))
    if made[1] == base or made[1] in ("eat", "drink"):
        return None
    if made[1] == "want" and base in ("sell", "lose", "break"):  # nobody parts with what they want
        return None
    verb = VERBS[base]
    negated = draw.chance(0.2)
    group = verb_group(verb, tense_for(draw, verb, doer, negated), doer, negated=negated)
    return told(doer.phrase, with_object(group, as_object(base, made[0])))


def helpers(draw: Draw) -> Made:
    """I know the man who sold the house: conozco al hombre que vendió la casa."""
    doer = subject(draw)
    met = who_is(draw)
    if met.noun == doer.noun:
        return None
    verb = VERBS[draw.pick(("see", "look", "help", "visit", "know", "find"))]
    negated = draw.chance(0.2)
    group = verb_group(verb, tense_for(draw, verb, doer, negated), doer, negated=negated)
    return told(doer.phrase, with_object(group, as_object(verb.base, met)))


def long_qualities(draw: Draw) -> Made:
    """The keys that the man who lives in the old house sold are new."""
    made = had(draw, draw.pick(THINGS).english, deep=True)
    about, base, tense = made
    return _judged(draw, about, base, tense)


def long_helpers(draw: Draw) -> Made:
    """The man who works at the market knows the woman who bought the red table."""
    doer, met = who_is(draw), who_is(draw)
    if met.noun == doer.noun:
        return None
    verb = VERBS[draw.pick(("see", "help", "visit", "know", "look", "find"))]
    group = verb_group(verb, tense_for(draw, verb, doer, False), doer)
    return told(doer.phrase, with_object(group, as_object(verb.base, met)))
