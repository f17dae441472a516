"""Feature maps: φ with φ(q)·φ(k) in place of exp(q·k), so that attention becomes linear in length.

A map takes queries or keys `[*B, T, H, K]` and returns their features `[*B, T, H, P]` in float32 at
least, or, where those could overflow, the same as `Scaled`. Each row is mapped by itself: no row's
features depend on another row, which may be masked or still to come.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray

from attention_jax.axes import fit
from attention_jax.functional.products import wide


class Scaled(NamedTuple):
    """Features as values·exp(scale), one scale for each row, so that none of them overflows."""

    values: Float[Array, "*B T H P"]
    scale: Float[Array, "*B T H"]


Features = Callable[[Array], Array | Scaled]


def elu_plus_one(x: Float[Array, "*B T H K"]) -> Float[Array, "*B T H K"]:
    """Each feature made positive: elu(x) + 1, which is x + 1 above zero and exp(x) below.

    Args:
      x: queries or keys.

    Returns:
      As many features, all above zero.

    Source: Katharopoulos et al. 2020, "Transformers are RNNs", equation 7.
    """
    x = x.astype(wide(x))
    # Not elu + 1: exp(x) - 1 + 1 rounds to zero already at x = -17.
    return jnp.where(x > 0, x + 1, jnp.exp(jnp.minimum(x, 0)))


def relu_features(
    x: Float[Array, "*B T H K"],
    *,
    projection: Float[Array, "P K"] | None = None,
    epsilon: float = 1e-3,
) -> Float[Array, "*B T H P"]:
    """The features above zero: relu(W x) / √P + epsilon.

    Args:
      x: queries or keys.
      projection: W, for instance from `orthogonal_projection`; None = the features as they are,
        relu(x) + epsilon.
      epsilon: keeps every weight above zero; with 0, a query without a feature above zero sees
        nothing.

    Returns:
      P features, or K where there is no projection.

    Raises:
      ValueError: projection does not fit x; the message names both shapes.

    Source: Choromanski et al. 2021, "Rethinking Attention with Performers", section 4 ("ReLU").
    """
    x = x.astype(wide(x))
    if projection is not None:
        x = _projected(x, projection) * jnp.shape(projection)[0] ** -0.5
    return jax.nn.relu(x) + epsilon


def favor(
    x: Float[Array, "*B T H K"], *, projection: Float[Array, "P K"], hyperbolic: bool = False
) -> Scaled:
    """Positive random features of the softmax kernel (FAVOR+): exp(w·x - |x|²/2) / √P.

    For w from N(0, 1) the mean of φ(q)·φ(k) is exp(q·k). Here x is first divided by K^(1/4), so
    that this is the softmax of `scaled_dot`; the error falls like 1 / √P.

    Every row has a scale of its own, its largest exponent, which the sums of `linear_attend` carry
    along. One maximum over all keys, as is usual, would let masked and future keys decide what
    underflows.

    Args:
      x: queries or keys; both need the same projection.
      projection: one random direction a feature, from `orthogonal_projection`.
      hyperbolic: also each direction's opposite, for 2P features of less variance.

    Returns:
      P features, or 2P, and the scale of each row.

    Raises:
      ValueError: projection does not fit x; the message names both shapes.

    Source: Choromanski et al. 2021, lemma 1 and equation 5 (hyperbolic: equation 7).
    """
    x = x.astype(wide(x)) * x.shape[-1] ** -0.25
    exponents = _projected(x, projection)
    if hyperbolic:
        exponents = jnp.concatenate([exponents, -exponents], axis=-1)
    exponents -= jnp.sum(x**2, axis=-1, keepdims=True) / 2
    # A constant: what it takes from the values, the scale gives back.
    peak = jax.lax.stop_gradient(jnp.max(exponents, axis=-1, keepdims=True))
    return Scaled(jnp.exp(exponents - peak) * exponents.shape[-1] ** -0.5, peak[..., 0])


def orthogonal_projection(
    rng: PRNGKeyArray, features: int, size: int, *, dtype: DTypeLike = jnp.float32
) -> Float[Array, "P K"]:
    """Random directions, each as from N(0, 1), orthogonal within each block of K.

    Orthogonal directions repeat each other less, so that features made of them vary less.

    Args:
      rng: a random key.
      features: P, how many.
      size: K, the features of a query or key in one head.
      dtype: of the result.

    Returns:
      One direction a row, of the length that a Gaussian vector would have (chi with K degrees).

    Raises:
      ValueError: features or size is below one.

    Source: Choromanski et al. 2021, section 3.3 ("orthogonal random features").
    """
    if features < 1 or size < 1:
        raise ValueError(f"features={features}, size={size}; wanted one or more of each")
    directions, lengths = jax.random.split(rng)
    blocks = jax.random.orthogonal(directions, size, (-(-features // size),), dtype)
    rows = blocks.reshape(-1, size)[:features]
    gaussian = jax.random.normal(lengths, (features, size), dtype)
    return rows * jnp.linalg.norm(gaussian, axis=-1, keepdims=True)


def _projected(x: Array, projection: Array) -> Array:
    projection = jnp.asarray(projection)
    fit(x=(x.shape, "*B T H K"), projection=(projection.shape, "P K"))
    return jnp.einsum("...K,PK->...P", x, projection.astype(x.dtype))
