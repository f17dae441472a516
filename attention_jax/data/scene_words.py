"""The words of captions and questions about scenes: few, and fixed, so each is a token."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from attention_jax.data.drawn_shapes import COLOURS, SHAPES, SIZES
from attention_jax.data.tokens import END, MARKS, PAD


@dataclass(frozen=True)
class Words:
    """A vocabulary of whole words behind the marks of padding, start and end.

    Attributes:
      words: in the order of their tokens, the first of which is 3.
    """

    words: tuple[str, ...]

    def __len__(self) -> int:
        """V: words and marks."""
        return len(MARKS) + len(self.words)

    def encode(self, text: str) -> list[int]:
        """The tokens of words between spaces, without marks.

        Raises:
          ValueError: a word that is not of the vocabulary.
        """
        for word in text.split():
            if word not in self.words:
                raise ValueError(f"found the word {word!r}; known are: {' '.join(self.words)}")
        return [len(MARKS) + self.words.index(word) for word in text.split()]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of tokens up to the first end mark; other marks are left out."""
        found: list[str] = []
        for token in map(int, ids):
            if token == END:
                break
            found += [self.words[token - len(MARKS)]] if token >= len(MARKS) else []
        return " ".join(found)

    def name(self, token: int) -> str:
        """A token's word, or its mark."""
        return (*MARKS, *self.words)[token]


def rectangle(rows: Sequence[Sequence[int]], length: int) -> Int[np.ndarray, "N length"]:
    """Rows of tokens, each filled up with padding."""
    found = np.full((len(rows), length), PAD, np.int32)
    for place, row in enumerate(rows):
        found[place, : len(row)] = row
    return found


PLURALS = {shape: f"{shape}es" if shape.endswith("s") else f"{shape}s" for shape in SHAPES}

CAPTION_WORDS = Words(("a", *SIZES, *COLOURS, *SHAPES, "left", "of", "above"))
QUESTION_WORDS = Words(
    (
        *SIZES, *COLOURS, *SHAPES, *PLURALS.values(), "what", "colour", "shape", "size", "is",
        "the", "one", "left", "right", "of", "above", "below", "how", "many", "ones", "are",
        "there", "a",
    )
)  # fmt: skip
ANSWERS = (*COLOURS, *SHAPES, *SIZES, "zero", "one", "two", "three", "yes", "no")
"""every answer is one of these words"""
