"""What: things to do something to, and things to speak of."""

from attention_jax.data.phrasebook.choice import Draw
from attention_jax.data.phrasebook.frames import CONTENTS, HELPED, OBJECTS, fit
from attention_jax.data.phrasebook.lexicon import NAMES, NOUNS, STATES
from attention_jax.data.phrasebook.people import MY, PEOPLE, family_member, own, person, subject
from attention_jax.data.phrasebook.phrases import (
    NounPhrase,
    named,
    noun_phrase,
    owned,
    personal,
    placed,
)
from attention_jax.data.phrasebook.words import Phrase

THINGS = tuple(noun for noun in NOUNS.values() if noun.kind == "thing")

FOOD = tuple(noun for noun in NOUNS.values() if noun.kind in ("food", "drink"))

ANIMALS = tuple(noun for noun in NOUNS.values() if noun.kind == "animal")

PLACES = tuple(noun for noun in NOUNS.values() if noun.kind == "place")

HOMELY = frozenset(["house", "kitchen", "garden", "table", "chair", "box", "car", "door", "window"])

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
    nobodys = entry.kind in ("food", "drink") or noun in ("tree", "bird", "eagle")
    if nobodys and determiner == "own":
        determiner = "the"
    if determiner in ("two", "three", "many"):
        determiner, plural = (determiner if entry.plural else "the"), bool(entry.plural)
    elif determiner in ("a", "") and noun == "shoe" and verb not in ("see", "find"):
        determiner, plural = "", True
    elif determiner == "a":
        determiner, plural = ("" if entry.mass else "a"), False
    elif determiner == "":
        determiner, plural = ("" if entry.mass or entry.plural else "a"), bool(entry.plural)
    elif determiner == "own":
        determiner = own(draw, owner)
        if noun == "dress" and not owner.feminine:
            determiner = "the"
    fitting = fit(verb, noun)
    adjective = draw.pick(fitting) if fitting and draw.chance(0.35) else ""
    made = noun_phrase(entry, determiner, adjective, plural=plural)
    if noun == "photo" and draw.chance(0.4):
        seen = family_member(draw) if draw.chance(0.5) else person(draw, plain=0.9)
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
    pet = made.noun in ("dog", "cat")
    if made.human or (pet and made.definite and verb in HELPED):
        return personal(made)
    return made.phrase


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
    noun = draw.pick((noun, draw.pick(("dog", "cat", "horse", "letter", "cup", "photo"))))
    entry = NOUNS[noun]
    adjective = draw.pick(fit("buy", noun)) if draw.chance(0.3) else ""
    several = bool(entry.plural) and noun not in ("house", "car") and draw.chance(0.4)
    item = noun_phrase(entry, "the", adjective, plural=several)
    if draw.chance(0.35):
        return owned(
            named(draw.pick([one for one in NAMES if NAMES[one] or noun != "dress"])), item
        )
    if draw.chance(0.3):
        family = NOUNS["mother" if noun == "dress" or draw.chance(0.5) else "father"]
        return owned(noun_phrase(family, draw.pick(MY)), item)
    holder = draw.pick([one for one in PEOPLE if one.feminine or noun != "dress"])
    trait = draw.pick(holder.adjectives) if draw.chance(0.3) else ""
    return owned(noun_phrase(holder, "the", trait), item)
