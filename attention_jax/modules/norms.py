"""Normalisation by length alone."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float


class RMSNorm(nnx.Module):
    """Rows brought to a root mean square of 1, with a learned scale, from one.

    Source: Zhang and Sennrich 2019, equation 4.
    """

    def __init__(self, width: int, *, epsilon: float = 1e-6):
        """Normalises rows of `width` features; `epsilon` is added to the mean square."""
        self.scale = nnx.Param(jnp.ones(width), letters="D")
        self.epsilon = epsilon

    def __call__(self, x: Float[Array, "*B D"]) -> Float[Array, "*B D"]:
        """X / √(mean x² + ε), scaled: in float32 at least, the result in the dtype of `x`."""
        wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        inverse = jax.lax.rsqrt(jnp.square(wide).mean(-1, keepdims=True) + self.epsilon)
        scale = self.scale[...].reshape((1,) * (x.ndim - 1) + (-1,))
        return (wide * inverse * scale).astype(x.dtype)
