"""Batches filled up until they can be cut: empty rows and positions count nothing."""

import numpy as np

from attention_jax.data.batches import Batch


def padded(batch: Batch, rows: int, length: int = 1) -> Batch:
    """The batch with empty rows and positions behind, until these numbers divide its axes.

    Args:
      batch: on the host.
      rows: what must divide its rows.
      length: what must divide its positions, of source and target.
    """

    def fill(x: np.ndarray) -> np.ndarray:
        spare = [(0, -size % by) for size, by in zip(x.shape, (rows, length), strict=True)]
        return np.pad(x, spare) if any(after for _, after in spare) else x

    return Batch(*map(fill, batch))
