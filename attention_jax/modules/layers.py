"""The parameters of everything in a Transformer but its attention.

Each carries the letters of its axes (`attention_jax.axes`) as metadata: what cuts a model over
devices goes by them. Axes that were flattened into one have the letter of the first.
"""

from collections.abc import Callable
from typing import Literal

import jax
from flax import nnx
from jaxtyping import Array, Float, Int

from attention_jax.functional.layers import dense, dropout, layer_norm, matches


class Dense(nnx.Module):
    """An affine map; its kernel starts Glorot-uniform, its bias at zero."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        bias: bool = True,
        letters: str = "D F",
        rngs: nnx.Rngs,
    ):
        """Takes `inputs` features and gives `outputs`, axes of these letters.

        `bias=False` leaves the shift out.
        """
        kernel = nnx.initializers.glorot_uniform()(rngs.params(), (inputs, outputs))
        self.kernel = nnx.Param(kernel, letters=letters)
        shift = jax.numpy.zeros(outputs)
        self.bias = nnx.Param(shift, letters=letters.split()[-1]) if bias else None

    def __call__(self, x: Float[Array, "*B D"]) -> Float[Array, "*B F"]:
        """x·W + b."""
        return dense(x, self.kernel[...], None if self.bias is None else self.bias[...])


class LayerNorm(nnx.Module):
    """Layer normalisation with a learned scale, from one, and shift, from zero."""

    def __init__(self, width: int, *, epsilon: float = 1e-6):
        """Normalises rows of `width` features; `epsilon` is added to the variance."""
        self.epsilon = epsilon
        self.scale = nnx.Param(jax.numpy.ones(width), letters="D")
        self.bias = nnx.Param(jax.numpy.zeros(width), letters="D")

    def __call__(self, x: Float[Array, "*B D"]) -> Float[Array, "*B D"]:
        """Rows of mean 0 and variance 1, scaled and shifted."""
        return layer_norm(x, self.scale[...], self.bias[...], self.epsilon)


class Embedding(nnx.Module):
    """One vector for each token, and, the other way round, one logit for each token.

    Vectors start normal with variance 1/D; `embed` multiplies them by √D, so that the same table
    serves at both ends (Vaswani et al. 2017, section 3.4; Press and Wolf 2017).
    """

    def __init__(self, vocabulary: int, width: int, *, rngs: nnx.Rngs):
        """A table of `vocabulary` rows of `width` features."""
        shape = (vocabulary, width)
        table = jax.random.normal(rngs.params(), shape) * width**-0.5
        self.table = nnx.Param(table, letters="V D")

    def embed(self, tokens: Int[Array, "*B T"]) -> Float[Array, "*B T D"]:
        """The tokens' vectors times √D."""
        table = self.table[...]
        return table[tokens] * table.shape[1] ** 0.5

    def logits(self, x: Float[Array, "*B D"]) -> Float[Array, "*B V"]:
        """How well each row fits each token: its dot products with all vectors."""
        return matches(x, self.table[...])


class FeedForward(nnx.Module):
    """Two affine maps with a ReLU between them (Vaswani et al. 2017, equation 2)."""

    def __init__(self, width: int, inner: int, *, rngs: nnx.Rngs):
        """Goes from `width` features through `inner` ones and back."""
        self.expand = Dense(width, inner, rngs=rngs)
        self.contract = Dense(inner, width, letters="F D", rngs=rngs)

    def __call__(self, x: Float[Array, "*B D"]) -> Float[Array, "*B D"]:
        """max(0, x·W₁ + b₁)·W₂ + b₂."""
        return self.contract(jax.nn.relu(self.expand(x)))


class Residual(nnx.Module):
    """x + sublayer(x), with dropout on the sub-layer's output and one layer normalisation.

    Source: Vaswani et al. 2017, section 5.4 (after the sum, "post"); Xiong et al. 2020 (inside the
    sub-layer's branch, "pre").
    """

    def __init__(
        self, width: int, rate: float, *, norm: Literal["post", "pre"], epsilon: float = 1e-6
    ):
        """Adds to rows of `width` features what is left of a sub-layer at dropout rate `rate`.

        `epsilon` is the layer normalisation's.
        """
        self.norm = LayerNorm(width, epsilon=epsilon)
        self.rate = rate
        self.first = norm == "pre"

    def __call__(
        self,
        x: Float[Array, "*B D"],
        sublayer: Callable[[Array], Array],
        rng: Array | None,
    ) -> Float[Array, "*B D"]:
        """The sum; without `rng` nothing is dropped."""
        if self.first:
            return x + dropout(sublayer(self.norm(x)), self.rate, rng)
        return self.norm(x + dropout(sublayer(x), self.rate, rng))
