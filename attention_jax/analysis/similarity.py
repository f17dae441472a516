"""How alike the heads of a layer are: linear CKA of what they give, from sums of one pass."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float


class Scatter(NamedTuple):
    """Moments of the rows of a matrix: how many, their mean, and products around that mean.

    One batch's products around its own mean keep their digits where sums of raw products would lose
    them; `joined` adds what lies between the means (Chan, Golub and LeVeque 1979).
    """

    rows: Any
    """scalar"""
    mean: Any
    """[F]"""
    products: Any
    """[F, F]: Σ (x - mean)(x - mean)ᵀ"""

    def joined(self, other: "Scatter") -> "Scatter":
        """The moments of both matrices' rows together."""
        rows = self.rows + other.rows
        if not rows:
            return self
        apart = other.mean - self.mean
        between = np.outer(apart, apart) * (self.rows * other.rows / rows)
        mean = self.mean + apart * (other.rows / rows)
        return Scatter(rows, mean, self.products + other.products + between)


def scatter(outputs: Float[Array, "B T H K"], queries: Bool[Array, "B T"]) -> Scatter:
    """The moments of all heads' outputs side by side, over the queries that count.

    Args:
      outputs: what each head gives, before the output projection.
      queries: which positions count; others influence nothing, whatever they hold.
    """
    flat = outputs.reshape(outputs.shape[0] * outputs.shape[1], -1)
    flat = flat.astype(jnp.promote_types(flat.dtype, jnp.float32))
    real = queries.reshape(-1, 1)
    rows = real.sum()
    mean = jnp.where(real, flat, 0).sum(0) / jnp.maximum(rows, 1)
    around = jnp.where(real, flat - mean[None], 0)
    return Scatter(rows, mean, around.T @ around)


def linear_cka(moments: Scatter, heads: int) -> Float[np.ndarray, "H H"]:
    """How alike each two heads' outputs are, from 0 to 1, up to a rotation and a scale.

    ‖XᵢᵀXⱼ‖² / (‖XᵢᵀXᵢ‖ ‖XⱼᵀXⱼ‖), Frobenius norms of centred outputs.

    Args:
      moments: of all heads' outputs side by side, K features each.
      heads: H.

    Returns:
      A symmetric matrix with ones along its diagonal; NaN for a head that always gives the same.

    Raises:
      ValueError: the features are not H heads'.

    Source: Kornblith, Norouzi, Lee and Hinton 2019, equation 5 with linear kernels (section 3).
    """
    products = np.asarray(moments.products, np.float64)
    if heads < 1:
        return np.zeros((0, 0))
    if len(products) % heads:
        raise ValueError(f"heads is {heads}, which does not divide {len(products)} features")
    size = len(products) // heads
    blocks = products.reshape(heads, size, heads, size)
    squares = np.square(blocks).sum((1, 3))
    own = np.sqrt(np.diag(squares))
    with np.errstate(invalid="ignore", divide="ignore"):
        found = squares / np.outer(own, own)
    return np.minimum(found, 1)
