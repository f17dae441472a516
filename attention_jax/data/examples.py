"""Encoded pairs, the too long ones left out."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from attention_jax.data.lines import DataError
from attention_jax.data.pair import Pair
from attention_jax.data.tokens import Tokenizer


@dataclass(frozen=True)
class Examples:
    """Encoded pairs without marks.

    Attributes:
      sources: token numbers, int32, one array for each pair.
      targets: the same of the other side.
      max_length: the most tokens that a side has, its END included.
      max_target: the most tokens that a target has; None: max_length.
      kept: for each pair, its place among the pairs that came in.
      dropped: how many were too long and are not here.
    """

    sources: Sequence[np.ndarray]
    targets: Sequence[np.ndarray]
    max_length: int
    kept: np.ndarray = field(repr=False)
    dropped: int = 0
    max_target: int | None = None

    def __len__(self) -> int:
        return len(self.sources)

    @property
    def note(self) -> str:
        """What was dropped and why, in one line."""
        target = "" if self.max_target is None else f", or {self.max_target} in the target"
        return (
            f"dropped {self.dropped:,} of {self.dropped + len(self):,} pairs with more than "
            f"{self.max_length} tokens on a side{target}, the end mark included"
        )

    def digest(self) -> str:
        """SHA-256 of all tokens of all pairs, in hex: the same on every machine."""
        found = hashlib.sha256()
        for side in (self.sources, self.targets):
            sizes = np.array([len(side), *map(len, side)], dtype="<i8")
            found.update(sizes.tobytes())
            for ids in side:
                found.update(np.asarray(ids, dtype="<i4").tobytes())
        return found.hexdigest()


def encode_pairs(
    pairs: Iterable[Pair],
    tokenizer: Tokenizer,
    *,
    max_length: int,
    max_target: int | None = None,
) -> Examples:
    """Encodes pairs and drops the ones that are too long; `Examples.note` reports it.

    Args:
      pairs: sentences and translations.
      tokenizer: of both languages.
      max_length: the most tokens a side, its END included.
      max_target: the most tokens of a target; None: max_length.

    Raises:
      DataError: nothing is left, or there was nothing.
    """
    pairs = list(pairs)
    sides = [
        [np.asarray(ids, dtype=np.int32) for ids in tokenizer.encode_all(texts)]
        for texts in ((pair.source for pair in pairs), (pair.target for pair in pairs))
    ]
    sizes = np.array([[len(ids) + 1 for ids in side] for side in sides], dtype=int)
    longest = sizes.max(0, initial=0)
    fits = longest <= max_length
    if max_target is not None:
        fits &= sizes[1] <= max_target
    kept = np.flatnonzero(fits)
    if not len(kept):
        found = f"; the shortest has {longest.min()}" if len(pairs) else ""
        found += "" if max_target is None else f"; of targets, at most {max_target} were asked for"
        raise DataError(
            f"none of {len(pairs):,} pairs has at most {max_length} tokens a side{found}."
        )
    return Examples(
        sources=[sides[0][i] for i in kept],
        targets=[sides[1][i] for i in kept],
        max_length=max_length,
        kept=kept,
        dropped=len(pairs) - len(kept),
        max_target=max_target,
    )
