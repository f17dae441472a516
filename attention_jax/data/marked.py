"""Texts between marks, one or two in a row: what an encoder reads.

    START  two  dogs  run  END  zwei  hunde  laufen  END
    0      1    2     3    4    1     2      3       4      positions
    0      0    0     0    0    1     1      1       1      types

BERT calls the marks [CLS] and [SEP]; here they are those of all tokenizers of the package. Behind
the tokenizer's tokens comes one more, the mask. Positions begin anew in a second text, so that it
reads as it does alone, and a translation's words stand about where the words do that they translate
(Conneau and Lample 2019, section 3.3).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from attention_jax.data.tokens import END, PAD, START, Tokenizer

MASK = "[MASK]"
"""how the token prints that hides others"""


class Side(NamedTuple):
    """One text of a row.

    Attributes:
      tokens: without marks.
      type: of its tokens, and of the END behind it.
    """

    tokens: Sequence[int]
    type: int = 0


class Marked(NamedTuple):
    """Rows of texts with their marks, filled up with padding; all int32."""

    tokens: Int[np.ndarray, "B S"]
    types: Int[np.ndarray, "B S"]
    positions: Int[np.ndarray, "B S"]


def marked(rows: Sequence[Sequence[Side]], length: int) -> Marked:
    """Texts with marks; types and positions of padding are 0.

    Args:
      rows: the texts of each.
      length: S; START, the texts and an END behind each must fit.

    Raises:
      ValueError: a row does not fit.
    """
    tokens = np.full((len(rows), length), PAD, np.int32)
    types, positions = np.zeros_like(tokens), np.zeros_like(tokens)
    for row, sides in enumerate(rows):
        if (needed := marked_length(sides)) > length:
            raise ValueError(
                f"row {row + 1} has {needed} tokens, marks included; {length} would fit"
            )
        tokens[row, 0], types[row, 0], at = START, sides[0].type, 1
        for side in sides:
            end = at + len(side.tokens) + 1
            tokens[row, at:end] = [*side.tokens, END]
            types[row, at:end] = side.type
            positions[row, at:end] = np.arange(1, end - at + 1)
            at = end
    return Marked(tokens, types, positions)


def marked_length(sides: Sequence[Side]) -> int:
    """How many tokens a row has, marks included."""
    return 1 + sum(len(side.tokens) + 1 for side in sides)


def mask_of(tokenizer: Tokenizer) -> int:
    """The token that hides others: the first behind the tokenizer's."""
    return tokenizer.size


def names(tokenizer: Tokenizer, ids: Sequence[int]) -> list[str]:
    """Each token for a reader; see `Tokenizer.tokens`. Padding is left out."""
    kept = [int(token) for token in ids if token != PAD]
    return [MASK if token == mask_of(tokenizer) else tokenizer.tokens([token])[0] for token in kept]
