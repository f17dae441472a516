"""Masks on a mesh: told by position, so that no device needs another's part of them.

What a mask holds for each row of the batch goes with the rows. What it holds for each position
(`Segments`) is whole on every device: a number for each, beside the many of a key.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec
from jaxtyping import Array

from attention_jax.functional.mask_algebra import Both, Dense, Either, Mask, Not
from attention_jax.functional.masks import Causal, Dilated, Lengths, Prefix, Segments, Window

# Masks whose arrays may have *B in front, and how many axes come after it.
BEHIND: dict[type[Mask], int] = {
    Causal: 0,
    Dilated: 0,
    Lengths: 0,
    Prefix: 0,
    Segments: 1,
    Window: 0,
}


@dataclass(frozen=True)
class Outline:
    """A mask without its arrays."""

    tree: Any
    numbers: tuple[int | None, ...]  # of its leaves, None in an array's place
    specs: tuple[PartitionSpec, ...]  # of its arrays

    def filled(self, arrays: Sequence[Array]) -> Mask | None:
        """The mask with these arrays."""
        given = iter(arrays)
        return self.tree.unflatten([next(given) if n is None else n for n in self.numbers])


def outline(
    mask: Mask | Array | None, batch: tuple[int, ...], rows: Any
) -> tuple[Outline, tuple[Array, ...]]:
    """What a program must know of a mask before it is traced, and the arrays of the mask.

    Args:
      mask: known by position.
      batch: *B.
      rows: the axes of the mesh that cut the first of *B; None for none.

    Raises:
      ValueError: a part of the mask is an array as large as the logits, or holds arrays of which
        nobody knows how they go with the batch.
    """
    numbers, arrays, specs = [], [], []
    for part in jax.tree.leaves(mask, is_leaf=_whole):
        leaves = jax.tree.leaves(part)
        numbers += [leaf if isinstance(leaf, int) else None for leaf in leaves]
        held = [jnp.asarray(leaf) for leaf in leaves if not isinstance(leaf, int)]
        if not isinstance(part, Mask) or isinstance(part, Dense):
            found = f"an array {list(np.shape(held[0]))}" if held else repr(part)
            raise ValueError(
                f"mask holds {found}, a truth value for each query and source, which a sequence "
                f"over several devices is too long for; wanted {', '.join(map(_name, BEHIND))} "
                "and what &, | and ~ make of them"
            )
        if type(part) not in BEHIND:
            _position_alone(part, held)
        arrays += held
        behind = BEHIND.get(type(part), 0)
        specs += [
            PartitionSpec(rows if _by_row(leaf.shape, behind, batch) else None)
            if leaf.ndim
            else PartitionSpec()
            for leaf in held
        ]
    tree = jax.tree.structure(mask)
    return Outline(tree, tuple(numbers), tuple(specs)), tuple(arrays)


def _whole(part: Any) -> bool:
    return isinstance(part, Mask) and not isinstance(part, Both | Either | Not)


def _by_row(shape: tuple[int, ...], behind: int, batch: tuple[int, ...]) -> bool:
    """Whether the first axis of a mask's array is the first of *B, with a place for each row."""
    return bool(batch) and len(shape) == len(batch) + behind and shape[0] == batch[0]


def _position_alone(part: Mask, held: list[Array]) -> None:
    one = jnp.zeros(1, jnp.int32)
    tile = None if held else jax.eval_shape(part.tile, one, one)
    if tile is None or any(size != 1 for size in tile.shape):
        raise ValueError(
            f"mask holds {part!r}; of a mask of one's own no more than query and source positions "
            "can be had on several devices, no arrays, and no difference between rows or heads"
        )


def _name(kind: type[Mask]) -> str:
    return kind.__name__
