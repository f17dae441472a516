"""Sentence patterns of one clause that tell what somebody does."""

from attention_jax.data.phrasebook.choice import Draw
from attention_jax.data.phrasebook.clauses import (
    Made,
    infinitive,
    intransitive,
    located,
    tense_for,
    told,
    transitive,
    when,
    with_object,
)
from attention_jax.data.phrasebook.clauses import place as spell
from attention_jax.data.phrasebook.clauses import spot as spot_of
from attention_jax.data.phrasebook.conjugation import conjugate
from attention_jax.data.phrasebook.frames import BEASTS, DEEDS, FODDER, HAUNTS, HELPED, OBJECTS, fit
from attention_jax.data.phrasebook.giving import _other
from attention_jax.data.phrasebook.lexicon import NOUNS, VERBS
from attention_jax.data.phrasebook.objects import ANIMALS, PLACES, as_object, belonging, thing
from attention_jax.data.phrasebook.people import MY, PEOPLE, companion, own, person, subject
from attention_jax.data.phrasebook.phrases import (
    NounPhrase,
    clitic,
    clitic_for,
    noun_phrase,
    placed,
)
from attention_jax.data.phrasebook.verbs import verb_group
from attention_jax.data.phrasebook.words import Phrase, Target, Word

HABITS = ("eat", "drink", "wash", "read", "open")


def deeds(draw: Draw) -> Made:
    """The girl bought two red apples."""
    doer = subject(draw)
    return told(doer.phrase, transitive(draw, doer))


def timed_deeds(draw: Draw) -> Made:
    """Yesterday the girl bought two red apples; Ana will sing in the park tomorrow."""
    doer = subject(draw)
    tense = draw.pick(("past", "future", "perfect", "present"))
    if draw.chance(0.3):
        verb = VERBS["sing"]
        predicate = intransitive(draw, doer, tense=tense)
    else:
        verb = VERBS[draw.pick(("eat", "drink", "wash") if tense == "present" else DEEDS[:12])]
        if tense == "future" and verb.base in ("lose", "break"):
            return None
        if tense == "present":
            predicate = _habit(draw, doer, verb.base, "")
        else:
            predicate = transitive(draw, doer, verb=verb.base, tense=tense)
    time = when(tense)
    if tense in ("past", "future") and draw.chance(0.5):
        return told(time, doer.phrase, predicate)
    return told(doer.phrase, predicate, time)


def _habit(draw: Draw, doer: NounPhrase, base: str, adverb: str) -> Phrase:
    noun = NOUNS[draw.pick(OBJECTS[base])]
    plural = bool(noun.plural) and (base != "eat" or bool(adverb) or draw.chance(0.6))
    if base in ("eat", "drink"):
        determiner = "" if plural or noun.mass else "a"
    else:
        determiner = draw.pick(("the", own(draw, doer)))
    adjective = draw.pick(fit(base, noun.english)) if draw.chance(0.25) else ""
    made = noun_phrase(noun, determiner, adjective, plural=plural)
    return with_object(verb_group(VERBS[base], "present", doer, adverb=adverb), made.phrase)


def habits(draw: Draw) -> Made:
    """My sister never drinks cold milk."""
    doer = subject(draw)
    adverb = draw.pick(("always", "never"))
    if draw.chance(0.6):
        base = draw.pick([base for base in HABITS if base != "read" or doer.person == 2])
        return told(doer.phrase, _habit(draw, doer, base, adverb))
    base = draw.pick(("sing", "sleep", "run", "work", "play", "cry"))
    group = verb_group(VERBS[base], "present", doer, adverb=adverb)
    return told(doer.phrase, group.phrase, spell(draw, draw.pick(HAUNTS[base])))


def motions(draw: Draw) -> Made:
    """Carlos went to the market with his sister; my uncle lives in a big house."""
    doer = subject(draw)
    negated = draw.chance(0.15)
    if draw.chance(0.3):
        verb = VERBS["live"]
        home = NOUNS[draw.pick(("house", "house", "city"))]
        adjective = draw.pick([one for one in home.adjectives if one not in ("clean", "dirty")])
        landmark = noun_phrase(home, draw.pick(("a", "the", "this")), adjective)
        if adjective == "empty":
            return None
        goal = placed("in", landmark)
    else:
        verb = VERBS["go"]
        noun = draw.pick([one for one in PLACES if one.english != "street"] + [NOUNS["house"]])
        adjective = draw.pick([one for one in noun.adjectives if one not in ("clean", "dirty")])
        adjective = "" if draw.chance(0.7) or adjective == "empty" else adjective
        goal = placed("to", noun_phrase(noun, "the", adjective))
    tense = tense_for(draw, verb, doer, negated)
    parts = [doer.phrase, verb_group(verb, tense, doer, negated=negated).phrase, goal]
    if draw.chance(0.4):
        parts.append(placed("with", companion(draw, doer)))
    elif verb.base == "go" and not negated and draw.chance(0.5):
        parts.append(when(tense))
    return told(*parts)


def walks(draw: Draw) -> Made:
    """The old king sings in the garden with his sister."""
    doer = subject(draw, pronouns=0.45)
    predicate = intransitive(draw, doer)
    if draw.chance(0.5) or any(
        word.text in ("cry", "cries", "cried") for word in predicate.english
    ):
        return told(doer.phrase, predicate)
    return told(doer.phrase, predicate, placed("with", companion(draw, doer)))


def market_days(draw: Draw) -> Made:
    """Marta sold three eggs at the market."""
    doer = subject(draw)
    base = draw.pick(("buy", "sell", "see", "find", "lose", "read", "eat"))
    noun = draw.pick(OBJECTS[base])
    if noun == "house":
        return None
    spot = draw.pick(HAUNTS[base])
    return told(doer.phrase, transitive(draw, doer, verb=base, noun=noun), spell(draw, spot))


def wearers(draw: Draw) -> Made:
    """The girl with the red hat sings."""
    noun = draw.pick(PEOPLE)
    doer = noun_phrase(noun, "the", plural=bool(noun.plural) and draw.chance(0.25))
    worn = NOUNS[draw.pick(("hat", "shirt", "shoe", "dress", "bicycle", "box", "flower"))]
    if worn.english == "dress" and not noun.feminine:
        return None
    plural = worn.english in ("shoe", "flower") or doer.plural
    adjective = draw.pick([one for one in fit("buy", worn.english) if one != "cheap"])
    doer = doer.extended(placed("with", noun_phrase(worn, "the", adjective, plural=plural)))
    if draw.chance(0.4):
        return told(doer.phrase, intransitive(draw, doer))
    if draw.chance(0.3):
        return told(doer.phrase, located(draw, doer))
    return told(doer.phrase, transitive(draw, doer))


def encounters(draw: Draw) -> Made:
    """The boy helps the old woman; I have seen your brothers."""
    doer = subject(draw)
    verb = VERBS[draw.pick(HELPED)]
    negated = draw.chance(0.25)
    tense = tense_for(draw, verb, doer, negated)
    group = verb_group(verb, tense, doer, negated=negated)
    if verb.base == "know" and draw.chance(0.2):
        noun = NOUNS[draw.pick(("city", "river", "beach", "park"))]
        adjective = draw.pick(("", "", *fit("buy", noun.english)))
        return told(doer.phrase, with_object(group, noun_phrase(noun, "the", adjective).phrase))
    met = companion(draw, doer) if draw.chance(0.8) else person(draw)
    if met.noun == doer.noun != "" or (met.noun and not met.definite and verb.base == "look"):
        return None
    if not met.definite and (negated or verb.base == "know"):
        return None
    return told(doer.phrase, with_object(group, as_object(verb.base, met)))


def wishes(draw: Draw) -> Made:
    """My brother wants to buy it: mi hermano lo quiere comprar; Ana cannot open the door."""
    doer = subject(draw)
    able = draw.chance(0.5)
    negated = draw.chance(0.3)
    unwished = ("have", "want", "lose", "know", "break")
    verb = VERBS[draw.pick([base for base in (*DEEDS, *HELPED) if base not in unwished])]
    by_pronoun = draw.chance(0.4)
    before: tuple[Target, ...] = ()
    if verb.base in ("help", "visit"):
        met = clitic(_other(draw, doer)) if by_pronoun else None
        said = companion(draw, doer)
    else:
        met = clitic_for(False, draw.chance(0.5)) if by_pronoun else None
        said = thing(draw, verb.base, doer)
    tail = Phrase(met.english, ()) if met else as_object(verb.base, said)
    before = (met.spanish,) if met else ()
    if able:
        word = Word("cannot" if negated else "can")
        owner = doer.english if doer.silent else ()
        form = Target(conjugate("poder", "present", doer.person), (*owner, word))
        spanish = (*before, form)
        spanish = (Target("no", (word,)), *spanish) if negated else spanish
        helped = Phrase((word,), spanish)
        deed = infinitive(verb, None)
    else:
        tense = draw.pick(("present", "present", "past"))
        group = verb_group(VERBS["want"], tense, doer, negated=negated, clitics=before)
        helped = group.phrase
        deed = infinitive(verb, Word("to"))
    return told(doer.phrase, helped, deed, tail)


def beasts(draw: Draw) -> Made:
    """The black dogs drank water; the bird sings in the tree."""
    noun = draw.pick(ANIMALS)
    plural = draw.chance(0.4)
    determiner = draw.pick(
        ("two", "the", "this", "many") if plural else ("the", "this", "a", "the")
    )
    if noun.english in ("dog", "cat", "horse") and draw.chance(0.3):
        determiner = draw.pick(MY)
    adjective = draw.pick(noun.adjectives) if draw.chance(0.45) else ""
    doer = noun_phrase(noun, determiner, adjective, plural=plural)
    negated = doer.definite and draw.chance(0.2)
    if draw.chance(0.5):
        verb = VERBS[draw.pick(BEASTS[noun.english])]
        group = verb_group(verb, tense_for(draw, verb, doer, negated), doer, negated=negated)
        return told(doer.phrase, group.phrase, spot_of(draw, noun.english))
    food = NOUNS[draw.pick(FODDER[noun.english])]
    verb = VERBS["drink" if food.kind == "drink" else "eat"]
    group = verb_group(verb, tense_for(draw, verb, doer, negated), doer, negated=negated)
    fitting = [one for one in food.adjectives if one not in ("expensive", "cheap", "hot")]
    trait = draw.pick(fitting) if draw.chance(0.35) else ""
    what = noun_phrase(food, draw.pick(("the", "")), trait, plural=bool(food.plural))
    return told(doer.phrase, with_object(group, what.phrase))


def finds(draw: Draw) -> Made:
    """The man found the girl's red hat."""
    doer = subject(draw)
    item = belonging(draw)
    if doer.head.text + "'s" in (word.text for word in item.english):
        return None
    verb = VERBS[
        draw.pick(
            [
                base
                for base in ("find", "lose", "see", "wash", "sell", "look", "break")
                if item.noun in OBJECTS[base]
            ]
            or ["see"]
        )
    ]
    negated = draw.chance(0.2)
    tense = tense_for(draw, verb, doer, negated)
    group = verb_group(verb, tense, doer, negated=negated)
    return told(doer.phrase, with_object(group, as_object(verb.base, item)))
