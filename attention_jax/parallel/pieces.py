"""Arguments of attention in pieces, one for each device: rows of the batch, or heads.

How an array is cut stands in its type: `centers: Float[Array, "*B T H"]` has rows in front and
heads at its end, `Int[Array, "*B"]` has rows alone. That holds for query, key and value, for the
fields of masks and biases, and for what a score or a normalizer was joined to by `partial`.
"""

import dataclasses
import functools
import inspect
import typing
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import jax
import numpy as np
from jax.tree_util import Partial

from attention_jax.functional.tiled import Tiled

Over = Literal["batch", "heads"]
"""What is cut: the first axis of the batch, or the heads, keys' and values' with them."""

ARRAYS = jax.Array, np.ndarray
"""What may be traced; all else, numbers of Python and NumPy too, is part of the program."""


class Cut(NamedTuple):
    """What is cut."""

    over: Over
    sizes: dict[str, int]
    """the whole size of each axis that is cut, by its letter; "*B" is the first of the batch"""
    batch: int
    """how many axes *B has"""

    def axis(self, letters: list[str], shape: tuple[int, ...]) -> int | None:
        """Which axis of an array with these letters is cut; None where all devices need it whole.

        Raises:
          ValueError: it joins heads to heads.
        """
        names = letters
        if letters[:1] == ["*B"]:
            leading = [""] * (len(shape) - len(letters) + 1)
            if leading and len(leading) == self.batch:
                leading[0] = "*B"
            names = [*leading, *letters[1:]]
        found = [axis for axis, name in enumerate(names) if name in self.sizes]
        if len(found) > 1:
            raise ValueError(
                f"over={self.over!r} cannot cut an array [{', '.join(letters)}], which mixes "
                "heads; over='batch' would fit"
            )
        # One of size one serves all; what does not fit at all is for the function to refuse.
        return next((axis for axis in found if shape[axis] == self.sizes[names[axis]]), None)


def plan(over: Over, pieces: int, shapes: dict[str, tuple[tuple[int, ...], str]]) -> Cut:
    """How arguments are cut.

    Args:
      over: what is cut.
      pieces: how many devices there are.
      shapes: the shape and the letters of each array, as `axes.fit` takes and has checked them.

    Raises:
      ValueError: there is nothing to cut, or it is not so many pieces of one size.
    """
    name, (shape, letters) = next(iter(shapes.items()))
    batch = len(shape) - len(letters.split()) + 1
    if over == "batch":
        if not batch:
            raise ValueError(
                f"over='batch', but {name} has shape {list(shape)}, without a batch; "
                "over='heads' would fit"
            )
        sizes = {"*B": shape[0]}
    elif over == "heads":
        known = {
            letter: size
            for shape, letters in shapes.values()
            for letter, size in zip(reversed(letters.split()), reversed(shape), strict=False)
        }
        sizes = {letter: known[letter] for letter in "HG" if letter in known}
    else:
        raise ValueError(f"over is {over!r}; 'batch' or 'heads' would fit")
    words = {"*B": "rows", "H": "heads", "G": "key/value heads"}
    for letter, size in sizes.items():
        if size % pieces:
            # G divides H, so that what divides all of them is what divides the least.
            fits = max(n for n in range(1, pieces + 1) if min(sizes.values()) % n == 0)
            raise ValueError(
                f"{size} {words[letter]} over {pieces} devices: {fits} "
                f"{'device' if fits == 1 else 'devices'} or a multiple of {pieces} "
                f"{words[letter]} would fit"
            )
    return Cut(over, sizes, batch)


def opened(x: Any) -> Any:
    """The same as a pytree: what a `partial` was joined to are its leaves."""
    if not isinstance(x, functools.partial):
        return x
    named = {name: opened(value) for name, value in x.keywords.items()}
    return Partial(x.func, *map(opened, x.args), **named)


def arrays_of(x: Any, letters: list[str] | None = None) -> Iterator[tuple[Any, list[str] | None]]:
    """The leaves of what was opened in the order of `jax.tree.leaves`, each with its letters.

    Args:
      x: an array, a mask, a bias, an opened score or normalizer, or a dict of those.
      letters: of x, where it is an array.
    """
    if isinstance(x, Tiled):
        for field in dataclasses.fields(x):  # pyright: ignore[reportArgumentType]
            if not field.metadata.get("static"):
                value = getattr(x, field.name)
                yield from arrays_of(value, _letters(type(x), field.name, value))
    elif isinstance(x, Partial):
        for value in x.args:
            yield from arrays_of(value)
        for name in sorted(x.keywords):
            value = x.keywords[name]
            yield from arrays_of(value, _letters(x.func, name, value))
    elif isinstance(x, dict):
        for name in sorted(x):
            yield from arrays_of(x[name])
    else:
        for leaf in jax.tree.leaves(x):
            if letters is None and isinstance(leaf, ARRAYS):
                raise ValueError(
                    f"an array of shape {list(leaf.shape)} within {type(x).__name__} has no type "
                    "that tells how it is cut; one by name would fit, partial(score, name=array)"
                )
            yield leaf, letters


def _letters(owner: Any, name: str, value: Any) -> list[str] | None:
    """The letters that an owner's type has for an array of this name; None where it is none."""
    if not isinstance(value, ARRAYS):
        return None
    if not value.shape:
        return []
    declared = inspect.signature(owner).parameters.get(name)
    annotation = None if declared is None else declared.annotation
    for one in typing.get_args(annotation) or (annotation,):
        found = getattr(one, "dim_str", "-").split()
        if found == ["..."]:  # what broadcasts to the logits
            found = ["*B", "H", "T", "S"][-min(value.ndim, 4) :]
        whole = found[:1] == ["*B"] and len(found) - 1 <= value.ndim
        if whole or len(found) == value.ndim and not {"*B", "-"} & set(found):
            return found
    raise ValueError(
        f"{_name(owner)}: {name} has shape {list(value.shape)}, and its type does not tell how it "
        'is cut; one such as Float[Array, "H K"] would fit'
    )


def _name(function: Any) -> str:
    return getattr(function, "__name__", repr(function))
