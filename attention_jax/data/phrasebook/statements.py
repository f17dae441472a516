"""Sentence patterns of one clause."""

from attention_jax.data.phrasebook.clauses import (
    ANIMALS,
    FOOD,
    KIN,
    MY,
    PEOPLE,
    PLACES,
    THINGS,
    as_object,
    belonging,
    companion,
    infinitive,
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
    when,
    with_clitic,
    with_object,
)
from attention_jax.data.phrasebook.clauses import place as spell
from attention_jax.data.phrasebook.clauses import spot as spot_of
from attention_jax.data.phrasebook.conjugation import conjugate
from attention_jax.data.phrasebook.frames import (
    BEASTS,
    DEEDS,
    FODDER,
    HAUNTS,
    HELPED,
    OBJECTS,
    PLACED,
    fit,
)
from attention_jax.data.phrasebook.lexicon import COMPARED, NAMES, NOUNS, VERBS
from attention_jax.data.phrasebook.phrases import (
    Clitic,
    Draw,
    NounPhrase,
    be,
    both,
    clitic,
    clitic_for,
    named,
    noun_phrase,
    owned,
    placed,
    pronoun,
    quality,
    verb_group,
)
from attention_jax.data.phrasebook.words import Phrase, Target, Word, phrase

Made = list[tuple[Phrase, str]] | None
"""A sentence or two with their marks; None where a draw led nowhere."""

HABITS = ("eat", "drink", "wash", "read", "open")


def told(*parts: Phrase) -> Made:
    """A statement of these parts, in this order in both languages."""
    whole = Phrase()
    for part in parts:
        whole = whole.then(part)
    return [(whole, "")]


def qualities(draw: Draw) -> Made:
    """The ball is blue."""
    about = belonging(draw) if draw.chance(0.2) else topic(draw)
    predicate = predicative(draw, about)
    return predicate and told(about.phrase, predicate)


def deeds(draw: Draw) -> Made:
    """The girl bought two red apples."""
    doer = subject(draw)
    return told(doer.phrase, transitive(draw, doer))


def timed_deeds(draw: Draw) -> Made:
    """Yesterday the girl bought two red apples; Ana will sing in the park tomorrow."""
    doer = subject(draw)
    tense = draw.pick(("past", "future", "perfect", "present"))
    if draw.chance(0.3):
        verb = VERBS[draw.pick(("sing", "sleep", "run", "work", "play", "cry"))]
        predicate = intransitive(draw, doer, tense=tense)
    else:
        verb = VERBS[draw.pick(("eat", "drink", "wash") if tense == "present" else DEEDS[:13])]
        if verb.stative or verb.base == "read":
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
        determiner = "" if plural or not noun.plural else "a"
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
        noun = draw.pick((*PLACES, NOUNS["house"]))
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
    doer = subject(draw)
    predicate = intransitive(draw, doer)
    if draw.chance(0.5):
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
    doer = noun_phrase(noun, "the", plural=draw.chance(0.2))
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


def couples(draw: Draw) -> Made:
    """Ana and the old king are tired."""
    first, second = someone(draw), someone(draw)
    if first.english[-1].text == second.english[-1].text or first.plural or second.plural:
        return None
    doer = both(first, second)
    roll = draw.pick(range(3))
    if roll == 0:
        predicate = predicative(draw, doer)
        return predicate and told(doer.phrase, predicate)
    return told(doer.phrase, transitive(draw, doer) if roll == 1 else intransitive(draw, doer))


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


def places(draw: Draw) -> Made:
    """The keys are under the old table."""
    noun = NOUNS[draw.pick(tuple(PLACED))]
    if noun.kind == "person":
        about = someone(draw)
    elif draw.chance(0.2) and noun.english in ("hat", "shirt", "key", "book", "dog", "car"):
        about = belonging(draw)
    else:
        plural = bool(noun.plural) and draw.chance(0.4)
        mine = noun.kind == "thing" and noun.english not in ("tree", "flower")
        determiner = draw.pick(("the", "the", "the", draw.pick(MY) if mine else "the"))
        fitting = fit("buy", noun.english)
        adjective = draw.pick(fitting) if fitting and draw.chance(0.3) else ""
        about = noun_phrase(noun, determiner, adjective, plural=plural)
    if about.noun and about.noun not in PLACED:
        return None
    return told(about.phrase, located(draw, about))


def existence(draw: Draw) -> Made:
    """There are two cats under the table: hay dos gatos debajo de la mesa."""
    noun = NOUNS[draw.pick(tuple(name for name in PLACED if NOUNS[name].kind != "kin"))]
    if noun.english in ("king", "queen"):
        return None
    plural = bool(noun.plural) and draw.chance(0.55)
    determiner = draw.pick(("two", "three", "many")) if plural else "a" if noun.plural else ""
    fitting = tuple(one for one in fit("buy", noun.english) if one not in ("heavy", "famous"))
    adjective = draw.pick(fitting) if fitting and draw.chance(0.4) else ""
    what = noun_phrase(noun, determiner, adjective, plural=plural)
    past = draw.chance(0.4)
    verb = ("were" if past else "are") if plural else ("was" if past else "is")
    opening = phrase(f"there {verb}", "había" if past else "hay")
    return told(opening, what.phrase, spot_of(draw, noun.english))


def likings(draw: Draw) -> Made:
    """The girl likes the red apples: a la niña le gustan las manzanas rojas."""
    who = subject(draw)
    negated = draw.chance(0.25)
    tense = draw.pick(("present", "present", "past"))
    dropped = who.silent
    experiencer = {0: "me", 1: "te", 3: "nos"}.get(who.person, "les" if who.plural else "le")
    doublet = Target(experiencer, (who.head,))
    shown = who._replace(silent=False)
    group = verb_group(VERBS["like"], tense, shown, negated=negated, clitics=(doublet,))
    if tense == "present" and draw.chance(0.3):
        base = draw.pick(("sing", "sleep", "run", "work", "play"))
        liked = infinitive(VERBS[base], Word("to")).then(spell(draw, draw.pick(HAUNTS[base])))
        number = 2
    else:
        noun = draw.pick((*THINGS, *FOOD, *FOOD, *ANIMALS, *PLACES))
        plural = bool(noun.plural) and draw.chance(0.5)
        general = noun.kind in ("food", "drink", "animal") and tense == "present"
        if general and draw.chance(0.6) and (plural or not noun.plural):
            adjective = draw.pick(noun.adjectives) if draw.chance(0.3) else ""
            item = noun_phrase(noun, "the", adjective, plural=plural)
            article, *rest = item.english  # apples: las manzanas
            first = Target(item.spanish[0].text, (item.head,))
            item = item._replace(english=tuple(rest), spanish=(first, *item.spanish[1:]))
        else:
            fitting = fit("buy", noun.english)
            adjective = draw.pick(fitting) if fitting and draw.chance(0.35) else ""
            mine = noun.kind == "thing" and noun.english not in ("tree", "flower")
            determiner = draw.pick(("the", "the", "this", draw.pick(MY) if mine else "this"))
            item = noun_phrase(noun, determiner, adjective, plural=plural)
        liked, number = item.phrase, item.person
    *before, verb = group.spanish
    name = "preterite" if tense == "past" else tense
    verb = Target(conjugate("gustar", name, number), verb.links)
    spanish = (*before, verb, *liked.spanish)
    if not dropped:
        spanish = (Target("a", (who.head,)), *who.spanish, *spanish)
    return [(Phrase(who.english + group.helper + group.main + liked.english, spanish), "")]


def wishes(draw: Draw) -> Made:
    """My brother wants to buy it: mi hermano lo quiere comprar; Ana cannot open the door."""
    doer = subject(draw)
    able = draw.chance(0.5)
    negated = draw.chance(0.3)
    verb = VERBS[draw.pick([base for base in (*DEEDS, *HELPED) if base not in ("have", "want")])]
    by_pronoun = draw.chance(0.4)
    before: tuple[Target, ...] = ()
    if verb.base in ("help", "visit", "know"):
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


def comparisons(draw: Draw) -> Made:
    """The red car is more expensive than my house."""
    adjective = draw.pick(tuple(sorted(COMPARED)))
    pool = [noun for noun in NOUNS.values() if adjective in noun.adjectives]
    first_noun = draw.pick(pool)
    pool = [noun for noun in pool if noun.kind == first_noun.kind]
    sides: list[NounPhrase] = []
    for noun in (first_noun, draw.pick(pool)):
        plural = bool(noun.plural) and draw.chance(0.35)
        owners = noun.kind in ("kin", "thing") and noun.english != "flower"
        determiner = draw.pick(MY) if noun.kind == "kin" or (owners and draw.chance(0.3)) else "the"
        fitting = () if noun.kind == "kin" else unlike(adjective, fit("buy", noun.english))
        if adjective == "expensive":
            fitting = tuple(one for one in fitting if one != "cheap")
        trait = draw.pick(fitting) if fitting and draw.chance(0.45) else ""
        sides.append(noun_phrase(noun, determiner, trait, plural=plural))
    if sides[0].noun == sides[1].noun:
        return None
    about, other = sides
    tense = draw.pick(("present", "present", "past"))
    words, targets = be("ser", tense, about, negated=draw.chance(0.2))
    more = phrase("more", "más").then(quality(adjective, about))
    return told(about.phrase, Phrase(words, targets), more, phrase("than", "que"), other.phrase)


def families(draw: Draw) -> Made:
    """The tall woman is my aunt."""
    noun = draw.pick(KIN)
    who = person(draw) if draw.chance(0.6) else named(draw.pick(tuple(NAMES)))
    if draw.chance(0.15):
        who = pronoun(draw.pick(("he", "she")))
    young = who.noun in ("boy", "girl") and noun.english not in ("brother", "sister")
    if who.feminine != noun.feminine or young or not who.definite:
        return None
    if who.plural and not noun.plural:
        return None
    if any(word.text == "all" for word in who.english):
        return None
    role = noun_phrase(noun, draw.pick(MY), plural=who.plural)
    if draw.chance(0.3):
        holder = named(draw.pick(tuple(NAMES)))
        if holder.head.text == who.head.text:
            return None
        role = owned(holder, noun_phrase(noun, "the"))
        if who.plural:
            return None
    words, targets = be("ser", "present", who, negated=draw.chance(0.2))
    return told(who.phrase, Phrase(words, targets), role.phrase)


def beasts(draw: Draw) -> Made:
    """The black dogs drank water; the bird sings in the tree."""
    noun = draw.pick(ANIMALS)
    plural = draw.chance(0.4)
    determiner = draw.pick(("two", "the", "these", "many") if plural else ("the", "this", "a", "the"))
    if noun.english in ("dog", "cat", "horse") and draw.chance(0.3):
        determiner = draw.pick(MY)
    determiner = "this" if determiner == "these" else determiner
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
    fitting = [one for one in food.adjectives if one not in ("expensive", "cheap")]
    trait = draw.pick(fitting) if draw.chance(0.35) else ""
    what = noun_phrase(food, draw.pick(("the", "")), trait, plural=bool(food.plural))
    return told(doer.phrase, with_object(group, what.phrase))


def finds(draw: Draw) -> Made:
    """The man found the girl's red hat."""
    doer = subject(draw)
    item = belonging(draw)
    verb = VERBS[draw.pick([base for base in ("find", "lose", "see", "wash", "sell", "look", "break")
                            if item.noun in OBJECTS[base]] or ["see"])]
    negated = draw.chance(0.2)
    tense = tense_for(draw, verb, doer, negated)
    group = verb_group(verb, tense, doer, negated=negated)
    return told(doer.phrase, with_object(group, as_object(verb.base, item)))
