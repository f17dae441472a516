"""Words of two languages and the links between them.

An English word is an object of its own; a Spanish word names the English words that it renders.
Phrases are put together freely, in whatever order each language wants, and the alignment is read
off at the end: nothing is guessed from the finished strings.
"""

from typing import NamedTuple

from attention_jax.data.pair import Pair


class Word:
    """One English word of one sentence; two words with the same text stay two words."""

    __slots__ = ("text",)

    def __init__(self, text: str):
        self.text = text


class Target(NamedTuple):
    """One Spanish word, and the English words that it renders."""

    text: str
    links: tuple[Word, ...]


class Phrase(NamedTuple):
    """The same content in English and in Spanish."""

    english: tuple[Word, ...] = ()
    spanish: tuple[Target, ...] = ()

    def then(self, other: "Phrase") -> "Phrase":
        """This phrase followed by another, in both languages."""
        return Phrase(self.english + other.english, self.spanish + other.spanish)


def phrase(english: str, spanish: str) -> Phrase:
    """A fixed expression: every Spanish word renders all of its English words."""
    words = tuple(Word(text) for text in english.split())
    return Phrase(words, tuple(Target(text, words) for text in spanish.split()))


def _contract(words: tuple[Target, ...]) -> list[Target]:
    """Replace a + el by al and de + el by del; the contraction renders what both rendered."""
    contracted: list[Target] = []
    for word in words:
        if word.text == "el" and contracted and contracted[-1].text in ("a", "de"):
            before = contracted.pop()
            word = Target(before.text + "l", before.links + word.links)
        contracted.append(word)
    return contracted


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def render(*sentences: tuple[Phrase, str]) -> Pair:
    """Write one or more sentences out as a pair.

    Args:
      *sentences: each a phrase and its closing mark: "" for a statement, "?" for a question.

    Returns:
      The pair, with its alignment.
    """
    source: list[str] = []
    target: list[str] = []
    place: dict[int, int] = {}
    links: set[tuple[int, int]] = set()
    for content, mark in sentences:
        first_source, first_target = len(source), len(target)
        for word in content.english:
            place[id(word)] = len(source)
            source.append(word.text)
        for rendered in _contract(content.spanish):
            links.update((place[id(word)], len(target)) for word in rendered.links)
            target.append(rendered.text)
        source[first_source] = _capital(source[first_source])
        target[first_target] = _capital(target[first_target])
        if mark == "?":
            target[first_target] = "¿" + target[first_target]
            source[-1] += mark
            target[-1] += mark
    return Pair(" ".join(source), " ".join(target), tuple(sorted(links)))
