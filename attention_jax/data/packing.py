"""Rows for a language model: several short documents in one, and which token is of which.

    <start> A dog runs . | <start> Two men sleep . | <start> No .  <pad>
       1    1  1  1   1       2     2   2    2   2      3    3  3    0

Source: Krell et al. 2021, "Efficient Sequence Packing without Cross-contamination", section 3.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from attention_jax.data.lines import DataError
from attention_jax.data.tokens import END, START


class Packed(NamedTuple):
    """Rows of documents; a label is the token after, and after a document's last one END.

    Attributes:
      tokens: [B, T] int32: what the model reads; each document begins with START.
      labels: [B, T] int32: what comes next.
      weights: [B, T] float32: 0 where there is no document.
      segments: [B, T] int32: which document of the row, from 1 on; 0 where there is none.
    """

    tokens: Any
    labels: Any
    weights: Any
    segments: Any


def packed(documents: Sequence[np.ndarray], length: int) -> Packed:
    """All documents in as few rows as a simple rule finds: best fit, the longest first.

    Which documents share a row changes nothing for any of them. One that is longer than a row is
    cut; what comes after the cut does not see what stands before it.

    Args:
      documents: token numbers without marks.
      length: T, tokens of a row.

    Raises:
      DataError: there are no documents.
    """
    pieces = [piece for ids in documents for piece in _cut(np.asarray(ids, np.int32), length)]
    if not pieces:
        raise DataError("there are no documents to pack.")
    rows = _rows([len(tokens) for tokens, _ in pieces], length)
    found = Packed(*(np.zeros((len(rows), length), kind) for kind in _DTYPES))
    for row, here in enumerate(rows):
        end = 0
        for segment, piece in enumerate(here, start=1):
            tokens, labels = pieces[piece]
            part = slice(end, end := end + len(tokens))
            found.tokens[row, part], found.labels[row, part] = tokens, labels
            found.weights[row, part], found.segments[row, part] = 1, segment
    return found


_DTYPES = np.int32, np.int32, np.float32, np.int32


def _cut(ids: np.ndarray, length: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """A document's tokens and labels, in pieces that fit a row."""
    marked = np.concatenate([[START], ids, [END]]).astype(np.int32)
    starts = range(0, len(marked) - 1, length)
    return [
        (marked[at : at + length][: len(marked) - 1 - at], marked[at + 1 :][:length])
        for at in starts
    ]


def _rows(sizes: Sequence[int], length: int) -> list[list[int]]:
    """The pieces of each row: each goes where it leaves the least room, or into a new row."""
    rows: list[list[int]] = []
    free: list[list[int]] = [[] for _ in range(length + 1)]  # rows by the room that they have
    for piece in sorted(range(len(sizes)), key=lambda at: (-sizes[at], at)):
        size = sizes[piece]
        room = next((room for room in range(size, length + 1) if free[room]), None)
        if room is None:
            rows.append([])
            row, room = len(rows) - 1, length
        else:
            row = free[room].pop()
        rows[row].append(piece)
        free[room - size].append(row)
    return rows
