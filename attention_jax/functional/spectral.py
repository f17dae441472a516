"""The spectral norm of a kernel: how much a linear map can stretch a vector at most."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

SQUARINGS = 5
"""as good as 2⁵ iterations from a fresh start; Miyato et al. do one a step, and carry the vector"""


def spectral_norm(kernel: Float[Array, "*B P"], *, squarings: int = SQUARINGS) -> Float[Array, ""]:
    """The largest singular value σ of a kernel, all of its axes but the last flattened into one.

    Power iteration from a vector that depends on the shape alone, so that nothing has to be carried
    from step to step. With n = 2^squarings, v is the start times (KᵀK)ⁿ at length 1, or, if that is
    smaller, (KKᵀ)ⁿ; the power is made by squaring. Then σ = |K·v|, which is never above the true
    value and comes near it as (σ₂/σ)^(4n). The gradient takes u and v as constants (section 2.1 and
    equation 11 of the source): u·vᵀ, which is exact where they are.

    Args:
      kernel: a matrix, or a convolution's kernel with the features that come out last.
      squarings: from 0 up.

    Returns:
      σ, in float32 at least; 0 for a kernel of zeros.

    Raises:
      ValueError: the kernel has fewer than two axes or no numbers, or squarings is below 0.

    Source: Miyato et al. 2018, "Spectral Normalization for GANs", algorithm 1.
    """
    if kernel.ndim < 2 or not kernel.size:
        raise ValueError(
            f"spectral_norm: kernel has shape {list(kernel.shape)}; [inputs, outputs], or more "
            "axes in front, would fit"
        )
    if squarings < 0:
        raise ValueError(f"spectral_norm: squarings is {squarings}; 0 or more would fit")
    wide = kernel.astype(jnp.promote_types(kernel.dtype, jnp.float32))
    matrix = wide.reshape(-1, kernel.shape[-1])
    matrix = matrix if matrix.shape[0] >= matrix.shape[1] else matrix.T
    fixed = lax.stop_gradient(matrix)
    largest = jnp.abs(fixed).max()
    fixed = fixed / jnp.where(largest > 0, largest, 1)  # squares of small numbers would be zeros
    start = _unit(_times(fixed.T, fixed))
    power = lax.fori_loop(0, squarings, lambda _, found: _unit(_times(found, found)), start)
    v = _unit(_times(power, _start(matrix.shape[1], wide.dtype)))
    u = _unit(_times(fixed, v))
    # As a bilinear form: its gradient is u·vᵀ, also where |K·v| has none.
    return jnp.vdot(u, _times(matrix, v), precision="highest")


def spectrally_normalized(
    kernel: Float[Array, "*B P"], *, squarings: int = SQUARINGS
) -> Float[Array, "*B P"]:
    """The kernel divided by its spectral norm, so that it stretches nothing; zeros stay zeros.

    Raises:
      ValueError: as `spectral_norm`.

    Source: Miyato et al. 2018, equation 8.
    """
    norm = spectral_norm(kernel, squarings=squarings)
    safe = jnp.where(norm > 0, norm, 1)
    return (kernel / safe.astype(kernel.dtype)).astype(kernel.dtype)


def _start(size: int, dtype) -> Float[Array, " P"]:
    """A direction like a random one, the same on every device: cosines of growing angles."""
    return jnp.cos(jnp.square(jnp.arange(1, size + 1, dtype=dtype)))


def _times(one: Array, other: Array) -> Array:
    return jnp.matmul(one, other, precision="highest")


def _unit(x: Array) -> Array:
    """A vector, or a matrix, at length 1; zeros stay zeros."""
    length = jnp.sqrt(jnp.square(x).sum())
    return x / jnp.where(length > 0, length, 1)
