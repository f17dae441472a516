"""Many token arrays as one: quick to gather rows from, light to keep, and checked."""

from collections.abc import Sequence

import numpy as np

from attention_jax.data.lines import DataError
from attention_jax.data.tokens import END, PAD


class Flat:
    """One side of all pairs, each closed with END.

    Tokens are checked here because nothing does later: on a device a number outside a table reads
    another row of it, and a label outside the logits counts as one of logit 0.

    Args:
      sequences: token numbers without marks, one array for each pair.
      side: "source" or "target", for messages.
      numbers: the place of each pair among those that came in, for messages.
      vocabulary: how many tokens there are; None checks only that no number is negative.

    Raises:
      DataError: there are no sequences, or a token is none of the vocabulary's.
    """

    def __init__(
        self,
        sequences: Sequence[np.ndarray],
        side: str,
        numbers: np.ndarray,
        vocabulary: int | None,
    ):
        if not len(sequences):
            raise DataError("there are no examples to make batches of.")
        end = np.array([END], dtype=np.int32)
        self.tokens = np.concatenate([part for ids in sequences for part in (ids, end)])
        self.sizes = np.array([len(ids) + 1 for ids in sequences], dtype=np.int64)
        self.starts = np.cumsum(self.sizes) - self.sizes
        limit = np.iinfo(np.int32).max if vocabulary is None else vocabulary
        if self.tokens.min() < 0 or self.tokens.max() >= limit:
            at = int(np.argmax((self.tokens < 0) | (self.tokens >= limit)))
            pair = numbers[np.searchsorted(self.starts, at, side="right") - 1] + 1
            raise DataError(
                f"pair {pair:,} has the {side} token {self.tokens[at]:,}, and the vocabulary has "
                f"{limit:,} tokens, 0 to {limit - 1:,}; encode it with the model's own tokenizer."
            )

    def gather(self, places: np.ndarray, rows: int, length: int) -> tuple[np.ndarray, np.ndarray]:
        """[rows, length] tokens padded with PAD, and where they are real."""
        columns = np.arange(length)
        real = np.zeros((rows, length), dtype=bool)
        real[: len(places)] = columns < self.sizes[places, None]
        found = np.full((rows, length), PAD, dtype=np.int32)
        where = self.starts[places, None] + columns
        taken = self.tokens.take(where, mode="clip")  # what lies past a row's end is not real
        np.copyto(found[: len(places)], taken, where=real[: len(places)])
        return found, real
