"""The Diffusion Transformer: what of a noised picture is noise, patch by patch.

Source: Peebles and Xie 2023, "Scalable Diffusion Models with Transformers" (DiT). What it is asked
for: Lipman et al. 2023, "Flow Matching for Generative Modeling", and Liu et al. 2023, "Flow
Straight and Fast" (velocity); Ho et al. 2020, "Denoising Diffusion Probabilistic Models" (noise).
Pixels take the place of the latents of an autoencoder, no variance is predicted, and the layers may
give the picture that noise or velocity follow from: Li and He 2025, "Back to Basics: Let Denoising
Generative Models Denoise", section 4.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from attention_jax.functional import attend, scaled_dot
from attention_jax.functional.noising import PATHS
from attention_jax.functional.scores import Score
from attention_jax.models.diffusion_config import DiffusionConfig
from attention_jax.models.diffusion_layers import (
    SteeredLayer,
    SteeredOutput,
    TimeEmbedding,
    from_patches,
    grid_positions,
    to_patches,
)
from attention_jax.models.places import Place
from attention_jax.models.transformer_layers import Arrange, Pass, as_it_is
from attention_jax.modules import Dense
from attention_jax.modules.attention import Attend

__all__ = ["Diffusion", "DiffusionConfig"]

SPREAD = 0.02
"""standard deviation of a fresh table of labels, as in the code published with the paper"""


LEAST_NOISE = 0.05
"""σ below which noise is not solved for any more: that would be a division by almost nothing"""


class Diffusion(nnx.Module):
    """From noised pictures, their times and their labels to velocities, or noise."""

    def __init__(self, config: DiffusionConfig, *, rngs: nnx.Rngs):
        """Makes all parameters from `rngs.params`."""
        self.config = config
        pixels = config.patch**2 * config.channels
        self.patches = Dense(pixels, config.width, letters="P D", rngs=rngs)
        self.times = TimeEmbedding(config, rngs)
        labels = jax.random.normal(rngs.params(), (config.classes + 1, config.width))
        self.labels = nnx.Param(SPREAD * labels, letters="L D")
        self.layers = nnx.List([SteeredLayer(config, n, rngs) for n in range(config.layers)])
        self.output = SteeredOutput(config, rngs)

    def __call__(
        self,
        pictures: Float[Array, "B side side P"],
        times: Float[Array, " B"],
        labels: Int[Array, " B"],
        *,
        rng: Array | None = None,
        explain: bool | Callable[[Place, Array], Any] = False,
        heads: Callable[[Place, Array], Array] | None = None,
        score: Score = scaled_dot,
        attend: Attend = attend,
        arrange: Arrange = as_it_is,
    ):
        """What the model is asked for, for every pixel.

        Args:
          pictures: on their way to noise; picture and noise both have a spread of about 1.
          times: from 0, no noise, to 1, nothing else.
          labels: from 0 to classes - 1; `config.classes` for none.
          rng: no part of this model is left to chance; taken, and not used.
          explain: True also gives the attention weights. A function is given every place and its
            weights [B, H, T, T], layer after layer, and only what it returns is kept.
          heads: is given every place and what its heads give there, [B, T, H, K], and returns what
            goes into the output projection instead.
          score: of all attentions.
          attend: computes all attentions, called as `functional.attend`.
          arrange: called with activations and their letters; says where they lie on devices.

        Returns:
          [B, side, side, channels]; with `explain` the pair (that, weights [L, B, H, T, T]), or,
          for a function, (that, what it returned by `Place`).

        Raises:
          ValueError: pictures have another size, or there is not a time and a label for each.
        """
        self._check(pictures, times, labels)
        look = (lambda _, weights: weights) if explain is True else explain or None
        one = Pass(look, heads, score, attend, arrange)
        x = self.patches(to_patches(pictures, self.config.patch))
        many = self.config.side // self.config.patch
        places = grid_positions(many, self.config.width).astype(x.dtype)
        x = one.arrange(x + places[None], "B T D")
        steering = jax.nn.silu(self.times(times.astype(x.dtype)) + self.labels[...][labels])
        for layer in self.layers:
            x = layer(x, steering, one)
        found = from_patches(self.output(x, steering), self.config.patch)
        if self.config.through_picture:
            found = self._solved(pictures, times, found)
        if look is None:
            return found
        return found, jnp.stack(list(one.found.values())) if explain is True else one.found

    def _solved(self, noised, times, picture) -> Float[Array, "B side side P"]:
        """The noise, or the velocity, that a noised picture has if this picture is behind it."""
        column = times.astype(noised.dtype).reshape(-1, 1, 1, 1)
        keep, add = PATHS[self.config.predicts](column)
        noise = (noised - keep * picture) / jnp.maximum(add, LEAST_NOISE)
        return noise if self.config.predicts == "noise" else noise - picture

    def _check(self, pictures, times, labels) -> None:
        side, channels = self.config.side, self.config.channels
        if pictures.ndim != 4 or pictures.shape[1:] != (side, side, channels):
            raise ValueError(
                f"pictures have shape {list(pictures.shape)}; [B, {side}, {side}, {channels}] "
                "would fit"
            )
        for name, found in (("times", times), ("labels", labels)):
            if found.shape != pictures.shape[:1]:
                raise ValueError(
                    f"{name} have shape {list(found.shape)}; [{len(pictures)}], one for each "
                    "picture, would fit"
                )
