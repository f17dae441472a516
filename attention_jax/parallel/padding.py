"""Batches filled up until they can be cut: empty rows and positions count nothing."""

import numpy as np

from attention_jax.data.batches import Rows


def padded(batch: Rows, rows: int, length: int = 1) -> Rows:
    """The batch with empty rows and positions behind, until these numbers divide its axes.

    Args:
      batch: on the host.
      rows: what must divide its rows.
      length: what must divide its positions, of source and target; 1 for batches that have none.
    """

    def fill(x: np.ndarray) -> np.ndarray:
        by = (rows, length, *[1] * x.ndim)
        spare = [(0, -size % by) for size, by in zip(x.shape, by, strict=False)]
        return np.pad(x, spare) if any(after for _, after in spare) else x

    return type(batch)(*map(fill, batch))
