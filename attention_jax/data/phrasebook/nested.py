"""Sentence patterns of several clauses, where distant words have to agree."""

from attention_jax.data.phrasebook.clauses import (
    THINGS,
    again,
    as_object,
    intransitive,
    located,
    own,
    person,
    predicative,
    relative,
    someone,
    subject,
    tense_for,
    thing,
    topic,
    transitive,
    unlike,
    with_clitic,
    with_object,
)
from attention_jax.data.phrasebook.clauses import place as spell
from attention_jax.data.phrasebook.clauses import that as link
from attention_jax.data.phrasebook.frames import (
    DEEDS,
    HAUNTS,
    OBJECTS,
    REASONS,
    SEQUENCES,
    SHARED,
    fit,
)
from attention_jax.data.phrasebook.lexicon import ABSOLUTE, ADJECTIVES, NOUNS, VERBS
from attention_jax.data.phrasebook.phrases import (
    Draw,
    NounPhrase,
    VerbGroup,
    be,
    clitic_for,
    noun_phrase,
    pronoun,
    quality,
    verb_group,
)
from attention_jax.data.phrasebook.statements import Made, passed_on, told
from attention_jax.data.phrasebook.words import Phrase, Target, phrase

_HAD = tuple(base for base in DEEDS if base not in ("look", "read"))
_GONE = ("eat", "drink", "break")


def had(draw: Draw, noun: str, *, deep: bool = False) -> tuple[NounPhrase, str] | None:
    """A thing and what somebody did with it: the keys that the old man sold.

    Returns:
      The noun phrase and the verb of its relative clause.
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
    if tense == "present" and not verb.stative:
        tense = "past"
    if tense == "future" and base in (*_GONE, "lose", "find"):
        tense = "past"
    group = verb_group(verb, tense, doer)
    tail = link("that").then(doer.phrase).then(group.phrase)
    return head.extended(tail), base


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
        item = noun_phrase(
            NOUNS[draw.pick(("car", "house", "hat", "dog", "horse", "cat", "bicycle"))],
            "a",
            draw.pick(("big", "small", "white", "old")),
        )
        if item.adjective == "white" and item.noun == "horse":
            return who.extended(link("who").then(transitive(draw, who, verb="have")))
        deed = with_object(verb_group(VERBS["have"], "present", who), item.phrase)
    return who.extended(link("who").then(deed))


def owned_qualities(draw: Draw) -> Made:
    """The keys that the old man sold are new."""
    made = had(draw, draw.pick((*THINGS, *THINGS, *(NOUNS[name] for name in OBJECTS["eat"]))).english)
    if made is None:
        return None
    about, base = made
    if draw.chance(0.15) and base not in (*_GONE, "lose") and about.noun in OBJECTS["lose"]:
        return told(about.phrase, located(draw, about, tense="present"))
    predicate = predicative(draw, about, tense="past" if base in _GONE else "")
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
    base = draw.pick(("find", "sell", "see", "wash", "want", "lose", "break", "paint", "open", "buy"))
    made = had(draw, draw.pick(OBJECTS[base]))
    if made is None or made[1] == base or made[1] in ("eat", "drink"):
        return None
    if {made[1], base} <= {"buy", "want", "sell"} and draw.chance(0.5):
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


def _because(draw: Draw, about: NounPhrase, adjective: str, past: bool) -> Phrase:
    name = "they" if about.plural else "it"
    meant = pronoun(name, silent=True, feminine=about.feminine)
    tense = "past" if past else "present"
    words, targets = be(ADJECTIVES[adjective].copula, tense, meant)
    very = adjective not in ABSOLUTE and draw.chance(0.2)
    opening = phrase("because", "porque").then(meant.phrase)
    return opening.then(Phrase(words, targets)).then(quality(adjective, meant, very=very))


def reasons(draw: Draw) -> Made:
    """The boy washed the cup because it was dirty."""
    doer = subject(draw)
    base, negated, why = draw.pick(REASONS)
    adjective = draw.pick(why)
    nouns = [noun for noun in OBJECTS[base] if adjective in NOUNS[noun].adjectives]
    if not nouns:
        return None
    noun = NOUNS[draw.pick(nouns)]
    plural = bool(noun.plural) and draw.chance(0.4)
    given = unlike(adjective, fit(base, noun.english))
    trait = draw.pick(given) if given and draw.chance(0.3) else ""
    determiner = draw.pick(("the", "the", "the", "this"))
    if base in ("sell", "wash", "paint") and draw.chance(0.4):
        determiner = own(draw, doer)
    item = noun_phrase(noun, determiner, trait, plural=plural)
    verb = VERBS[base]
    tense = "past" if draw.chance(0.6) else "present" if verb.stative else "future"
    group = verb_group(verb, tense, doer, negated=negated)
    why_so = _because(draw, item, adjective, tense == "past")
    return told(doer.phrase, with_object(group, item.phrase), why_so)


def moods(draw: Draw) -> Made:
    """The queen is sad because she lost the red hat."""
    who = subject(draw, pronouns=0.35)
    if who.noun and NOUNS[who.noun].kind == "person" and who.adjective in ("sad", "happy", "tired"):
        return None
    name = draw.pick(("sad", "happy", "tired"))
    past = draw.chance(0.3)
    deed = "past"
    same = again(who)
    if draw.chance(0.2) and name == "sad":
        base = draw.pick(("present", "past"))
        mood = verb_group(VERBS["cry"], base, who).phrase
    else:
        words, targets = be("estar", "past" if past else "present", who)
        mood = Phrase(words, targets).then(quality(name, who))
    if name == "tired":
        base = draw.pick(("work", "run", "play"))
        group = verb_group(VERBS[base], deed, same)
        cause = group.phrase.then(spell(draw, draw.pick(HAUNTS[base])))
    else:
        base = draw.pick(("lose", "break") if name == "sad" else ("find", "buy", "find", "have"))
        item = thing(draw, base, who, definite=base != "have")
        tense = "present" if base == "have" else deed
        if base == "have" and past:
            tense = "past"
        group = verb_group(VERBS[base], tense, same)
        cause = with_object(group, as_object(base, item))
    return told(who.phrase, mood, phrase("because", "porque"), same.phrase, cause)


def sequels(draw: Draw) -> Made:
    """The girl bought an apple and ate it; Ana painted the house but did not sell it."""
    doer = subject(draw)
    first, second = draw.pick(SEQUENCES)
    if not SHARED[first, second]:
        return None
    negated = draw.chance(0.3)
    tense = "past" if negated or draw.chance(0.75) else "future"
    if second == "read" and not negated:
        tense = "future"
    if second == "look":
        negated, tense = False, "past"
    noun = draw.pick(SHARED[first, second])
    item = thing(draw, first, doer, noun, definite=first == "lose")
    if "of" in (word.text for word in item.english) and item.noun != "photo":
        return None
    opening = with_object(verb_group(VERBS[first], tense, doer), as_object(first, item))
    meant = clitic_for(item.feminine, item.plural)
    other = not negated and draw.chance(0.35)
    joint = phrase("but", "pero") if negated else phrase("and", "y")
    who = someone(draw) if other or (negated and draw.chance(0.3)) else doer._replace(english=())
    if other and who.english[-1].text == doer.english[-1].text:
        return None
    group = verb_group(
        VERBS[second], tense, who, negated=negated, clitics=(meant.spanish,)
    )
    if not who.english:
        if tense == "future":
            group = _unhelped(group)
        return told(doer.phrase, opening, joint, with_clitic(group, meant))
    return told(doer.phrase, opening, joint, who.phrase, with_clitic(group, meant))


def _unhelped(group: VerbGroup) -> VerbGroup:
    """Will buy it and wash it: the second will is left out."""
    *before, verb = group.spanish
    return group._replace(helper=(), spanish=(*before, Target(verb.text, group.main)))


def handed_on(draw: Draw) -> Made:
    """Carlos bought a flower and gave it to his mother."""
    doer = subject(draw)
    first = draw.pick(("buy", "find", "write"))
    shared = [noun for noun in OBJECTS[first] if noun in OBJECTS["give"]]
    item = thing(draw, first, doer, draw.pick(shared), definite=first == "find")
    if "of" in (word.text for word in item.english) and item.noun != "photo":
        return None
    opening = with_object(verb_group(VERBS[first], "past", doer), as_object(first, item))
    same = doer._replace(english=(), spanish=())
    gift = passed_on(draw, same, "past", False, item.feminine, item.plural)
    return told(doer.phrase, opening, phrase("and", "y"), gift)


def clause(draw: Draw, *, past: bool = False, deep: bool = False) -> Phrase | None:
    """A whole statement that can stand after "that"; in the past it tells of a state."""
    roll = draw.pick(range(10))
    if deep:
        if roll < 5:
            return _first(owned_qualities(draw))
        return _first(doers(draw)) if roll < 8 else _first(reasons(draw))
    if roll < 5:
        about = topic(draw)
        predicate = predicative(draw, about, tense="past" if past else "")
        return predicate and about.phrase.then(predicate)
    doer = subject(draw)
    if roll < 7:
        return doer.phrase.then(located(draw, doer, tense="past" if past else "present"))
    if past:
        base = draw.pick(("have", "want"))
        return doer.phrase.then(transitive(draw, doer, verb=base, tense="past"))
    if roll < 9:
        return doer.phrase.then(transitive(draw, doer))
    return doer.phrase.then(intransitive(draw, doer))


def _first(made: Made) -> Phrase | None:
    return made[0][0] if made else None


def reports(draw: Draw, *, deep: bool = False) -> Made:
    """Ana says that the house is big; the boys think that she is tired."""
    teller = subject(draw)
    verb = VERBS[draw.pick(("say", "say", "think"))]
    past = draw.chance(0.35) and not deep
    what = clause(draw, past=past, deep=deep)
    if what is None:
        return None
    group = verb_group(verb, "past" if past else "present", teller)
    return told(teller.phrase, group.phrase, link("that"), what)


def deep_reports(draw: Draw) -> Made:
    """My uncle thinks that the keys that Ana lost are new."""
    return reports(draw, deep=True)


def long_reports(draw: Draw) -> Made:
    """The girl who lives in the city says that the boy who lost the key is sad."""
    teller = who_is(draw)
    verb = VERBS[draw.pick(("say", "think"))]
    what = clause(draw, deep=True)
    if what is None:
        return None
    return told(teller.phrase, verb_group(verb, "present", teller).phrase, link("that"), what)


def long_qualities(draw: Draw) -> Made:
    """The keys that the man who lives in the old house sold are new."""
    made = had(draw, draw.pick(THINGS).english, deep=True)
    if made is None:
        return None
    about, base = made
    predicate = predicative(draw, about, tense="past" if base in _GONE else "")
    return predicate and told(about.phrase, predicate)


def long_helpers(draw: Draw) -> Made:
    """The man who works at the market knows the woman who bought the red table."""
    doer, met = who_is(draw), who_is(draw)
    if met.noun == doer.noun:
        return None
    verb = VERBS[draw.pick(("see", "help", "visit", "know", "look", "find"))]
    group = verb_group(verb, tense_for(draw, verb, doer, False), doer)
    return told(doer.phrase, with_object(group, as_object(verb.base, met)))


def long_reasons(draw: Draw) -> Made:
    """The girl who has a white dog is sad because she lost the key that her mother bought."""
    who = who_is(draw)
    happy = draw.chance(0.5)
    words, targets = be("estar", "present", who)
    mood = Phrase(words, targets).then(quality("happy" if happy else "sad", who))
    base = "find" if happy else draw.pick(("lose", "break"))
    made = had(draw, draw.pick(OBJECTS[base]))
    same = again(who)
    if made is None or made[1] in (base, "eat", "drink") or who.adjective in ("happy", "sad"):
        return None
    group = verb_group(VERBS[base], "past", same)
    cause = with_object(group, as_object(base, made[0]))
    return told(who.phrase, mood, phrase("because", "porque"), same.phrase, cause)
