"""One sentence and its translation."""

from typing import NamedTuple


class Pair(NamedTuple):
    """A source sentence, its translation, and which words translate which.

    Attributes:
      source: the sentence to translate.
      target: its translation.
      alignment: links (source word, target word), counted from 0 over `text.split()`; empty where
        no gold alignment is known.
    """

    source: str
    target: str
    alignment: tuple[tuple[int, int], ...] = ()
