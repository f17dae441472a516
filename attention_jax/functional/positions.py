"""Positions: what tells attention the order of its sources."""

import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from attention_jax.axes import fit


def sinusoidal(
    length: int, width: int, *, base: float = 10_000.0, dtype: DTypeLike = jnp.float32
) -> Float[Array, "T D"]:
    """A row of sines and cosines for each position, to be added to the embeddings.

    Feature 2i is sin(t / base^(2i/D)), feature 2i + 1 the cosine of the same angle, so that a shift
    by a fixed number of positions is one rotation for all t.

    Args:
      length: T, how many positions, from 0.
      width: D, even.
      base: wavelengths run from 2π to base·2π.
      dtype: of the result; angles are computed in float32 at least.

    Returns:
      One row for each position, all entries within [-1, 1].

    Raises:
      ValueError: length is negative, width is odd or not positive, or base is not above zero.

    Source: Vaswani et al. 2017, section 3.5.
    """
    if length < 0:
        raise ValueError(f"length={length}; wanted zero or more positions")
    angles_TF = _angles(jnp.arange(length), width, "width", base)
    pairs_TF2 = jnp.stack([jnp.sin(angles_TF), jnp.cos(angles_TF)], axis=-1)
    return pairs_TF2.reshape(length, width).astype(dtype)


def rotary(
    x: Float[Array, "*B T H K"],
    positions: Int[Array, "T"] | Int[Array, "*B T"],
    *,
    base: float = 10_000.0,
) -> Float[Array, "*B T H K"]:
    """Queries or keys, each pair of features turned by an angle that grows with the position.

    The dot product of a turned query and a turned key then depends on how far apart they stand, not
    on where. Feature i is paired with feature i + K/2 and turned by t / base^(2i/K): the paper's
    pairs of neighbours with the features in another order.

    Args:
      x: queries or keys, one row for each position and head.
      positions: where each row stands; one for all of the batch, or one for each. May be traced.
      base: the slowest pair turns once in nearly base·2π positions.

    Returns:
      Rows of the same lengths (norms), dtype and shape as x.

    Raises:
      ValueError: K is odd, base is not above zero, or positions do not fit x.

    Source: Su et al. 2021, "RoFormer", equation 34.
    """
    positions = jnp.asarray(positions)
    letters = "T" if positions.ndim == 1 else "*B T"
    batch, n = fit(x=(x.shape, "*B T H K"), positions=(positions.shape, letters))
    positions = positions.reshape((1,) * (len(batch) + 1 - positions.ndim) + positions.shape)
    angles_BTHF = _angles(positions, n["K"], "K, the last axis of x,", base)[..., None, :]
    cos, sin = jnp.cos(angles_BTHF), jnp.sin(angles_BTHF)
    wide = jnp.promote_types(x.dtype, jnp.float32)
    left, right = jnp.split(x.astype(wide), 2, axis=-1)
    turned = jnp.concatenate([left * cos - right * sin, left * sin + right * cos], axis=-1)
    return turned.astype(x.dtype)


def _angles(positions: Array, width: int, name: str, base: float) -> Array:
    """Angles position / base^(2i/width), `[..., width/2]`, in float32 at least."""
    if width < 2 or width % 2:
        raise ValueError(f"{name} is {width}; wanted an even number, two features for each angle")
    if base <= 0:
        raise ValueError(f"base={base}; wanted a number above zero")
    wide = jnp.promote_types(positions.dtype, jnp.float32)
    powers = jnp.arange(0, width, 2).astype(wide) / width
    frequencies = (base**-powers).reshape((1,) * positions.ndim + (width // 2,))
    return positions.astype(wide)[..., None] * frequencies
