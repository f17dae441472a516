"""The Vision Transformer: a picture is cut into squares, and these are read like words.

Source: Dosovitskiy, Beyer, Kolesnikov, Weissenborn, Zhai, Unterthiner, Dehghani, Minderer, Heigold,
Gelly, Uszkoreit and Houlsby, *An Image is Worth 16x16 Words: Transformers for Image Recognition at
Scale*, 2021.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from attention_jax.functional import attend, scaled_dot
from attention_jax.functional.cells import blocks
from attention_jax.functional.layers import dropout
from attention_jax.functional.positions import sinusoidal
from attention_jax.functional.scores import Score
from attention_jax.models.places import Place
from attention_jax.models.transformer_layers import Arrange, Pass, as_it_is
from attention_jax.models.vision_config import VisionConfig
from attention_jax.modules import (
    Dense,
    FeedForward,
    GeluFeedForward,
    LayerNorm,
    MultiHeadAttention,
    Residual,
)
from attention_jax.modules.attention import Attend

__all__ = ["VisionConfig", "VisionTransformer", "patches"]

SPREAD = 0.02
"""standard deviation of fresh positions (Dosovitskiy et al., in the code published with it)"""


class VisionTransformer(nnx.Module):
    """From pictures to what they show.

    Every layer normalises what it reads (pre-norm), and the last rows are normalised once more.
    """

    def __init__(self, config: VisionConfig, *, rngs: nnx.Rngs):
        """Makes all parameters from `rngs.params`."""
        self.config = config
        width = config.width
        self.patches = Dense(config.patch**2 * config.channels, width, letters="P D", rngs=rngs)

        def table(rows: int) -> nnx.Param:
            return nnx.Param(
                SPREAD * jax.random.normal(rngs.params(), (rows, width)), letters="L D"
            )

        self.token = table(1) if config.summary == "class_token" else None
        self.positions = table(config.rows) if config.positions == "learned" else None
        self.layers = nnx.List([VisionLayer(config, n, rngs) for n in range(config.layers)])
        self.norm = LayerNorm(width, epsilon=config.epsilon)
        classes = config.classes
        self.head = Dense(width, classes, letters="D V", rngs=rngs) if classes else None

    def __call__(
        self,
        pictures: Float[Array, "B height width channels"],
        *,
        rng: Array | None = None,
        explain: bool | Callable[[Place, Array], Any] = False,
        heads: Callable[[Place, Array], Array] | None = None,
        score: Score = scaled_dot,
        attend: Attend = attend,
        arrange: Arrange = as_it_is,
    ):
        """How well each class fits each picture.

        Args:
          pictures: numbers around zero, such as from -1 to 1.
          rng: a `jax.random` key switches dropout on.
          explain: True also gives the attention weights. A function is given every place and its
            weights [B, H, T, T], layer after layer, and only what it returns is kept. The logits
            stay the same. Row 0 is the class token where there is one; patches follow, row by row.
          heads: is given every place and what its heads give there, [B, T, H, K], and returns what
            goes into the output projection instead: to gate heads, to replace them, to look.
          score: of all attentions.
          attend: computes all attentions, called as `functional.attend`.
          arrange: called with activations and their letters; says where they lie on devices.

        Returns:
          Logits [B, V], or, without classes, features [B, D]; with `explain` the pair (logits,
          weights [L, B, H, T, T]), or, for a function, (logits, what it returned by `Place`).

        Raises:
          ValueError: the pictures are not of the size that the config says.
        """
        self._check(pictures)
        look = (lambda _, weights: weights) if explain is True else explain or None
        one = Pass(look, heads, score, attend, arrange)
        places = 1 + 2 * self.config.layers
        streams = [None] * places if rng is None else list(jax.random.split(rng, places))
        x = arrange(dropout(self._embed(pictures), self.config.dropout, streams.pop()), "B T D")
        for layer in self.layers:
            x = layer(x, [streams.pop(), streams.pop()], one)
        x = self.norm(x)
        x = x.mean(1) if self.token is None else x[:, 0]
        logits = x if self.head is None else self.head(x)
        if look is None:
            return logits
        return logits, jnp.stack(list(one.found.values())) if explain is True else one.found

    def _embed(self, pictures: Array) -> Float[Array, "B T D"]:
        kernel = self.patches.kernel[...]
        x = self.patches(patches(pictures.astype(kernel.dtype), self.config.patch))
        if self.token is not None:
            token = jnp.broadcast_to(self.token[...][None], (len(x), 1, self.config.width))
            x = jnp.concatenate([token, x], 1)
        return x + self._positions().astype(x.dtype)[None]

    def _positions(self) -> Float[Array, "T D"]:
        if self.positions is not None:
            return self.positions[...]
        found = grid_sinusoidal(*self.config.grid, self.config.width)
        return found if self.token is None else jnp.pad(found, ((1, 0), (0, 0)))

    def _check(self, pictures: Array) -> None:
        config = self.config
        wanted = config.picture_height, config.picture_width, config.channels
        if pictures.ndim != 4 or pictures.shape[1:] != wanted:
            raise ValueError(
                f"pictures have shape {list(pictures.shape)}; [B, height, width, channels] with "
                f"height, width and channels {list(wanted)} would fit"
            )


class VisionLayer(nnx.Module):
    """Attention of a picture's patches to each other, then a feed-forward network."""

    def __init__(self, config: VisionConfig, layer: int, rngs: nnx.Rngs):
        self.place = Place("encoder", layer)
        self.attention = MultiHeadAttention(
            config.width, config.heads, bias=config.qkv_bias, output_bias=True, rngs=rngs
        )
        self.feed_forward = _feed_forward(config, rngs)
        self.residuals = nnx.List(
            [
                Residual(config.width, config.dropout, norm="pre", epsilon=config.epsilon)
                for _ in range(2)
            ]
        )

    def __call__(self, x, rngs: list, one: Pass) -> Float[Array, "B T D"]:
        """One layer further."""

        def read(rows):
            return one.read(self.attention, self.place, rows, rows, None)

        x = self.residuals[0](x, read, rngs[0])
        return one.arrange(self.residuals[1](x, self.feed_forward, rngs[1]), "B T D")


def patches(pictures: Float[Array, "B height width channels"], size: int) -> Float[Array, "B T P"]:
    """The squares of pictures, row by row, each as its pixels, row by row, and their channels.

    Args:
      pictures: height and width are multiples of `size`.
      size: pixels along each side of a square.
    """
    cut = blocks(pictures, size)
    return cut.reshape(cut.shape[0], -1, cut.shape[-1])


def grid_sinusoidal(rows: int, columns: int, width: int) -> Float[Array, "T D"]:
    """Sines and cosines of each place's row, then as many of its column, row by row.

    Args:
      rows: of places.
      columns: of places.
      width: D, a multiple of 4.

    Source: Vaswani et al. 2017, section 3.5, for each direction by itself, as in Chen, Xie and He
    2021, "An Empirical Study of Training Self-Supervised Vision Transformers", appendix A.
    """
    half = width // 2
    by_row, by_column = sinusoidal(rows, half)[:, None], sinusoidal(columns, half)[None]
    both = [jnp.broadcast_to(one, (rows, columns, half)) for one in (by_row, by_column)]
    return jnp.concatenate(both, -1).reshape(rows * columns, width)


def _feed_forward(config: VisionConfig, rngs: nnx.Rngs) -> FeedForward | GeluFeedForward:
    if config.activation == "relu":
        return FeedForward(config.width, config.feed_forward, rngs=rngs)
    exact = config.activation == "gelu"
    return GeluFeedForward(config.width, config.feed_forward, exact=exact, rngs=rngs)
