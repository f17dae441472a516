"""Sentence patterns of one clause that tell how or where something is."""

from attention_jax.data.phrasebook.choice import Draw
from attention_jax.data.phrasebook.clauses import (
    Made,
    infinitive,
    intransitive,
    located,
    predicative,
    told,
    transitive,
    unlike,
)
from attention_jax.data.phrasebook.clauses import place as spell
from attention_jax.data.phrasebook.clauses import spot as spot_of
from attention_jax.data.phrasebook.conjugation import conjugate
from attention_jax.data.phrasebook.frames import HAUNTS, PLACED, fit
from attention_jax.data.phrasebook.lexicon import COMPARED, NAMES, NOUNS, VERBS
from attention_jax.data.phrasebook.objects import (
    ANIMALS,
    FOOD,
    PLACES,
    THINGS,
    belonging,
    topic,
)
from attention_jax.data.phrasebook.people import KIN, MY, person, someone, subject
from attention_jax.data.phrasebook.phrases import (
    NounPhrase,
    both,
    named,
    noun_phrase,
    owned,
    pronoun,
)
from attention_jax.data.phrasebook.verbs import be, quality, verb_group
from attention_jax.data.phrasebook.words import Phrase, Target, Word, phrase


def qualities(draw: Draw) -> Made:
    """The ball is blue."""
    about = belonging(draw) if draw.chance(0.2) else topic(draw)
    predicate = predicative(draw, about)
    return predicate and told(about.phrase, predicate)


def couples(draw: Draw) -> Made:
    """Ana and the old king are tired."""
    first, second = someone(draw), someone(draw)
    if first.head.text == second.head.text or first.plural or second.plural:
        return None
    if any(word.text.endswith("'s") for word in first.english):  # Ana's father and Marta: whose?
        return None
    doer = both(first, second)
    roll = draw.pick(range(3))
    if roll == 0:
        predicate = predicative(draw, doer)
        return predicate and told(doer.phrase, predicate)
    return told(doer.phrase, transitive(draw, doer) if roll == 1 else intransitive(draw, doer))


def places(draw: Draw) -> Made:
    """The keys are under the old table."""
    noun = NOUNS[draw.pick(tuple(PLACED))]
    if noun.kind in ("person", "kin"):
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
    determiner = draw.pick(("two", "three", "many")) if plural else "" if noun.mass else "a"
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
        if general and draw.chance(0.6) and (plural or noun.mass):
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


_LIKE = tuple(
    [NOUNS[name] for name in names.split()]
    for names in (
        "hat shirt shoe dress",
        "house",
        "car bicycle",
        "table chair cup ball book",
        "apple egg tomato cake bread cheese meat coffee",
        "city beach river garden park",
        "boy girl man woman king queen",
        "boy girl man woman king queen",
        "brother sister father mother uncle aunt",
        "bird eagle horse",
        "letter poem photo flower",
    )
)
"""What is compared with what."""


def comparisons(draw: Draw) -> Made:
    """The red car is more expensive than my house."""
    adjective = draw.pick(tuple(sorted(COMPARED)))
    groups = [[noun for noun in group if adjective in noun.adjectives] for group in _LIKE]
    pool = draw.pick([group for group in groups if group])
    sides: list[NounPhrase] = []
    for noun in (draw.pick(pool), draw.pick(pool)):
        plural = bool(noun.plural) and draw.chance(0.35)
        owners = noun.kind in ("kin", "thing") and noun.english != "flower"
        determiner = draw.pick(MY) if noun.kind == "kin" or (owners and draw.chance(0.3)) else "the"
        fitting = () if noun.kind == "kin" else unlike(adjective, fit("buy", noun.english))
        if adjective == "expensive":
            fitting = tuple(one for one in fitting if one != "cheap")
        trait = draw.pick(fitting) if fitting and draw.chance(0.45) else ""
        sides.append(noun_phrase(noun, determiner, trait, plural=plural))
    about, other = sides
    both_told = about.adjective and other.adjective and about.adjective != other.adjective
    if about.noun == other.noun and not both_told:
        return None
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
