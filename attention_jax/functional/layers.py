"""The pieces that stand around attention: affine maps, layer normalisation, dropout."""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Float

from attention_jax.functional.narrow import narrow_product
from attention_jax.functional.quantized import Quantized, matched, product

PRODUCT = "product"
"""by which `jax.checkpoint` knows what affine maps give"""


def dense(
    x: Float[Array, "*B D"],
    kernel: Float[Array, "D F"] | Quantized,
    bias: Float[Array, " F"] | None = None,
) -> Float[Array, "*B F"]:
    """An affine map of the last axis: x·W + b.

    Args:
      x: any leading axes.
      kernel: W, one column for each output feature; of floats or of eight-bit integers.
      bias: b; none if left out.

    Raises:
      ValueError: the last axis of `x` is not the first of `kernel`.
    """
    if x.shape[-1] != kernel.shape[0]:
        raise ValueError(
            f"dense: x has {x.shape[-1]} features (shape {x.shape}) but kernel takes "
            f"{kernel.shape[0]} (shape {kernel.shape})"
        )
    if isinstance(kernel, Quantized):
        y = product(x, kernel)
    else:
        # CPUs multiply matrices 1.3 times faster than stacks of them. Elsewhere the axes stay
        # apart: what is merged can no longer lie apart on several devices.
        y = lax.platform_dependent(x, kernel, cpu=_by_rows, default=jnp.matmul)
    y = checkpoint_name(y, PRODUCT)
    return y if bias is None else y + bias.reshape((1,) * (x.ndim - 1) + (-1,))


def _by_rows(x, kernel):
    rows = x.reshape(-1, x.shape[-1])
    multiply = narrow_product if _narrow(x, kernel) else jnp.matmul
    return multiply(rows, kernel).reshape(*x.shape[:-1], kernel.shape[1])


def _narrow(x, kernel):
    return x.dtype == kernel.dtype == jnp.bfloat16


def matches(
    x: Float[Array, "*B D"], table: Float[Array, "V D"] | Quantized
) -> Float[Array, "*B V"]:
    """The dot product of every row with every row of a table, as it stands.

    What `dense(x, table.T)` gives, without a transposed copy of the table.

    Raises:
      ValueError: the rows have different numbers of features.
    """
    if x.shape[-1] != table.shape[1]:
        raise ValueError(
            f"matches: x has {x.shape[-1]} features (shape {x.shape}) but table has "
            f"{table.shape[1]} (shape {table.shape})"
        )
    if isinstance(table, Quantized):
        return matched(x, table)
    return lax.platform_dependent(x, table, cpu=_matches_by_rows, default=_matches)


def _matches(x, table):
    return lax.dot_general(x, table, (((x.ndim - 1,), (1,)), ((), ())))


def _matches_by_rows(x, table):
    rows = x.reshape(-1, x.shape[-1])
    found = narrow_product(rows, table.T) if _narrow(x, table) else _matches(rows, table)
    return found.reshape(*x.shape[:-1], table.shape[0])


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def layer_norm(
    x: Float[Array, "*B D"],
    scale: Float[Array, " D"],
    bias: Float[Array, " D"],
    epsilon: float = 1e-6,
) -> Float[Array, "*B D"]:
    """Every row brought to mean 0 and variance 1, then scaled and shifted.

    The mean and the variance accumulate in float32 at least; the result keeps the dtype of `x`.
    The backward pass is written out: the automatic one costs CPUs several transposed copies.

    Source: Ba, Kiros and Hinton 2016, equation 4.
    """
    return _layer_norm_forward(x, scale, bias, epsilon)[0]


def _layer_norm_forward(x, scale, bias, epsilon):
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    centred = wide - wide.mean(-1, keepdims=True)
    inverse = lax.rsqrt(jnp.square(centred).mean(-1, keepdims=True) + epsilon)
    row = (1,) * (x.ndim - 1) + (-1,)
    normal = centred * inverse
    output = normal * scale.reshape(row) + bias.reshape(row)
    return output.astype(x.dtype), (normal, inverse, scale, bias)


def _layer_norm_backward(epsilon, saved, d_output):
    normal, inverse, scale, bias = saved
    dtype, d_output = d_output.dtype, d_output.astype(normal.dtype)
    rows = tuple(range(d_output.ndim - 1))
    d_normal = d_output * scale.reshape((1,) * len(rows) + (-1,))
    along = (d_normal * normal).mean(-1, keepdims=True)
    d_x = (d_normal - d_normal.mean(-1, keepdims=True) - normal * along) * inverse
    d_scale = (d_output * normal).sum(rows).astype(scale.dtype)
    d_bias = d_output.sum(rows).astype(bias.dtype)
    return d_x.astype(dtype), d_scale, d_bias


layer_norm.defvjp(_layer_norm_forward, _layer_norm_backward)


def dropout(x: Float[Array, "*B D"], rate: float, rng: Array | None) -> Float[Array, "*B D"]:
    """Features set to zero with probability `rate`, the others scaled to keep the mean.

    One random byte decides over each feature, so the rate is rounded to 1/256 (0.1 becomes 26/256)
    and the scale follows the rounded rate.

    Args:
      x: any shape.
      rate: from 0 up to, not including, 1.
      rng: a `jax.random` key; None, or a rate of 0, leaves `x` as it is.

    Raises:
      ValueError: the rate is out of range.

    Source: Srivastava et al. 2014, with the scaling in training instead of in use.
    """
    if not 0 <= rate < 1:
        raise ValueError(f"dropout: rate is {rate}; it must be at least 0 and less than 1")
    dropped = min(round(rate * 256), 255)
    if rng is None or not dropped:
        return x
    keep = jax.random.bits(rng, x.shape, jnp.uint8) >= dropped
    return jnp.where(keep, x * (256 / (256 - dropped)), jnp.zeros((), x.dtype))
