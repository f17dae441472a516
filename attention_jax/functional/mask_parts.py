"""What a kernel can be told about a mask without a T×S array: a band, lengths, segments, the rest.

`Causal() & Lengths(n)` is a band (j - i ≤ 0) and a count for each row of the batch. What is none of
these (`|`, `~`, a dense array, an offset that is traced or differs along the batch) is the rest.
"""

import dataclasses
import functools
import operator

import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from attention_jax.functional.mask_algebra import Both, Mask, as_mask
from attention_jax.functional.masks import Causal, Lengths, Segments, Window, visible


@dataclasses.dataclass(frozen=True)
class Parts:
    """A mask cut where it is joined by `&`; query i sees source j where all the parts agree."""

    low: int | None = None  # low ≤ j - i; None where there is no such end
    high: int | None = None  # j - i ≤ high
    lengths: tuple[Lengths, ...] = ()
    segments: tuple[Segments, ...] = ()
    rest: Mask | None = None

    def rows(self, queries: int, sources: int) -> range:
        """The queries that see a source by the band alone: neighbours, so a range tells."""
        if self.low is not None and self.high is not None and self.low > self.high:
            return range(0)
        first = 0 if self.high is None else max(0, -self.high)
        stop = queries if self.low is None else min(queries, sources - self.low)
        return range(first, stop) if sources else range(0)

    def sees_itself(self) -> bool:
        """Whether surely every query sees the source at its own place: packed texts, say."""
        own = all(part.keys is None for part in self.segments)
        band = (self.low is None or self.low <= 0) and (self.high is None or self.high >= 0)
        return bool(self.segments) and own and band and not self.lengths and self.rest is None


def parts(mask: Mask | Array | None) -> Parts:
    """What the mask is made of."""
    low, high, lengths, segments, rest = [], [], [], [], []
    for part in _joined(mask):
        match part:
            case Causal(offset=int(offset)):
                high.append(offset)
            case Window(offset=int(offset)):
                low.append(offset - part.before)
                high.append(offset + part.after)
            case Lengths():
                lengths.append(part)
            case Segments():
                segments.append(part)
            case _:
                rest.append(part)
    return Parts(
        low=max(low, default=None),
        high=min(high, default=None),
        lengths=tuple(lengths),
        segments=tuple(segments),
        rest=functools.reduce(operator.and_, rest) if rest else None,
    )


def counts(
    lengths: list[int | Array | None], size: int, batch: tuple[int, ...]
) -> Int[Array, "*B"] | None:
    """The least of these lengths for each row of the batch, within 0 and size; None without any.

    Args:
      lengths: each one for all rows, or `[*B]`.
      size: T or S.
      batch: *B.
    """
    given = [jnp.asarray(length, jnp.int32) for length in lengths if length is not None]
    if not given:
        return None
    least = functools.reduce(jnp.minimum, [jnp.broadcast_to(length, batch) for length in given])
    return jnp.clip(least, 0, size)


def seeing(mask: Mask | Array | None, shape: tuple[int, ...]) -> Bool[Array, "..."] | None:
    """The queries that see anything, broadcastable to `[*B, T, H]`; None where surely all do.

    For bands and lengths this takes O(T), for packed texts that see themselves nothing. Other masks
    are looked through row by row, which XLA may do without keeping the array.

    Args:
      mask: True = may attend; an array that broadcasts to the shape, or a mask object.
      shape: the logits' `[*B, H, T, S]`.
    """
    *batch, _, queries, sources = shape
    found = parts(mask)
    if queries == sources and found.sees_itself():
        return None
    if mask is not None and (found.segments or found.rest is not None):
        return jnp.swapaxes(jnp.any(visible(mask, shape), axis=-1), -1, -2)
    rows = found.rows(queries, sources)
    if not found.lengths and len(rows) == queries:
        return None
    place = jnp.arange(queries).reshape((1,) * len(batch) + (queries, 1))
    sees = (place >= rows.start) & (place < rows.stop)
    real = counts([part.sources for part in found.lengths], sources, tuple(batch))
    if real is not None:
        nearest = jnp.maximum(0, place + (-queries if found.low is None else found.low))
        sees &= nearest < real.reshape(*batch, 1, 1)
    asked = counts([part.queries for part in found.lengths], queries, tuple(batch))
    return sees if asked is None else sees & (place < asked.reshape(*batch, 1, 1))


def _joined(mask: Mask | Array | None) -> list[Mask]:
    if mask is None:
        return []
    if isinstance(mask, Both):
        return _joined(mask.left) + _joined(mask.right)
    return [as_mask(mask)]
