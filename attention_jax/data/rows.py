"""Rows of any arrays to batches: shuffled, drawn, or in order.

What is random in a batch, such as masks, noise or shifts, is drawn here and stands in the batch: so
it is a pure function of (seed, number), the same on any devices and after a stop.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import numpy as np

from attention_jax.data.batches import part_of

Rows = TypeVar("Rows", bound=tuple)
"""a named tuple of arrays that lead with as many rows; one of them is `weights`"""


class _Numbered(Generic[Rows]):
    """What both plans share: parts of batches, and batches of zeros."""

    def __getitem__(self, index: int) -> Rows:
        raise NotImplementedError

    def share(self, index: int, part: int, of: int, *, multiple: int = 1) -> Rows:
        """One of the equal parts of batch `index`; see `BatchPlan.share`."""
        return part_of(self[index], part, of, multiple=multiple)

    @property
    def blanks(self) -> tuple[Rows, ...]:
        """A batch of zeros, of the one shape that there is."""
        first = self[0]
        return (type(first)(*map(np.zeros_like, first)),)


class RowsPlan(_Numbered[Rows]):
    """Epochs over the same rows, shuffled anew each time.

    The last rows of an epoch, which fill no batch, are left out: others in each epoch.

    Args:
      rows: all of them.
      size: rows of a batch.
      seed: decides every order and draw.
      change: from a batch and a generator, which depends on (seed, number) alone, to the batch as
        it is trained on.

    Raises:
      ValueError: there are fewer rows than a batch has, or arrays of different lengths.
    """

    def __init__(
        self,
        rows: Rows,
        *,
        size: int,
        seed: int = 0,
        change: Callable[[Rows, np.random.Generator], Any] | None = None,
    ):
        count = _count(rows)
        if not 1 <= size <= count:
            raise ValueError(f"size is {size}; from 1 to {count:,}, all rows, would fit")
        self._rows, self._size, self._seed, self._change = rows, size, seed, change
        self._count, self._epochs = count, {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Batches an epoch."""
        return self._count // self._size

    def __getitem__(self, index: int) -> Rows:
        epoch, place = divmod(int(index), len(self))
        chosen = self._order(epoch)[place * self._size : (place + 1) * self._size]
        batch = type(self._rows)(*(array[chosen] for array in self._rows))
        if self._change is None:
            return batch
        return self._change(batch, generator(self._seed, index))

    def __repr__(self) -> str:
        return f"{self._count:,} rows, {len(self):,} batches of {self._size} an epoch"

    def _order(self, epoch: int) -> np.ndarray:
        with self._lock:
            if epoch not in self._epochs:
                bits = np.random.PCG64(np.random.SeedSequence([self._seed, epoch]))
                # Raw bits keep their meaning between NumPy versions, `permutation` need not.
                order = np.argsort(bits.random_raw(self._count), kind="stable")
                # Two, because readers ahead may be in the next epoch already.
                self._epochs = {n: kept for n, kept in self._epochs.items() if abs(n - epoch) == 1}
                self._epochs[epoch] = order
            return self._epochs[epoch]


class DrawnPlan(_Numbered[Rows]):
    """Batches made one by one by a function of a generator, which depends on (seed, number) alone.

    Args:
      make: from a generator to a batch; all have one shape.
      seed: decides every draw.
      length: batches that count as an epoch.
    """

    def __init__(
        self, make: Callable[[np.random.Generator], Rows], *, seed: int = 0, length: int = 1_000
    ):
        self._make, self._seed, self._length = make, seed, length

    def __len__(self) -> int:
        """Batches that count as an epoch."""
        return self._length

    def __getitem__(self, index: int) -> Rows:
        return self._make(generator(self._seed, index))

    def __repr__(self) -> str:
        return f"batches of {len(self[0][0])} drawn rows"


def in_order(rows: Rows, size: int) -> list[Rows]:
    """All rows in batches of one size, the last one filled up with rows of zeros.

    Raises:
      ValueError: there are none, or the arrays are of different lengths, or size is below 1.
    """
    count = _count(rows)
    if size < 1 or not count:
        raise ValueError(f"size is {size}, of {count} rows; at least 1 of each would fit")
    cut = (type(rows)(*(array[at : at + size] for array in rows)) for at in range(0, count, size))
    return [part_of(batch, 0, 1, multiple=size) for batch in cut]


def generator(seed: int, index: int) -> np.random.Generator:
    """The generator of one batch."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, 1 << 32, index])))


def _count(rows: Sequence[np.ndarray]) -> int:
    counts = {len(array) for array in rows}
    if len(counts) != 1:
        found = ", ".join(str(len(array)) for array in rows)
        raise ValueError(f"the arrays have {found} rows; as many each would fit")
    return counts.pop()
