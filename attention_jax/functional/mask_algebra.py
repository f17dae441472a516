"""What all masks share: becoming an array, combining by `&`, `|` and `~`, drawing themselves."""

import dataclasses

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jax.tree_util import register_dataclass
from jaxtyping import Array, Bool

from attention_jax.functional.tiled import PICTURE, Tiled


class Mask(Tiled):
    """Which sources each query may see; see `attention_jax.functional.masks`.

    A new mask is a frozen dataclass with `tile`, registered as a pytree; the rest is given.
    """

    def extent(self) -> tuple[int | None, int | None]:
        """T and S where the mask itself holds them, for its picture."""
        return None, None

    def __and__(self, other: "Mask | Array") -> "Mask":
        return Both(self, as_mask(other))

    def __rand__(self, other: Array) -> "Mask":
        return Both(as_mask(other), self)

    def __or__(self, other: "Mask | Array") -> "Mask":
        return Either(self, as_mask(other))

    def __ror__(self, other: Array) -> "Mask":
        return Either(as_mask(other), self)

    def __invert__(self) -> "Mask":
        return Not(self)

    def __bool__(self) -> bool:
        raise ValueError(f"{self!r} is neither true nor false; join masks with &, | and ~")

    def __str__(self) -> str:
        return f"{self!r}\n{_picture(self)}"

    def _repr_pretty_(self, printer, cycle: bool) -> None:
        printer.text(repr(self) if cycle else str(self))


def as_mask(mask: Mask | Array) -> Mask:
    """A mask object as it is, a boolean array as `Dense`."""
    return mask if isinstance(mask, Mask) else Dense(mask)


@register_dataclass
@dataclasses.dataclass(frozen=True, repr=False)
class Dense(Mask):
    """The mask as it is written: a boolean array that broadcasts to `[*B, H, T, S]`.

    `[T, S]` serves all heads and the whole batch; with one mask for each row of the batch write
    `[B, 1, T, S]`.
    """

    values: Bool[Array, "..."]

    def __post_init__(self):
        if isinstance(self.values, bool | list | tuple):
            object.__setattr__(self, "values", jnp.asarray(self.values))
        found = getattr(self.values, "dtype", None)
        # JAX rebuilds pytrees with other leaves; only numbers are surely a mistake.
        if found is not None and jnp.issubdtype(found, jnp.number):
            raise ValueError(
                f"mask has dtype {found}; wanted bool, True = may attend "
                "(numbers to add to the logits are a bias)"
            )

    def tile(self, queries, sources):
        """See `Mask.tile`."""
        values = self._matrix()
        if values.shape[-2] > 1:
            values = jnp.take(values, queries, axis=-2, mode="clip")
        return jnp.take(values, sources, axis=-1, mode="clip") if values.shape[-1] > 1 else values

    def array(self, queries, sources):
        """See `Mask.array`."""
        values = self._matrix()
        for letter, size, wanted in zip("TS", values.shape[-2:], (queries, sources), strict=True):
            if size not in (1, wanted):
                raise ValueError(
                    f"mask has shape {list(jnp.shape(self.values))}, wanted one that broadcasts "
                    f"to [*B, H, T, S] with {letter}={wanted}"
                )
        return values

    def extent(self):
        """See `Mask.extent`."""
        rows, columns = self._matrix().shape[-2:]
        return (rows if rows > 1 else None), (columns if columns > 1 else None)

    def _matrix(self) -> Array:
        values = jnp.asarray(self.values)
        return values.reshape((1,) * (2 - values.ndim) + values.shape)


class _Pair(Mask):
    """Two masks joined cell by cell."""

    left: Mask
    right: Mask

    def _join(self, left: Array, right: Array) -> Array:
        raise NotImplementedError

    def _joined(self, left: Array, right: Array) -> Array:
        try:
            jnp.broadcast_shapes(left.shape, right.shape)
        except ValueError:
            raise ValueError(
                f"mask {self!r} joins shapes {list(left.shape)} and {list(right.shape)}, "
                "wanted two that broadcast to one [*B, H, T, S]"
            ) from None
        rank = max(left.ndim, right.ndim)
        return self._join(expand(left, rank), expand(right, rank))

    def tile(self, queries, sources):
        """See `Mask.tile`."""
        return self._joined(self.left.tile(queries, sources), self.right.tile(queries, sources))

    def array(self, queries, sources):
        """See `Mask.array`."""
        return self._joined(self.left.array(queries, sources), self.right.array(queries, sources))

    def extent(self):
        """See `Mask.extent`."""
        both = zip(self.left.extent(), self.right.extent(), strict=True)
        rows, columns = (min((size for size in sizes if size), default=None) for sizes in both)
        return rows, columns


@register_dataclass
@dataclasses.dataclass(frozen=True, repr=False)
class Both(_Pair):
    """What both masks let see: `left & right`."""

    left: Mask
    right: Mask

    def _join(self, left, right):
        return left & right

    def __repr__(self) -> str:
        return " & ".join(
            f"({part!r})" if isinstance(part, Either) else repr(part)
            for part in (self.left, self.right)
        )


@register_dataclass
@dataclasses.dataclass(frozen=True, repr=False)
class Either(_Pair):
    """What at least one of two masks lets see: `left | right`."""

    left: Mask
    right: Mask

    def _join(self, left, right):
        return left | right

    def __repr__(self) -> str:
        return f"{self.left!r} | {self.right!r}"


@register_dataclass
@dataclasses.dataclass(frozen=True, repr=False)
class Not(Mask):
    """What a mask hides: `~mask`."""

    mask: Mask

    def tile(self, queries, sources):
        """See `Mask.tile`."""
        return ~self.mask.tile(queries, sources)

    def array(self, queries, sources):
        """See `Mask.array`."""
        return ~self.mask.array(queries, sources)

    def extent(self):
        """See `Mask.extent`."""
        return self.mask.extent()

    def __repr__(self) -> str:
        return f"~({self.mask!r})" if isinstance(self.mask, _Pair) else f"~{self.mask!r}"


def expand(x: Array, rank: int) -> Array:
    """The array with axes of size one in front, until it has `rank` axes."""
    return x.reshape((1,) * (rank - x.ndim) + x.shape)


def _picture(mask: Mask) -> str:
    """A row of squares for each query, for the first of the batch and the first head."""
    if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(mask)):
        return "(no picture while it is traced)"
    rows, columns = (min(size or PICTURE, 2 * PICTURE) for size in mask.extent())
    seen = mask.tile(jnp.arange(rows), jnp.arange(columns))
    *leading, _, _ = seen.shape
    first = jnp.broadcast_to(seen[(0,) * len(leading)], (rows, columns))
    lines = [" ".join("■" if cell else "·" for cell in row) for row in first.tolist()]
    if any(size > 1 for size in leading):
        lines.append(f"(the first of {leading}, which are [*B, H])")
    return "\n".join(lines)
