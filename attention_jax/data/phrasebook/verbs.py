"""Verb groups and "to be", in both languages at once."""

from collections.abc import Sequence
from typing import NamedTuple

from attention_jax.data.phrasebook.choice import Unsaid
from attention_jax.data.phrasebook.conjugation import conjugate, participle
from attention_jax.data.phrasebook.lexicon import ADJECTIVES, Verb
from attention_jax.data.phrasebook.phrases import NounPhrase
from attention_jax.data.phrasebook.words import Phrase, Target, Word, phrase

_YOU_DO = ("querer", "ver", "tener", "estar")

_YOU_DID = ("comer", "beber", "comprar", "vender", "ver", "encontrar", "perder", "lavar", "pintar")

_I_WILL = (*_YOU_DID[:6], "lavar", "pintar", "dar", "enviar", "abrir", "ir", "buscar")


def _check(infinitive: str, tense: str, person: int) -> None:
    """Refuse verb forms that would be met too rarely to be learned.

    First and second persons have a few verbs and tenses only; third persons have them all.
    """
    if person == 0:
        said = infinitive not in ("ser", "leer")
        said = said and (tense != "future" or infinitive in _I_WILL)
    elif person == 1:
        said = infinitive in {"present": _YOU_DO, "past": _YOU_DID}.get(tense, ())
    elif person == 3:
        said = infinitive not in ("ser", "leer") and tense != "future"
    else:
        return
    if not said:
        raise Unsaid


def _check_scope(subject: "NounPhrase", negated: bool) -> None:
    """Refuse "all the doors are not closed", which can mean two things."""
    if negated and subject.english and subject.english[0].text == "all":
        raise Unsaid


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
    _check_scope(subject, negated)
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
    _check_scope(subject, negated)
    text = "will be" if tense == "future" else _BE[tense][subject.person]
    words = tuple(Word(part) for part in text.split())
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
