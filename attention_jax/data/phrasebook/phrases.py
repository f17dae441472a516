"""Noun phrases, verb groups and pronouns, built in both languages at once."""

from collections.abc import Sequence
from typing import NamedTuple

from attention_jax.data.phrasebook.lexicon import ADJECTIVES, NAMES, Noun, pluralize
from attention_jax.data.phrasebook.words import Phrase, Target, Word, phrase


class NounPhrase(NamedTuple):
    """Somebody or something, with what the rest of the sentence has to agree with.

    `person` counts as in conjugation.py; `silent` subjects are heard in the Spanish verb alone.
    """

    english: tuple[Word, ...]
    spanish: tuple[Target, ...]
    head: Word
    person: int = 2
    feminine: bool = False
    human: bool = False
    silent: bool = False
    noun: str = ""
    adjective: str = ""
    definite: bool = True

    @property
    def plural(self) -> bool:
        """Whether adjectives stand in the plural."""
        return self.person >= 3

    @property
    def phrase(self) -> Phrase:
        """The words alone."""
        return Phrase(self.english, self.spanish)

    def extended(self, tail: Phrase) -> "NounPhrase":
        """With a relative clause or the like at its end."""
        return self._replace(
            english=self.english + tail.english, spanish=self.spanish + tail.spanish
        )


_ARTICLES = {
    # (feminine, plural)
    "the": {(False, False): "el", (True, False): "la", (False, True): "los", (True, True): "las"},
    "a": {(False, False): "un", (True, False): "una"},
    "this": {(False, False): "este", (True, False): "esta"},
    "these": {(False, True): "estos", (True, True): "estas"},
    "many": {(False, True): "muchos", (True, True): "muchas"},
}

_POSSESSIVES = {"my": "mi", "your": "tu", "his": "su", "her": "su", "their": "su"}

_NUMBERS = {"two": "dos", "three": "tres"}

POSSESSIVES = (*_POSSESSIVES, "our")


def _determiner(name: str, feminine: bool, plural: bool, stressed: bool) -> str:
    if name in _NUMBERS:
        return _NUMBERS[name]
    if name in _POSSESSIVES:
        return _POSSESSIVES[name] + "s" * plural
    if name == "our":
        return "nuestr" + ("a" if feminine else "o") + "s" * plural
    if stressed and not plural and name in ("the", "a"):
        feminine = False
    return _ARTICLES[name][feminine, plural]


def noun_phrase(
    noun: Noun, determiner: str = "the", adjective: str = "", *, plural: bool = False
) -> NounPhrase:
    """Determiner, adjective and noun; in Spanish the adjective follows.

    Args:
      noun: its head.
      determiner: "the", "a", "this" (these), "my" ..., "two", "many", "all", or "" for none.
      adjective: an English adjective, or "".
      plural: whether the plural is meant.

    Returns:
      The noun phrase, in the third person.
    """
    head = Word(noun.plural if plural else noun.english)
    plain = pluralize(noun.spanish) if plural else noun.spanish
    english, spanish = [head], [Target(plain, (head,))]
    if adjective:
        word = Word(adjective)
        english.insert(0, word)
        form = ADJECTIVES[adjective].agree(noun.feminine, plural)
        spanish.append(Target(form, (word,)))
    if determiner:
        name = "these" if determiner == "this" and plural else determiner
        text = "an" if name == "a" and english[0].text[0] in "aeiou" else name
        article = Word("the" if name == "all" else text)
        name = "the" if name == "all" else name
        form = _determiner(name, noun.feminine, plural, noun.stressed)
        english.insert(0, article)
        spanish.insert(0, Target(form, (article,)))
    if determiner == "all":
        every = Word("all")
        english.insert(0, every)
        spanish.insert(0, Target("todas" if noun.feminine else "todos", (every,)))
    return NounPhrase(
        tuple(english),
        tuple(spanish),
        head,
        person=4 if plural else 2,
        feminine=noun.feminine,
        human=noun.kind in ("person", "kin"),
        noun=noun.english,
        adjective=adjective,
        definite=determiner not in ("", "a", "two", "three", "many"),
    )


def named(name: str) -> NounPhrase:
    """Somebody by name."""
    word = Word(name)
    return NounPhrase((word,), (Target(name, (word,)),), word, 2, NAMES[name], human=True)


_SUBJECTS = {
    "I": (0, "", False),
    "you": (1, "", False),
    "he": (2, "él", False),
    "she": (2, "ella", True),
    "we": (3, "", False),
    "they": (4, "", False),
    "it": (2, "", False),
}


def pronoun(english: str, *, silent: bool = False, feminine: bool | None = None) -> NounPhrase:
    """A subject pronoun; only he and she are said in Spanish, unless `silent`."""
    person, spanish, her = _SUBJECTS[english]
    word = Word(english)
    targets = (Target(spanish, (word,)),) if spanish and not silent else ()
    gender = her if feminine is None else feminine
    return NounPhrase((word,), targets, word, person, gender, True, not targets)


def both(first: NounPhrase, second: NounPhrase) -> NounPhrase:
    """Two joined by "and"."""
    joined = first.phrase.then(phrase("and", "y")).then(second.phrase)
    feminine = first.feminine and second.feminine
    return NounPhrase(joined.english, joined.spanish, second.head, 4, feminine, True)


_CLITICS = {"me": "me", "you": "te", "us": "nos", "him": "lo", "her": "la"}


class Clitic(NamedTuple):
    """An object pronoun: an English word, and what stands before the Spanish verb."""

    english: tuple[Word, ...]
    spanish: Target


def clitic(english: str) -> Clitic:
    """A person as direct object: me, you, us, him, her."""
    word = Word(english)
    return Clitic((word,), Target(_CLITICS[english], (word,)))


def clitic_for(feminine: bool, plural: bool) -> Clitic:
    """It or them, in the gender of what is meant."""
    word = Word("them" if plural else "it")
    text = ("la" if feminine else "lo") + "s" * plural
    return Clitic((word,), Target(text, (word,)))


_PREPOSITIONS = {
    "in": ("in", "en"),
    "at": ("at", "en"),
    "on": ("on", "sobre"),
    "under": ("under", "debajo de"),
    "behind": ("behind", "detrás de"),
    "near": ("near", "cerca de"),
    "next": ("next to", "al lado de"),
    "with": ("with", "con"),
    "to": ("to", "a"),
    "of": ("of", "de"),
}


def placed(preposition: str, landmark: NounPhrase) -> Phrase:
    """A preposition and what follows it."""
    return phrase(*_PREPOSITIONS[preposition]).then(landmark.phrase)


def personal(someone: NounPhrase) -> Phrase:
    """An object with the a that Spanish sets before people; it belongs to their head word."""
    return Phrase(someone.english, (Target("a", (someone.head,)), *someone.spanish))


def owned(owner: NounPhrase, thing: NounPhrase) -> NounPhrase:
    """The girl's red hat: el sombrero rojo de la niña.

    `thing` comes with "the", whose Spanish article the 's renders.
    """
    *rest, last = owner.english
    holder = Word(last.text + "'s")
    swap = {id(last): holder, id(thing.english[0]): holder}

    def relink(targets: Sequence[Target]) -> tuple[Target, ...]:
        return tuple(
            Target(target.text, tuple(swap.get(id(word), word) for word in target.links))
            for target in targets
        )

    return thing._replace(
        english=(*rest, holder, *thing.english[1:]),
        spanish=(*relink(thing.spanish), Target("de", (holder,)), *relink(owner.spanish)),
    )
