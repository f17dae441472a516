"""The layers of a Self-Attention GAN, and what divides all of their kernels by spectral norms.

Sources: Zhang et al. 2019, section 3 (attention) and 4.1 (spectral normalisation of both players);
Miyato et al. 2018, figure 9 (the residual blocks); Huang and Belongie 2017, equation 8 (adaptive
instance normalisation).
"""

from typing import TypeVar

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Float, Int

from attention_jax.functional.spectral import spectrally_normalized
from attention_jax.models.places import Place
from attention_jax.models.transformer_layers import Pass
from attention_jax.modules import Dense, MultiHeadAttention

EPSILON = 1e-5
"""added to variances"""


Player = TypeVar("Player", bound=nnx.Module)


def normalized(player: Player) -> Player:
    """The player with every kernel, and every table of labels, divided by its spectral norm.

    Its layers know nothing of this, and one that is called several times is normalised once.
    """
    graph, params = nnx.split(player)

    def divided(leaf: Array) -> Array:
        return spectrally_normalized(leaf) if leaf.ndim > 1 else leaf

    return nnx.merge(graph, jax.tree.map(divided, params))


class Convolution(nnx.Module):
    """A 3×3 convolution, zeros around the map."""

    def __init__(self, inputs: int, outputs: int, *, rngs: nnx.Rngs):
        """Takes `inputs` features a place and gives `outputs`."""
        kernel = nnx.initializers.glorot_uniform()(rngs.params(), (3, 3, inputs, outputs))
        self.kernel = nnx.Param(kernel, letters="W W D P")
        self.bias = nnx.Param(jnp.zeros(outputs), letters="P")

    def __call__(self, x: Float[Array, "B rows columns D"]) -> Float[Array, "B rows columns P"]:
        """A place from its nine neighbours, itself among them."""
        kernel, numbers = self.kernel[...], ("NHWC", "HWIO", "NHWC")
        found = lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=numbers)
        return found + self.bias[...].reshape(1, 1, 1, -1)


class MapAttention(nnx.Module):
    """Every place of a map reads from all: y = x + γ·o, γ learned from zero (equation 3).

    The paper's 1×1 convolutions f, g, h and v are the projections to keys, queries and values and
    that of the output; its scores are not divided by the root of their features.
    """

    def __init__(self, width: int, heads: int, head_size: int, place: Place, rngs: nnx.Rngs):
        self.place = place
        self.attention = MultiHeadAttention(width, heads, head_size=head_size, rngs=rngs)
        self.gamma = nnx.Param(jnp.zeros(()), letters="")

    def __call__(self, x: Float[Array, "B rows columns D"], one: Pass):
        """The map, with what its places read of it."""
        rows = x.reshape(x.shape[0], -1, x.shape[-1])
        read = one.read(self.attention, self.place, rows, rows, None)
        return x + self.gamma[...] * read.reshape(x.shape)


class StyledNorm(nnx.Module):
    """Every feature of a picture brought to mean 0 and variance 1 over its places, then styled.

    The scale and shift come from latent numbers and label. This stands where the paper has
    conditional batch normalisation, whose statistics would tie the rows of a batch together, and
    would have to be carried along for use after training.
    """

    def __init__(self, width: int, style: int, rngs: nnx.Rngs):
        self.style = Dense(style, 2 * width, letters="D P", rngs=rngs)

    def __call__(self, x: Float[Array, "B rows columns D"], style: Float[Array, "B F"]):
        """(1 + scale)·(x - mean)/√(variance + ε) + shift."""
        scale, shift = jnp.split(self.style(style)[:, None, None], 2, axis=-1)
        centred = x - x.mean((1, 2), keepdims=True)
        inverse = lax.rsqrt(jnp.square(centred).mean((1, 2), keepdims=True) + EPSILON)
        return (1 + scale) * centred * inverse + shift


class GrowingBlock(nnx.Module):
    """A residual block of the generator, which doubles the side of a map."""

    def __init__(self, inputs: int, outputs: int, style: int, rngs: nnx.Rngs):
        self.first_norm = StyledNorm(inputs, style, rngs)
        self.first = Convolution(inputs, outputs, rngs=rngs)
        self.second_norm = StyledNorm(outputs, style, rngs)
        self.second = Convolution(outputs, outputs, rngs=rngs)
        self.short = Dense(inputs, outputs, letters="D P", rngs=rngs)

    def __call__(self, x, style: Float[Array, "B F"]) -> Float[Array, "B rows columns P"]:
        """Norm, ReLU, twice the side, convolution, norm, ReLU, convolution; beside it a 1×1 one."""
        y = self.first(doubled(jax.nn.relu(self.first_norm(x, style))))
        y = self.second(jax.nn.relu(self.second_norm(y, style)))
        return y + doubled(self.short(x))  # a 1×1 convolution and repetition change places


class ShrinkingBlock(nnx.Module):
    """A residual block of the discriminator; `halve` halves the side of the map."""

    def __init__(
        self, inputs: int, outputs: int, *, first: bool = False, halve: bool, rngs: nnx.Rngs
    ):
        self.plain, self.halve = first, halve
        inner = max(outputs // 2, 1) if first else inputs
        self.first = Convolution(inputs, inner, rngs=rngs)
        self.second = Convolution(inner, outputs, rngs=rngs)
        self.short = Dense(inputs, outputs, letters="D P", rngs=rngs)

    def __call__(self, x) -> Float[Array, "B rows columns P"]:
        """ReLU, convolution, ReLU, convolution, mean of four; pixels themselves without ReLU."""
        y = self.first(x if self.plain else jax.nn.relu(x))
        y = self.second(jax.nn.relu(y))
        if self.halve:
            x, y = halved(x), halved(y)
        return y + self.short(x)


class LabelTable(nnx.Module):
    """A row of features for each label."""

    def __init__(self, classes: int, width: int, rngs: nnx.Rngs):
        self.table = nnx.Param(jax.random.normal(rngs.params(), (classes, width)), letters="L D")

    def __call__(self, labels: Int[Array, " B"]) -> Float[Array, "B D"]:
        """The row of each label."""
        return self.table[...][labels]


def doubled(x: Float[Array, "B rows columns D"]) -> Float[Array, "B rows2 columns2 D"]:
    """Each place as four alike."""
    count, rows, columns, width = x.shape
    wide = jnp.broadcast_to(x[:, :, None, :, None], (count, rows, 2, columns, 2, width))
    return wide.reshape(count, 2 * rows, 2 * columns, width)


def halved(x: Float[Array, "B rows columns D"]) -> Float[Array, "B rows2 columns2 D"]:
    """The mean of every four places."""
    count, rows, columns, width = x.shape
    return x.reshape(count, rows // 2, 2, columns // 2, 2, width).mean((2, 4))
