"""Pictures as cells: blocks of pixels laid into one row each, and cells beside their neighbours.

Both turn a convolution into one matrix product, which on CPUs is as fast, and stays a product when
many kernels are mapped over.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float


def blocks(x: Float[Array, "*B rows columns D"], size: int) -> Float[Array, "*B rows columns P"]:
    """Each block of size by size cells as one cell, its rows one behind another.

    Args:
      x: a picture, or what was made of one.
      size: cells of a side of a block.

    Returns:
      `size` times fewer rows and columns, of size² times as many features.

    Raises:
      ValueError: `size` does not divide rows and columns.

    Source: LeCun et al. 1989, section 3, where a kernel moves by its own width; Dosovitskiy et al.
      2021, equation 1.
    """
    *batch, rows, columns, features = x.shape
    if size < 1 or rows % size or columns % size:
        raise ValueError(
            f"blocks: size is {size}; it must divide {rows} rows and {columns} columns"
        )
    x = x.reshape(*batch, rows // size, size, columns // size, size, features)
    return jnp.swapaxes(x, -4, -3).reshape(
        *batch, rows // size, columns // size, size * size * features
    )


def beside(x: Float[Array, "*B rows columns D"]) -> Float[Array, "*B rows columns 9*D"]:
    """Each cell with the eight around it, row by row; beyond the edge stand zeros.

    Args:
      x: any features of cells.
    """
    rows, columns = x.shape[-3:-1]
    padded = jnp.pad(x, [(0, 0)] * (x.ndim - 3) + [(1, 1), (1, 1), (0, 0)])
    near = [
        padded[..., down : down + rows, across : across + columns, :]
        for down in range(3)
        for across in range(3)
    ]
    return jnp.concatenate(near, axis=-1)
