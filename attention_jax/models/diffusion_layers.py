"""The layers of a Diffusion Transformer, steered by a time and a label.

Source: Peebles and Xie 2023, section 3.2 (adaLN-Zero).
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from attention_jax.functional.layers import layer_norm
from attention_jax.functional.positions import sinusoidal
from attention_jax.functional.rotary import BASE
from attention_jax.models.diffusion_config import DiffusionConfig
from attention_jax.models.places import Place
from attention_jax.models.transformer_layers import Pass
from attention_jax.modules import Dense, GeluFeedForward, MultiHeadAttention

TICKS = 1_000
"""into which times from 0 to 1 are stretched, as for the thousand steps of Ho et al. 2020"""


class TimeEmbedding(nnx.Module):
    """A time as a row of features: waves of many lengths, then two affine maps with a SiLU."""

    def __init__(self, config: DiffusionConfig, rngs: nnx.Rngs):
        self.half = config.frequencies // 2
        self.expand = Dense(config.frequencies, config.width, letters="P D", rngs=rngs)
        self.contract = Dense(config.width, config.width, letters="D P", rngs=rngs)

    def __call__(self, times: Float[Array, " B"]) -> Float[Array, "B D"]:
        """The features of each time from 0 to 1."""
        lengths = BASE ** (-jnp.arange(self.half, dtype=times.dtype) / self.half)
        angles = TICKS * times[:, None] * lengths[None]
        waves = jnp.concatenate([jnp.cos(angles), jnp.sin(angles)], -1)
        return self.contract(jax.nn.silu(self.expand(waves)))


class SteeredLayer(nnx.Module):
    """Attention, then a feed-forward network, with shift, scale and gate from what steers them.

    The gates start at zero, so that a fresh layer hands on what it was given.
    """

    def __init__(self, config: DiffusionConfig, layer: int, rngs: nnx.Rngs):
        width, self.place = config.width, Place("encoder", layer)
        self.attention = MultiHeadAttention(
            width, config.heads, bias=True, output_bias=True, rngs=rngs
        )
        self.feed_forward = GeluFeedForward(width, config.feed_forward, rngs=rngs)
        self.steer = silent(width, 6 * width, rngs)

    def __call__(self, x, steering: Float[Array, "B D"], one: Pass) -> Float[Array, "B T D"]:
        """One layer further."""
        parts = jnp.split(self.steer(steering)[:, None], 6, axis=-1)
        rows = modulated(x, parts[0], parts[1])
        x = x + parts[2] * one.read(self.attention, self.place, rows, rows, None)
        rows = modulated(x, parts[3], parts[4])
        return one.arrange(x + parts[5] * self.feed_forward(rows), "B T D")


class SteeredOutput(nnx.Module):
    """The last normalisation and the map to pixels, which starts at zero."""

    def __init__(self, config: DiffusionConfig, rngs: nnx.Rngs):
        self.steer = silent(config.width, 2 * config.width, rngs)
        self.pixels = silent(config.width, config.patch**2 * config.channels, rngs)

    def __call__(self, x, steering: Float[Array, "B D"]) -> Float[Array, "B T P"]:
        """What is predicted for the pixels of each patch."""
        shift, scale = jnp.split(self.steer(steering)[:, None], 2, axis=-1)
        return self.pixels(modulated(x, shift, scale))


def silent(inputs: int, outputs: int, rngs: nnx.Rngs) -> Dense:
    """An affine map that starts at zero: it gives nothing until it has learned something."""
    made = Dense(inputs, outputs, letters="D P", rngs=rngs)
    made.kernel[...] = jnp.zeros((inputs, outputs))
    return made


def modulated(
    x: Float[Array, "B T D"], shift: Float[Array, "B 1 D"], scale: Float[Array, "B 1 D"]
) -> Float[Array, "B T D"]:
    """Normalised rows, scaled by 1 + `scale` and shifted."""
    ones = jnp.ones(x.shape[-1], x.dtype)
    normal: Any = layer_norm(x, ones, jnp.zeros_like(ones))
    return normal * (1 + scale) + shift


def grid_positions(side: int, width: int) -> Float[Array, "T D"]:
    """Where each of side² patches stands: half of the features for its row, half for its column."""
    waves = sinusoidal(side, width // 2)
    rows = jnp.broadcast_to(waves[:, None], (side, side, width // 2))
    columns = jnp.broadcast_to(waves[None], (side, side, width // 2))
    return jnp.concatenate([rows, columns], -1).reshape(side * side, width)


def to_patches(pictures: Float[Array, "B side side P"], patch: int) -> Float[Array, "B T F"]:
    """Pictures as rows of patches, the patches of the first row of each picture first."""
    count, side, _, channels = pictures.shape
    many = side // patch
    cut = pictures.reshape(count, many, patch, many, patch, channels).swapaxes(2, 3)
    return cut.reshape(count, many * many, patch * patch * channels)


def from_patches(patches: Float[Array, "B T F"], patch: int) -> Float[Array, "B side side P"]:
    """The pictures that `to_patches` cut up."""
    count, total, size = patches.shape
    many, channels = round(total**0.5), size // patch**2
    laid = patches.reshape(count, many, many, patch, patch, channels).swapaxes(2, 3)
    return laid.reshape(count, many * patch, many * patch, channels)
