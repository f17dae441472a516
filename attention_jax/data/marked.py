"""Texts between marks, one or two in a row: what an encoder reads.

    START  two dogs run  END                        types 0
    START  two dogs run  END  zwei hunde ...  END   types 0, then 1

BERT calls the marks [CLS] and [SEP]; here they are those of all tokenizers of the package. Behind
the tokenizer's tokens comes one more, the mask.
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


def marked(
    rows: Sequence[Sequence[Side]], length: int
) -> tuple[Int[np.ndarray, "B S"], Int[np.ndarray, "B S"]]:
    """Tokens and types, int32, with marks, filled up with padding.

    Args:
      rows: the texts of each.
      length: S; START, the texts and an END behind each must fit.

    Raises:
      ValueError: a row does not fit.
    """
    tokens = np.full((len(rows), length), PAD, np.int32)
    types = np.zeros_like(tokens)
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
            at = end
    return tokens, types


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
