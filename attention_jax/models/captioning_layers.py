"""What looks at a picture: a small convolutional network from pixels to the features of cells."""

from dataclasses import dataclass

import jax
from flax import nnx
from jaxtyping import Array, Float, UInt8

from attention_jax.functional.cells import beside, blocks
from attention_jax.modules import Dense

PATCH = 4
"""pixels of a side of a cell: two convolutions halve the picture"""


@dataclass(frozen=True)
class CellsConfig:
    """The sizes of the network that looks at pictures."""

    side: int = 36
    """pixels of a side of a picture"""
    narrow: int = 24
    """features of a block of 2 by 2 pixels"""
    channels: int = 64
    """features of a cell of 4 by 4 pixels"""
    convolutions: int = 2
    """how many times a cell sees its neighbours"""
    positions: bool = True
    """cells know where they are, by a learned vector each"""

    def __post_init__(self):
        """Refuses sizes that no network can have."""
        for name, least in (("narrow", 1), ("channels", 1), ("convolutions", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least {least}")
        if self.side < PATCH or self.side % PATCH:
            raise ValueError(f"side is {self.side}; a multiple of {PATCH} would fit")

    @property
    def rows(self) -> int:
        """Cells below one another, and beside one another."""
        return self.side // PATCH

    @property
    def count(self) -> int:
        """S, all cells."""
        return self.rows**2


class Cells(nnx.Module):
    """From pictures to a row of features for each cell of 4 by 4 pixels.

    Blocks of 2 by 2 pixels, a convolution of 3 by 3, blocks of 2 by 2 again; then where each cell
    is, and convolutions of 3 by 3 among cells inside residuals. ReLU stands behind each.
    """

    def __init__(self, config: CellsConfig, *, rngs: nnx.Rngs):
        """Makes all parameters from `rngs.params`."""
        self.config = config
        narrow, width = config.narrow, config.channels
        # Small matrices, that are never cut over devices: letter P.
        small: dict = {"letters": "D P", "rngs": rngs}
        self.pixels = Dense(12, narrow, **small)
        self.fine = Dense(9 * narrow, narrow, **small)
        self.merge = Dense(4 * narrow, width, **small)
        places = 0.1 * jax.random.normal(rngs.params(), (config.count, width))
        self.places = nnx.Param(places, letters="L D") if config.positions else None
        convolutions = range(config.convolutions)
        self.coarse = nnx.List([Dense(9 * width, width, **small) for _ in convolutions])

    def __call__(self, pictures: UInt8[Array, "B rows columns 3"]) -> Float[Array, "B S D"]:
        """The cells' features, row by row.

        Args:
          pictures: red, green and blue from 0 to 255.

        Raises:
          ValueError: pictures of another size.
        """
        side = self.config.side
        if pictures.ndim != 4 or pictures.shape[1:] != (side, side, 3):
            raise ValueError(
                f"pictures have shape {list(pictures.shape)}; [B, {side}, {side}, 3] would fit"
            )
        light = pictures.astype(self.pixels.kernel.dtype) / 128 - 1
        x = jax.nn.relu(self.pixels(blocks(light, 2)))
        x = jax.nn.relu(self.fine(beside(x)))
        x = jax.nn.relu(self.merge(blocks(x, 2)))
        if self.places is not None:
            x += self.places[...].reshape(1, *x.shape[1:])
        for layer in self.coarse:
            x += jax.nn.relu(layer(beside(x)))
        return x.reshape(x.shape[0], self.config.count, -1)


def name_of_cell(cell: int, columns: int) -> str:
    """Such as "row 1, column 2", counted from 1.

    Args:
      cell: its place in the row of all cells, from 0.
      columns: cells beside one another.
    """
    row, column = divmod(cell, columns)
    return f"row {row + 1}, column {column + 1}"
