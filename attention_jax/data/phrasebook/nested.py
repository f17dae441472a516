"""Sentence patterns of several clauses, where distant words have to agree."""

from attention_jax.data.phrasebook.choice import Draw
from attention_jax.data.phrasebook.clauses import (
    Made,
    intransitive,
    located,
    predicative,
    told,
    transitive,
    unlike,
    with_clitic,
    with_object,
)
from attention_jax.data.phrasebook.clauses import place as spell
from attention_jax.data.phrasebook.clauses import that as link
from attention_jax.data.phrasebook.frames import HAUNTS, OBJECTS, REASONS, SEQUENCES, SHARED, fit
from attention_jax.data.phrasebook.giving import passed_on
from attention_jax.data.phrasebook.lexicon import ABSOLUTE, ADJECTIVES, NOUNS, VERBS
from attention_jax.data.phrasebook.objects import as_object, thing, topic
from attention_jax.data.phrasebook.people import again, own, someone, subject
from attention_jax.data.phrasebook.phrases import NounPhrase, clitic_for, noun_phrase, pronoun
from attention_jax.data.phrasebook.relatives import (
    _check_heard,
    doers,
    had,
    owned_qualities,
    who_is,
)
from attention_jax.data.phrasebook.verbs import VerbGroup, be, quality, verb_group
from attention_jax.data.phrasebook.words import Phrase, Target, phrase


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
    nouns = [one for one in OBJECTS[base] if adjective in NOUNS[one].adjectives and one != "key"]
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
    group = verb_group(VERBS[second], tense, who, negated=negated, clitics=(meant.spanish,))
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
        _check_heard(about, True)
        return predicate and about.phrase.then(predicate)
    doer = subject(draw)
    _check_heard(doer, past)
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
    verb = VERBS["think" if teller.person in (0, 3) else draw.pick(("say", "say", "think"))]
    past = draw.chance(0.35) and not deep
    what = clause(draw, past=past, deep=deep)
    if what is None or (teller.person in (0, 3) and what.english[0].text in ("I", "we")):
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


def long_reasons(draw: Draw) -> Made:
    """The girl who has a white dog is sad because she lost the key that her mother bought."""
    who = who_is(draw)
    happy = draw.chance(0.5)
    words, targets = be("estar", "present", who)
    mood = Phrase(words, targets).then(quality("happy" if happy else "sad", who))
    base = "find" if happy else draw.pick(("lose", "break"))
    made = had(draw, draw.pick(OBJECTS[base]))
    same = again(who)
    if made[1] in (base, "eat", "drink") or who.adjective in ("happy", "sad"):
        return None
    group = verb_group(VERBS[base], "past", same)
    cause = with_object(group, as_object(base, made[0]))
    return told(who.phrase, mood, phrase("because", "porque"), same.phrase, cause)
