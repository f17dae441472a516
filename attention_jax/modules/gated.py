"""Feed-forward networks after the ReLU: with GELU, and with a gate."""

import jax
from flax import nnx
from jaxtyping import Array, Float

from attention_jax.modules.layers import Dense


class GeluFeedForward(nnx.Module):
    """Two affine maps with a GELU between them, in the form with the hyperbolic tangent.

    Source: Hendrycks and Gimpel 2016, section 2; Radford et al. 2018 (GPT), section 4.1.
    """

    def __init__(
        self, width: int, inner: int, *, bias: bool = True, exact: bool = False, rngs: nnx.Rngs
    ):
        """Goes from `width` features through `inner` ones and back.

        `exact` takes x·Φ(x) itself, as BERT does, and not the hyperbolic tangent that is near it.
        """
        self.exact = exact
        self.expand = Dense(width, inner, bias=bias, rngs=rngs)
        self.contract = Dense(inner, width, bias=bias, letters="F D", rngs=rngs)

    def __call__(self, x: Float[Array, "*B D"]) -> Float[Array, "*B D"]:
        """gelu(x·W₁ + b₁)·W₂ + b₂."""
        return self.contract(jax.nn.gelu(self.expand(x), approximate=not self.exact))


class GatedFeedForward(nnx.Module):
    """SwiGLU: what one map gives is let through by another's SiLU, feature by feature.

    It has three kernels where others have two: 2/3 of their inner width has the same parameters.

    Source: Shazeer 2020, "GLU Variants Improve Transformer", equation 6.
    """

    def __init__(self, width: int, inner: int, *, bias: bool = False, rngs: nnx.Rngs):
        """Goes from `width` features through `inner` ones and back."""
        self.gate = Dense(width, inner, bias=bias, rngs=rngs)
        self.expand = Dense(width, inner, bias=bias, rngs=rngs)
        self.contract = Dense(inner, width, bias=bias, letters="F D", rngs=rngs)

    def __call__(self, x: Float[Array, "*B D"]) -> Float[Array, "*B D"]:
        """(silu(x·W) ⊙ x·V)·W₂."""
        return self.contract(jax.nn.silu(self.gate(x)) * self.expand(x))
