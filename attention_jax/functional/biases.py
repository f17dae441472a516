"""Biases: what is added to the logits for where a query and a source stand.

A bias object says what it is (`ALiBi(alibi_slopes(8))`), so that a tile of it can be had where the
whole is too large; `bias.array(T, S)` gives the whole. Objects add up with `+`, arrays too. They
are pytrees: slopes, tables and offsets are leaves, may be traced, and have gradients.

Query i and source j are counted from zero. An offset says that query 0 stands at source `offset`,
as in decoding with a cache; it may be traced, and may differ along the batch (`[*B]`).
"""

import dataclasses

import jax.numpy as jnp
from jax.tree_util import register_dataclass
from jaxtyping import Array, Float, Int

from attention_jax.axes import fit
from attention_jax.functional.mask_algebra import expand
from attention_jax.functional.masks import Count, distance
from attention_jax.functional.products import wide
from attention_jax.functional.tiled import Tiled


class Bias(Tiled):
    """What is added to the logit of each query and source.

    A new bias is a frozen dataclass with `tile`, registered as a pytree; the rest is given.
    """

    def __add__(self, other: "Bias | Array") -> "Bias":
        return Sum(self, as_bias(other))

    def __radd__(self, other: Array) -> "Bias":
        return Sum(as_bias(other), self)


def as_bias(bias: Bias | Array) -> Bias:
    """A bias object as it is, an array as `DenseBias`."""
    return bias if isinstance(bias, Bias) else DenseBias(bias)


@register_dataclass
@dataclasses.dataclass(frozen=True, repr=False)
class DenseBias(Bias):
    """The bias as it is written: an array that broadcasts to `[*B, H, T, S]`."""

    values: Float[Array, "..."]

    def __post_init__(self):
        _floats(self, "values")

    def tile(self, queries, sources):
        """See `Bias.tile`."""
        values = expand(jnp.asarray(self.values), max(2, jnp.ndim(self.values)))
        if values.shape[-2] > 1:
            values = jnp.take(values, queries, axis=-2, mode="clip")
        return jnp.take(values, sources, axis=-1, mode="clip") if values.shape[-1] > 1 else values

    def array(self, queries, sources):
        """See `Bias.array`."""
        values = expand(jnp.asarray(self.values), max(2, jnp.ndim(self.values)))
        for letter, size, wanted in zip("TS", values.shape[-2:], (queries, sources), strict=True):
            if size not in (1, wanted):
                raise ValueError(
                    f"bias has shape {list(jnp.shape(self.values))}, wanted one that broadcasts "
                    f"to [*B, H, T, S] with {letter}={wanted}"
                )
        return values


@register_dataclass
@dataclasses.dataclass(frozen=True, repr=False)
class Sum(Bias):
    """Two biases added up: `left + right`."""

    left: Bias
    right: Bias

    def tile(self, queries, sources):
        """See `Bias.tile`."""
        return self._added(self.left.tile(queries, sources), self.right.tile(queries, sources))

    def array(self, queries, sources):
        """See `Bias.array`."""
        return self._added(self.left.array(queries, sources), self.right.array(queries, sources))

    def _added(self, left: Array, right: Array) -> Array:
        try:
            jnp.broadcast_shapes(left.shape, right.shape)
        except ValueError:
            raise ValueError(
                f"bias {self!r} adds shapes {list(left.shape)} and {list(right.shape)}, "
                "wanted two that broadcast to one [*B, H, T, S]"
            ) from None
        rank = max(left.ndim, right.ndim)
        return expand(left, rank) + expand(right, rank)

    def __repr__(self) -> str:
        return f"{self.left!r} + {self.right!r}"


@register_dataclass
@dataclasses.dataclass(frozen=True, repr=False)
class ALiBi(Bias):
    """The farther a source stands from the query, the less: -slope · |i + offset - j|.

    Nothing is learned and no position is too far, so that a model reads texts longer than those it
    was trained on. The paper has it with a causal mask; without one both directions are alike.

    Args:
      slopes: one for each head, as from `alibi_slopes(heads)`; learned ones have gradients.
      offset: query 0 stands at this source.

    Source: Press et al. 2022, "Train Short, Test Long", section 3.
    """

    slopes: Float[Array, "H"]
    offset: Count = 0

    def __post_init__(self):
        _floats(self, "slopes")

    def tile(self, queries, sources):
        """See `Bias.tile`."""
        slopes = jnp.asarray(self.slopes)
        fit(slopes=(slopes.shape, "H"))
        apart = jnp.abs(distance(queries, sources, self.offset))  # [T, S] or [*B, 1, T, S]
        apart = expand(apart, max(3, apart.ndim))
        slopes = expand(slopes.astype(wide(slopes))[:, None, None], apart.ndim)
        return -slopes * apart.astype(slopes.dtype)


@register_dataclass
@dataclasses.dataclass(frozen=True, repr=False)
class T5Buckets(Bias):
    """A learned number for each head and bucket of distances.

    Near distances have a bucket each, far ones share, and all from `max_distance` on are one.

    Args:
      table: a row for each bucket, a column for each head.
      bidirectional: whether sources ahead have half of the buckets (encoders), or share the one
        of distance zero (decoders, where a causal mask hides them).
      max_distance: from here on everything is in the last bucket.
      offset: query 0 stands at this source.

    Source: Raffel et al. 2020 (T5), section 2.1.
    """

    table: Float[Array, "buckets H"]
    bidirectional: bool = dataclasses.field(default=True, metadata={"static": True})
    max_distance: int = dataclasses.field(default=128, metadata={"static": True})
    offset: Count = 0

    def __post_init__(self):
        _floats(self, "table")

    def tile(self, queries, sources):
        """See `Bias.tile`."""
        table = jnp.asarray(self.table)
        if table.ndim != 2:
            raise ValueError(f"T5Buckets: table has shape {list(table.shape)}, wanted [buckets, H]")
        bucket = relative_buckets(
            distance(queries, sources, self.offset),
            buckets=table.shape[0],
            bidirectional=self.bidirectional,
            max_distance=self.max_distance,
        )
        if bucket.ndim > 2:
            bucket = jnp.squeeze(bucket, -3)  # the heads come from the table
        # Widened before it is read, so that its gradient is summed in float32 at least.
        return jnp.moveaxis(jnp.take(table.astype(wide(table)), bucket, axis=0), -1, -3)


def alibi_slopes(heads: int) -> Float[Array, "H"]:
    """ALiBi's slope of each head: 2^(-8/H), 2^(-16/H), ... down to 2^-8.

    Where H is no power of two: the slopes of the power of two below it, then every other slope of
    the power above, so that the added heads lie between the others.

    Args:
      heads: H.

    Returns:
      One slope for each head, in float32.

    Raises:
      ValueError: heads is below one.

    Source: Press et al. 2022, section 3 and its footnote on other numbers of heads.
    """
    if heads < 1:
        raise ValueError(f"heads={heads}; wanted one or more")
    below = 2 ** (heads.bit_length() - 1)
    steps = [8 * (h + 1) / below for h in range(below)]
    steps += [8 * (h + 0.5) / below for h in range(heads - below)]
    return jnp.asarray([2.0**-step for step in steps], jnp.float32)


def relative_buckets(
    distance: Int[Array, "..."], *, buckets: int, bidirectional: bool = True, max_distance: int
) -> Int[Array, "..."]:
    """The bucket of each distance: exact while it is near, logarithmic up to `max_distance`.

    Of n buckets, distance d < n/2 has its own; from there on it is in
    n/2 + ⌊n/2 · log(d / (n/2)) / log(max_distance / (n/2))⌋, and in the last one at most.

    Args:
      distance: j - i, how far source j stands ahead of query i; below zero behind it.
      buckets: how many there are. With `bidirectional` half of them, the upper, are for sources
        ahead of the query, and n above is half of them.
      bidirectional: where false, all sources ahead are in bucket 0.
      max_distance: where the last bucket begins to hold everything.

    Returns:
      Whole numbers from 0 to buckets - 1, in the shape of distance.

    Raises:
      ValueError: the buckets do not halve as said, or max_distance is not beyond the exact ones.

    Source: Raffel et al. 2020 (T5), section 2.1.
    """
    least = 4 if bidirectional else 2
    if buckets < least or bidirectional and buckets % 2:
        kind = f"an even number, {least} or more" if bidirectional else f"{least} or more"
        raise ValueError(f"buckets={buckets} with bidirectional={bidirectional}; wanted {kind}")
    many = buckets // 2 if bidirectional else buckets
    exact = many // 2
    if max_distance <= exact:
        raise ValueError(
            f"max_distance={max_distance}; wanted more than {exact}, since of buckets={buckets} "
            f"those of 0 to {exact - 1} hold one distance each"
        )
    far = jnp.abs(distance) if bidirectional else jnp.maximum(-distance, 0)
    edges = jnp.asarray(_edges(exact, many - exact, max_distance), far.dtype)
    beyond = jnp.searchsorted(edges, far, side="right", method="compare_all").astype(far.dtype)
    bucket = jnp.where(far < exact, far, exact + beyond)
    return jnp.where(distance > 0, bucket + many, bucket) if bidirectional else bucket


def _edges(exact: int, shared: int, max_distance: int) -> list[int]:
    """The distances at which the shared buckets after the first begin.

    Bucket k begins at the first whole number d ≥ exact · (max_distance / exact)^(k / shared). Whole
    numbers tell it exactly; logarithms in float32 differ from device to device at the edges.
    """
    edges = []
    for k in range(1, shared):
        power = exact ** (shared - k) * max_distance**k
        edge = max(exact, int(exact * (max_distance / exact) ** (k / shared)) - 1)
        while edge**shared < power:
            edge += 1
        edges.append(edge)
    return edges


def _floats(bias: Bias, name: str) -> None:
    """Takes lists as arrays, and refuses what is not floating point."""
    found = getattr(bias, name)
    if isinstance(found, list | tuple | float):
        found = jnp.asarray(found)
        object.__setattr__(bias, name, found)
    dtype = getattr(found, "dtype", None)
    # JAX rebuilds pytrees with other leaves (None, float0 tangents): those pass.
    if dtype is not None and (dtype == jnp.bool_ or jnp.issubdtype(dtype, jnp.integer)):
        hint = "; truth values are a mask" if dtype == jnp.bool_ else ""
        label = "bias" if isinstance(bias, DenseBias) else f"{type(bias).__name__}: {name}"
        raise ValueError(f"{label} has dtype {dtype}, wanted floating point{hint}")
