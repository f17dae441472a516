"""The spectral norm of a kernel: how much a linear map can stretch a vector at most."""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

ITERATIONS = 16
"""of a fresh start each time; Miyato et al. do one a step, and carry the vector along"""


def spectral_norm(
    kernel: Float[Array, "*B P"], *, iterations: int = ITERATIONS
) -> Float[Array, ""]:
    """The largest singular value σ of a kernel, all of its axes but the last flattened into one.

    Power iteration from a vector that depends on P alone, so that nothing has to be carried from
    step to step: v ← KᵀK·v / |KᵀK·v|, then σ = |K·v|. It never gives more than the true value, and
    comes near it as (σ₂/σ)^(4·iterations). The gradient takes v as a constant (section 2.1 and
    equation 11 of the source): u·vᵀ, which is exact where v is.

    Args:
      kernel: a matrix, or a convolution's kernel with the features that come out last.
      iterations: at least 1.

    Returns:
      σ, in float32 at least; 0 for a kernel of zeros.

    Raises:
      ValueError: the kernel has fewer than two axes or none to iterate on, or iterations is below
        1.

    Source: Miyato et al. 2018, "Spectral Normalization for GANs", algorithm 1.
    """
    if kernel.ndim < 2 or not kernel.size:
        raise ValueError(
            f"spectral_norm: kernel has shape {list(kernel.shape)}; [inputs, outputs], or more "
            "axes in front, would fit"
        )
    if iterations < 1:
        raise ValueError(f"spectral_norm: iterations is {iterations}; it must be at least 1")
    wide = kernel.astype(jnp.promote_types(kernel.dtype, jnp.float32))
    matrix = wide.reshape(-1, kernel.shape[-1])
    fixed = lax.stop_gradient(matrix)
    product = jnp.matmul(fixed.T, fixed, precision="highest")

    def further(_, v):
        return _unit(jnp.matmul(product, v, precision="highest"))

    v = lax.fori_loop(0, iterations, further, _unit(_start(kernel.shape[-1], wide.dtype)))
    u = _unit(jnp.matmul(fixed, v, precision="highest"))
    # As a bilinear form: its gradient is u·vᵀ, also where |K·v| has none.
    return jnp.vdot(u, jnp.matmul(matrix, v, precision="highest"))


def spectrally_normalized(
    kernel: Float[Array, "*B P"], *, iterations: int = ITERATIONS
) -> Float[Array, "*B P"]:
    """The kernel divided by its spectral norm, so that it stretches nothing; zeros stay zeros.

    Raises:
      ValueError: as `spectral_norm`.

    Source: Miyato et al. 2018, equation 8.
    """
    norm = spectral_norm(kernel, iterations=iterations)
    safe = jnp.where(norm > 0, norm, 1)
    return (kernel / safe.astype(kernel.dtype)).astype(kernel.dtype)


def _start(size: int, dtype) -> Float[Array, " P"]:
    """A direction like a random one, the same on every device."""
    return jax.random.normal(jax.random.key(size, impl="threefry2x32"), (size,)).astype(dtype)


def _unit(v: Float[Array, " P"]) -> Float[Array, " P"]:
    """The vector at length 1, or zeros."""
    length = jnp.sqrt(jnp.vdot(v, v))
    return v / jnp.where(length > 0, length, 1)
