"""Token numbers to batches of a few fixed shapes, in an order that only the seed decides.

Every shape is one compiled program, so there are few. Which batch stands at position i is a pure
function of (seed, i): to resume a run exactly, its position is all that must be kept.
"""

import sys
import threading
from typing import Any, NamedTuple, TypeVar

import numpy as np

from attention_jax.data.buckets import choose, rounded, rows_within
from attention_jax.data.examples import Examples, encode_pairs
from attention_jax.data.flat import Flat
from attention_jax.data.plan import Plan
from attention_jax.data.tokens import PAD, START

__all__ = [
    "Batch",
    "BatchPlan",
    "Examples",
    "blank",
    "encode_pairs",
    "eval_batches",
    "part_of",
    "rows_of",
    "train_iterator",
]


Rows = TypeVar("Rows", bound=tuple)
"""a named tuple of arrays that lead with the rows of a batch"""


class Batch(NamedTuple):
    """One step's data; every row is one pair, and rows of padding only fill up the shape.

    Arrays of NumPy on the host, of jax inside a compiled step.

    Attributes:
      source: [B, S] int32: tokens, then END, then PAD.
      target_in: [B, T] int32: START, then tokens, then PAD: what the decoder has seen.
      target_out: [B, T] int32: tokens, then END, then PAD: what it should say next.
      weights: [B, T] float32: 1 where target_out is real, 0 where it is padding.
    """

    source: Any
    target_in: Any
    target_out: Any
    weights: Any


class BatchPlan:
    """All batches of all epochs: `plan[i]` is batch `i % len(plan)` of epoch `i // len(plan)`.

    An epoch shuffles the pairs, sorts them into length buckets, cuts every bucket into batches of
    its one shape (the last filled up with empty rows) and shuffles the batches. So every pair comes
    exactly once an epoch. The bucket lengths are those that need the fewest positions, padding and
    empty rows included, for the lengths that the data has. Reading is safe from many threads.

    Args:
      examples: the encoded pairs.
      tokens: the most positions a side of a batch has, padding included. A pair longer than that
        still gets a batch of one row.
      shapes: the most shapes, so the most programs that a step compiles to.
      seed: decides every order.
      vocabulary: tokens that the model knows; None checks only that none is negative.

    Raises:
      ValueError: a number is out of range, there are no examples, or a token of theirs is none of
        the vocabulary's.
    """

    def __init__(
        self,
        examples: Examples,
        *,
        tokens: int,
        shapes: int = 3,
        seed: int = 0,
        vocabulary: int | None = None,
    ):
        for name, value, least in (("tokens", tokens, 1), ("shapes", shapes, 1), ("seed", seed, 0)):
            if value < least:
                raise ValueError(f"{name} must be at least {least}, not {value}.")
        self._source, self._target = _flat(examples, vocabulary)
        self._seed = seed
        self._max_target = examples.max_target
        longest = np.maximum(self._source.sizes, self._target.sizes)
        lengths, counts = choose(longest, tokens, shapes, examples.max_length)
        self.shapes = tuple((rows_within(int(n), tokens), int(n)) for n in lengths)
        """(rows, length) of every shape, shortest first."""
        self._bucket = np.searchsorted(lengths, longest).astype(np.int32)
        # Of each batch of the unshuffled epoch: its length, and its part of the pairs by bucket.
        self._cuts: list[tuple[int, int, int]] = []
        end = 0
        for (rows, length), count in zip(self.shapes, counts, strict=True):
            start, end = end, end + count
            self._cuts += [(length, at, min(at + rows, end)) for at in range(start, end, rows)]
        self._rows = dict((length, rows) for rows, length in self.shapes)
        self._epochs: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Batches an epoch, the same in every epoch."""
        return len(self._cuts)

    def __getitem__(self, index: int) -> Batch:
        return self.share(index, 0, 1)

    def share(self, index: int, part: int, of: int, *, multiple: int = 1) -> Batch:
        """One of the equal parts of batch `index`, row after row; no other row is gathered.

        Args:
          index: of the batch, from 0.
          part: which part, from 0.
          of: how many parts there are.
          multiple: of it the whole batch has rows, filled up with empty ones; of divides it.

        Raises:
          IndexError: there is no such batch.
          ValueError: there is no such part, or of does not divide the rows.
        """
        if index < 0:
            raise IndexError(f"batches are numbered from 0; {index} is none.")
        epoch, place = divmod(int(index), len(self))
        order, batches = self._order(epoch)
        length, start, end = self._cuts[batches[place]]
        here = rows_of(self._rows[length], part, of, multiple)
        places = order[start:end][here]
        shape = here.stop - here.start, length, self._max_target
        return _batch(self._source, self._target, places, *shape)

    def __iter__(self):
        """The batches of the first epoch."""
        return (self[i] for i in range(len(self)))

    @property
    def blanks(self) -> tuple[Batch, ...]:
        """A batch of zeros for each of the shapes."""
        return tuple(blank(*shape, self._max_target) for shape in self.shapes)

    @property
    def padding(self) -> float:
        """The share of all positions of an epoch, on both sides, that hold no token."""
        used = len(self._source.tokens) + len(self._target.tokens)
        room = (
            (length + _target(length, self._max_target)) * self._rows[length]
            for length, _, _ in self._cuts
        )
        return 1 - used / sum(room)

    def __repr__(self) -> str:
        shapes = ", ".join(f"{rows} x {length}" for rows, length in self.shapes)
        return (
            f"BatchPlan({len(self._bucket):,} pairs, {len(self):,} batches an epoch, "
            f"rows x length {shapes}, padding {self.padding:.1%})"
        )

    def _order(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Pairs sorted by bucket, and batches, in the order of an epoch."""
        with self._lock:
            if epoch not in self._epochs:
                bits = np.random.PCG64(np.random.SeedSequence([self._seed, epoch]))
                # Raw bits keep their meaning between NumPy versions, `permutation` need not.
                pairs = np.argsort(bits.random_raw(len(self._bucket)), kind="stable")
                pairs = pairs[np.argsort(self._bucket[pairs], kind="stable")].astype(np.int32)
                batches = np.argsort(bits.random_raw(len(self)), kind="stable")
                # Two, because readers ahead may be in the next epoch already.
                self._epochs = {n: kept for n, kept in self._epochs.items() if abs(n - epoch) == 1}
                self._epochs[epoch] = pairs, batches
            return self._epochs[epoch]


def blank(rows: int, length: int, max_target: int | None = None) -> Batch:
    """A batch of zeros, [rows, length], that takes no memory; targets are cut at `max_target`."""
    ids, weights, target = np.int32(0), np.float32(0), (rows, _target(length, max_target))
    source = np.broadcast_to(ids, (rows, length))
    return Batch(source, *(np.broadcast_to(zero, target) for zero in (ids, ids, weights)))


def part_of(batch: Rows, part: int, of: int, *, multiple: int = 1) -> Rows:
    """One of the equal parts of a batch on the host; see `BatchPlan.share`."""
    here = rows_of(len(batch[0]), part, of, multiple)

    def cut(x: np.ndarray) -> np.ndarray:
        found = x[here]
        return np.pad(found, [(0, here.stop - here.start - len(found)), *[(0, 0)] * (x.ndim - 1)])

    return type(batch)(*map(cut, batch))


def train_iterator(
    plan: Plan,
    *,
    share: tuple[int, int] = (0, 1),
    multiple: int = 1,
    threads: int = 2,
    ahead: int = 16,
) -> Any:
    """An endless iterator over the plan, read ahead by threads.

    Args:
      plan: what to read.
      share: which part of every batch, of how many; see `BatchPlan.share`.
      multiple: of it every whole batch has rows.
      threads: how many read at once.
      ahead: how many batches wait ready.

    Returns:
      A Grain iterator; `get_state()` is its position only, and after `set_state(state)` comes
      exactly the batch that would have come.
    """
    import grain

    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=ahead)
    source = _Endless(plan, share, multiple)
    return iter(grain.MapDataset.source(source).to_iter_dataset(options))


def eval_batches(
    examples: Examples, *, tokens: int, length: int | None = None, vocabulary: int | None = None
) -> list[Batch]:
    """The examples in order, in batches of one shape; the last is filled up with empty rows.

    Args:
      examples: the encoded pairs.
      tokens: the most positions a side of a batch has, padding included.
      length: the padded length; None takes the longest pair, rounded up.
      vocabulary: tokens that the model knows; None checks only that none is negative.

    Raises:
      ValueError: a pair is longer than `length`, or a token is none of the vocabulary's.
    """
    source, target = _flat(examples, vocabulary)
    longest = int(max(source.sizes.max(), target.sizes.max()))
    if length is None:
        length = int(rounded(np.array([longest]), examples.max_length)[0])
    if longest > length:
        raise ValueError(f"the longest pair has {longest} tokens a side; length {length} is short.")
    rows = rows_within(length, tokens)
    places = np.arange(len(examples))
    cuts = range(0, len(examples), rows)
    shape = rows, length, examples.max_target
    return [_batch(source, target, places[at : at + rows], *shape) for at in cuts]


class _Endless:
    """The plan as a source without end; Grain wraps positions around at a source's own length."""

    def __init__(self, plan: Plan, share: tuple[int, int], multiple: int):
        self._plan, self._share, self._multiple = plan, share, multiple

    def __len__(self) -> int:
        return sys.maxsize

    def __getitem__(self, index: int) -> Any:
        if self._share == (0, 1) and self._multiple == 1:
            return self._plan[index]
        return self._plan.share(index, *self._share, multiple=self._multiple)


def rows_of(rows: int, part: int, of: int, multiple: int) -> slice:
    """The rows of one part, of a batch filled up to a multiple."""
    rows += -rows % multiple
    if not 0 <= part < of or rows % of:
        raise ValueError(
            f"part {part} of {of} of {rows} rows; a part from 0 to {max(of, 1) - 1}, and as many "
            "parts as divide the rows, would fit"
        )
    size = rows // of
    return slice(part * size, (part + 1) * size)


def _flat(examples: Examples, vocabulary: int | None) -> tuple[Flat, Flat]:
    """Sources and targets, all tokens checked."""
    return (
        Flat(examples.sources, "source", examples.kept, vocabulary),
        Flat(examples.targets, "target", examples.kept, vocabulary),
    )


def _target(length: int, max_target: int | None) -> int:
    """The padded length of targets beside sources of this length."""
    return length if max_target is None else min(length, max_target)


def _batch(
    source: Flat,
    target: Flat,
    places: np.ndarray,
    rows: int,
    length: int,
    max_target: int | None,
) -> Batch:
    source_ids, _ = source.gather(places, rows, length)
    target_out, real = target.gather(places, rows, _target(length, max_target))
    target_in = np.full_like(target_out, PAD)
    np.copyto(target_in[:, 1:], target_out[:, :-1], where=real[:, 1:])
    target_in[: len(places), 0] = START
    return Batch(source_ids, target_in, target_out, real.astype(np.float32))
