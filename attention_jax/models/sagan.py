"""The Self-Attention GAN: a generator and a discriminator that look at whole maps of features.

Source: Zhang et al. 2019, "Self-Attention Generative Adversarial Networks". The discriminator
knows the label by projection (Miyato and Koyama 2018, "cGANs with Projection Discriminator").
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from attention_jax.functional import attend
from attention_jax.functional.scores import Score, dot
from attention_jax.models.places import Place
from attention_jax.models.sagan_config import SaganConfig
from attention_jax.models.sagan_layers import (
    Convolution,
    GrowingBlock,
    LabelTable,
    MapAttention,
    ShrinkingBlock,
    normalized,
)
from attention_jax.models.transformer_layers import Arrange, Pass, as_it_is
from attention_jax.modules import Dense
from attention_jax.modules.attention import Attend

__all__ = ["Sagan", "SaganConfig"]


class Sagan(nnx.Module):
    """From latent numbers and labels to pictures, and from pictures to how real they look."""

    def __init__(self, config: SaganConfig, *, rngs: nnx.Rngs):
        """Makes all parameters from `rngs.params`."""
        self.config = config
        self.generator = Generator(config, rngs)
        self.discriminator = Discriminator(config, rngs)

    def __call__(
        self,
        latents: Float[Array, "B F"],
        labels: Int[Array, " B"],
        *,
        rng: Array | None = None,
        **call: Any,
    ):
        """Pictures of these labels, their pixels between -1 and 1.

        Args:
          latents: standard normal numbers.
          labels: what the pictures shall show, from 0 to classes - 1.
          rng: no part of this model is left to chance; taken, and not used.
          **call: see `asked`; the generator's place is "decoder".

        Returns:
          Pictures [B, side, side, channels]; with `explain` the pair (pictures, kept by `Place`).

        Raises:
          ValueError: there are other numbers of latents or labels.
        """
        one = asked(**call)
        pictures = normalized(self.generator)(latents, labels, one)
        return pictures if one.explain is None else (pictures, one.found)

    def judge(self, pictures: Float[Array, "B side side P"], labels: Int[Array, " B"], **call: Any):
        """How real pictures of these labels look: high is real.

        Args:
          pictures: pixels from -1 to 1.
          labels: what they show.
          **call: see `asked`; the discriminator's place is "encoder".

        Returns:
          [B]; with `explain` the pair ([B], kept by `Place`).

        Raises:
          ValueError: pictures have another size, or there is not a label for each.
        """
        one = asked(**call)
        real = normalized(self.discriminator)(pictures, labels, one)
        return real if one.explain is None else (real, one.found)


def asked(
    *,
    explain: bool | Callable[[Place, Array], Any] = False,
    heads: Callable[[Place, Array], Array] | None = None,
    score: Score = dot,
    attend: Attend = attend,
    arrange: Arrange = as_it_is,
) -> Pass:
    """What is asked of a pass of either player.

    Args:
      explain: True also gives the attention weights; a function is given the place and its weights
        [B, H, T, T], and what it returns is kept. The places of a map are in the order of its rows.
      heads: is given the place and what its heads give there, [B, T, H, K], and returns what goes
        into the output projection instead.
      score: of the attention; the paper's is not divided by the root of the features.
      attend: computes it, called as `functional.attend`.
      arrange: called with activations and their letters; says where they lie on devices.
    """
    look = (lambda _, weights: weights) if explain is True else explain or None
    return Pass(look, heads, score, attend, arrange)


class Generator(nnx.Module):
    """Latent numbers and a label to a picture."""

    def __init__(self, config: SaganConfig, rngs: nnx.Rngs):
        self.config = config
        size, side, style = config.features, config.side // 4, 2 * config.latent
        self.labels = LabelTable(config.classes, config.latent, rngs)
        self.begin = Dense(style, side * side * 4 * size, letters="D P", rngs=rngs)
        self.first = GrowingBlock(4 * size, 2 * size, style, rngs)
        place = Place("decoder", 0)
        self.attention = MapAttention(2 * size, config.heads, config.head_size, place, rngs)
        self.second = GrowingBlock(2 * size, size, style, rngs)
        self.pixels = Convolution(size, config.channels, rngs=rngs)

    def __call__(self, latents, labels, one: Pass) -> Float[Array, "B side side P"]:
        """The pictures."""
        config, count = self.config, len(labels)
        if latents.shape != (count, config.latent):
            raise ValueError(
                f"latents have shape {list(latents.shape)}; [{count}, {config.latent}], a row for "
                "each label, would fit"
            )
        named = self.labels(labels) * config.latent**0.5
        style = jnp.concatenate([latents, named.astype(latents.dtype)], -1)
        side = config.side // 4
        x = self.begin(style).reshape(count, side, side, 4 * config.features)
        x = self.attention(self.first(x, style), one)
        x = jax.nn.relu(self.second(x, style))
        return jnp.tanh(self.pixels(x))


class Discriminator(nnx.Module):
    """A picture and its label to how real it looks."""

    def __init__(self, config: SaganConfig, rngs: nnx.Rngs):
        self.config = config
        size = config.features
        self.first = ShrinkingBlock(config.channels, 2 * size, first=True, halve=True, rngs=rngs)
        place = Place("encoder", 0)
        self.attention = MapAttention(2 * size, config.heads, config.head_size, place, rngs)
        self.second = ShrinkingBlock(2 * size, 4 * size, halve=True, rngs=rngs)
        self.third = ShrinkingBlock(4 * size, 4 * size, halve=False, rngs=rngs)
        self.real = Dense(4 * size, 1, letters="D P", rngs=rngs)
        self.labels = LabelTable(config.classes, 4 * size, rngs)

    def __call__(self, pictures, labels, one: Pass) -> Float[Array, " B"]:
        """High where it looks real."""
        side, channels = self.config.side, self.config.channels
        if pictures.shape != (len(labels), side, side, channels):
            raise ValueError(
                f"pictures have shape {list(pictures.shape)}; [{len(labels)}, {side}, {side}, "
                f"{channels}], one for each label, would fit"
            )
        x = self.attention(self.first(pictures), one)
        x = jax.nn.relu(self.third(self.second(x))).sum((1, 2))
        return self.real(x)[:, 0] + (self.labels(labels).astype(x.dtype) * x).sum(-1)
