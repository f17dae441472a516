"""Noun phrases, verb groups and pronouns, built in both languages at once."""

from collections.abc import Sequence
from random import Random
from typing import NamedTuple, TypeVar

from attention_jax.data.phrasebook.conjugation import conjugate, participle
from attention_jax.data.phrasebook.lexicon import ADJECTIVES, NAMES, Noun, Verb, pluralize
from attention_jax.data.phrasebook.words import Phrase, Target, Word, phrase

_T = TypeVar("_T")


class Draw:
    """Choices from a seed; uses only Random.random, which Python keeps the same for ever."""

    def __init__(self, seed: int):
        self._random = Random(seed).random

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self._random() < probability

    def pick(self, choices: Sequence[_T]) -> _T:
        """One of the choices, each as likely."""
        return choices[int(self._random() * len(choices))]


class Unsaid(Exception):
    """This draw leads to nothing that the phrasebook says."""


def _check(infinitive: str, tense: str, person: int) -> None:
    """Refuse verb forms that would be met too rarely to be learned.

    First persons have no future of "to be", we has no future at all, you is only asked about now
    and yesterday, and the present of leer is told of third persons.
    """
    being = infinitive in ("ser", "estar")
    refused = (
        (tense == "future" and (person in (1, 3) or (being and person == 0)))
        or (tense == "perfect" and person == 1)
        or (infinitive == "ser" and person in (0, 1, 3))
        or (infinitive == "leer" and tense == "present" and person in (0, 1, 3))
    )
    if refused:
        raise Unsaid


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
        return self._replace(english=self.english + tail.english, spanish=self.spanish + tail.spanish)


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


class VerbGroup(NamedTuple):
    """A finite verb with its helpers.

    `helper` holds do, will, have and not as far as they come before the verb, and `first` tells how
    many of these words go before the subject in a question.
    """

    helper: tuple[Word, ...]
    main: tuple[Word, ...]
    spanish: tuple[Target, ...]

    @property
    def phrase(self) -> Phrase:
        """The group as it stands in a statement."""
        return Phrase(self.helper + self.main, self.spanish)


TENSES = ("present", "past", "future", "perfect")


def verb_group(
    verb: Verb,
    tense: str,
    subject: NounPhrase,
    *,
    negated: bool = False,
    adverb: str = "",
    clitics: Sequence[Target] = (),
    asked: bool = False,
) -> VerbGroup:
    """A verb that agrees with its subject.

    Args:
      verb: from the lexicon.
      tense: "present", "past", "future" or "perfect".
      subject: a silent one is linked to the Spanish verb.
      negated: whether "not" stands with it.
      adverb: "always" or "never", or "".
      clitics: Spanish object pronouns, in their order.
      asked: a question, whose English verb needs a helper in front.

    Returns:
      The group in both languages.
    """
    _check(verb.spanish, tense, subject.person)
    third = subject.person == 2
    helper: list[Word] = []
    if tense == "future":
        helper.append(Word("will"))
    elif tense == "perfect":
        helper.append(Word("has" if third else "have"))
    elif negated or asked:
        helper.append(Word("did" if tense == "past" else "does" if third else "do"))
    if tense == "perfect":
        text = verb.participle
    elif helper:
        text = verb.base
    else:
        text = verb.past if tense == "past" else verb.third if third else verb.base
    head = Word(text)
    main = (head, Word(verb.particle)) if verb.particle else (head,)
    owner = subject.english if subject.silent else ()
    before: list[Target] = []
    finite = (*helper, *main)
    if negated:
        word = Word("not")
        helper.append(word)
        before.append(Target("no", (word,)))
    if adverb:
        word = Word(adverb)
        helper.append(word)
        before.append(Target("siempre" if adverb == "always" else "nunca", (word,)))
    before.extend(clitics)
    if tense == "perfect":
        before.append(Target(conjugate("haber", "present", subject.person), (*owner, finite[0])))
        before.append(Target(participle(verb.spanish), main))
    else:
        name = tense if tense != "past" else "imperfect" if verb.stative else "preterite"
        before.append(Target(conjugate(verb.spanish, name, subject.person), (*owner, *finite)))
    return VerbGroup(tuple(helper), main, tuple(before))


_BE = {
    "present": ("am", "are", "is", "are", "are"),
    "past": ("was", "were", "was", "were", "were"),
}


def be(
    spanish: str, tense: str, subject: NounPhrase, *, negated: bool = False
) -> tuple[tuple[Word, ...], tuple[Target, ...]]:
    """To be, as ser or estar: English and Spanish words; the past is the imperfect."""
    _check(spanish, tense, subject.person)
    if tense == "future":
        words = (Word("will"), Word("be"))
    else:
        words = (Word(_BE[tense][subject.person]),)
    owner = subject.english if subject.silent else ()
    form = conjugate(spanish, "imperfect" if tense == "past" else tense, subject.person)
    target = (Target(form, (*owner, *words)),)
    if not negated:
        return words, target
    word = Word("not")
    return (words[0], word, *words[1:]), (Target("no", (word,)), *target)


def quality(adjective: str, subject: NounPhrase, *, very: bool = False) -> Phrase:
    """A predicate adjective that agrees with its subject."""
    word = Word(adjective)
    target = Target(ADJECTIVES[adjective].agree(subject.feminine, subject.plural), (word,))
    plain = Phrase((word,), (target,))
    return phrase("very", "muy").then(plain) if very else plain


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
