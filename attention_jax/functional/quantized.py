"""Matrices of eight-bit integers, and their products with rows of numbers.

Each output of a matrix has a scale of its own, and each row that meets it is rounded to eight bits
by its own largest number, so that the product is one of integers: exact, and on CPUs several times
faster than one of float32. It is made for decoding: nothing here has a gradient of use.

Source: Bhandare et al. 2019, "Efficient 8-Bit Quantization of Transformer Neural Machine Language
Translation Model"; by rows and columns, Dettmers et al. 2022, "LLM.int8()", section 2.1.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

LARGEST = 127


@partial(jax.tree_util.register_dataclass, data_fields=["values", "scale"], meta_fields=[])
@dataclass(frozen=True)
class Quantized:
    """A matrix, values times scale, that stands where modules keep one of floats.

    Attributes:
      values: from -127 to 127.
      scale: of each column, [1, F], or of each row, [V, 1].
    """

    values: Int[Array, "D F"]
    scale: Float[Array, "1 F"] | Float[Array, "V 1"]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the matrix."""
        return self.values.shape

    @property
    def ndim(self) -> int:
        """Two."""
        return self.values.ndim

    @property
    def dtype(self) -> Any:
        """Of the numbers that it stands for."""
        return self.scale.dtype

    def __getitem__(self, rows: Any) -> Any:
        """`[...]` is the matrix itself; an array of row numbers gives those rows as floats."""
        if rows is Ellipsis:
            return self
        if self.scale.shape[0] != len(self.values):
            raise ValueError(
                f"a matrix whose scale has shape {self.scale.shape} gives no rows; one with a "
                "scale for each row would"
            )
        return self.values[rows] * self.scale[rows]

    def __rmatmul__(self, x: Float[Array, "*B D"]) -> Float[Array, "*B F"]:
        """`x @ kernel`, for code that multiplies without asking what a kernel is made of."""
        return product(x, self)


def quantize(matrix: Float[Array, "D F"], axis: int) -> Quantized:
    """The nearest matrix of eight-bit integers; each number is off by half a scale at most.

    Args:
      matrix: of floats.
      axis: along which one scale serves: 0 for kernels [D, F], 1 for tables [V, D].
    """
    values, scale = _rounded(matrix, axis)
    return Quantized(values, scale)


def product(x: Float[Array, "*B D"], kernel: Quantized) -> Float[Array, "*B F"]:
    """x·W, in the dtype of x, for a kernel [D, F] with a scale for each column."""
    return _product(x, kernel, 0)


def matched(x: Float[Array, "*B D"], table: Quantized) -> Float[Array, "*B V"]:
    """The dot product of every row with every row of a table [V, D] with a scale for each."""
    return _product(x, table, 1)


def _product(x: Array, matrix: Quantized, axis: int) -> Array:
    rows = x.reshape(-1, x.shape[-1])
    values, scale = _rounded(rows, 1)
    whole = lax.dot_general(
        values, matrix.values, (((1,), (axis,)), ((), ())), preferred_element_type=jnp.int32
    )
    output = whole.astype(scale.dtype) * scale * matrix.scale.reshape(1, -1)
    return output.reshape(*x.shape[:-1], -1).astype(x.dtype)


def _rounded(x: Float[Array, "N D"], axis: int) -> tuple[Int[Array, "N D"], Array]:
    """Integers, and what to multiply them by; zeros stay zeros."""
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    scale = jnp.abs(wide).max(axis, keepdims=True) / LARGEST
    values = jnp.round(wide / jnp.where(scale == 0, 1, scale))
    return values.astype(jnp.int8), scale
