"""The encoder-only Transformer: every token reads all of the text, before it and behind it.

Source: Devlin, Chang, Lee and Toutanova, *BERT: Pre-training of Deep Bidirectional Transformers for
Language Understanding*, 2019.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from attention_jax.functional import attend, scaled_dot
from attention_jax.functional.layers import dropout
from attention_jax.functional.masks import Lengths, Mask
from attention_jax.functional.scores import Score
from attention_jax.models.encoder_only_config import EncoderOnlyConfig
from attention_jax.models.places import Place
from attention_jax.models.transformer_layers import Arrange, Pass, as_it_is
from attention_jax.modules import (
    Embedding,
    FeedForward,
    GeluFeedForward,
    LayerNorm,
    MultiHeadAttention,
    Residual,
)
from attention_jax.modules.attention import Attend

__all__ = ["EncoderOnly", "EncoderOnlyConfig"]

SPREAD = 0.02
"""standard deviation of fresh tables (Devlin et al. 2019, in the code published with it)"""


class EncoderOnly(nnx.Module):
    """From the tokens of a text, or of two, to a row of features for each.

    The token `config.padding` is never seen, and may stand only at the end of a row.
    """

    def __init__(self, config: EncoderOnlyConfig, *, rngs: nnx.Rngs):
        """Makes all parameters from `rngs.params`."""
        self.config = config
        width = config.width

        def table(rows: int) -> nnx.Param:
            return nnx.Param(
                SPREAD * jax.random.normal(rngs.params(), (rows, width)), letters="L D"
            )

        self.embedding = Embedding(config.vocabulary, width, rngs=rngs)
        # As small as the positions, or order is hard to hear behind the words at first.
        self.embedding.table[...] *= SPREAD * width**0.5
        self.positions = table(config.context)
        self.types = table(config.types) if config.types else None
        self.norm = LayerNorm(width, epsilon=config.epsilon)
        self.layers = nnx.List([EncoderOnlyLayer(config, n, rngs) for n in range(config.layers)])

    def __call__(
        self,
        tokens: Int[Array, "B S"],
        types: Int[Array, "B S"] | None = None,
        *,
        positions: Int[Array, "B S"] | None = None,
        rng: Array | None = None,
        explain: bool | Callable[[Place, Array], Any] = False,
        heads: Callable[[Place, Array], Array] | None = None,
        score: Score = scaled_dot,
        attend: Attend = attend,
        arrange: Arrange = as_it_is,
    ):
        """The features of every token after the last layer.

        Args:
          tokens: padding (`config.padding`) at the end.
          types: of each token, such as 0 in a first sentence and 1 in a second; None: all 0.
          positions: of each token; None: 0, 1, 2 and so on along the row.
          rng: a `jax.random` key switches dropout on.
          explain: True also gives the attention weights. A function is given every place and its
            weights [B, H, S, S], layer after layer, and only what it returns is kept. The features
            stay the same.
          heads: is given every place and what its heads give there, [B, S, H, K], and returns what
            goes into the output projection instead: to gate heads, to replace them, to look.
          score: of all attentions.
          attend: computes all attentions, called as `functional.attend`: to spread long ones.
          arrange: called with activations and their letters; says where they lie on devices.

        Returns:
          Features [B, S, D], those of padding without meaning; with `explain` the pair (features,
          weights [L, B, H, S, S]), or, for a function, (features, what it returned by `Place`).

        Raises:
          ValueError: there are more tokens than positions, or types or positions for other tokens.
        """
        self._check(tokens, types, positions)
        look = (lambda _, weights: weights) if explain is True else explain or None
        one = Pass(look, heads, score, attend, arrange)
        streams = self._streams(rng)
        real = tokens != self.config.padding
        x = dropout(
            self._embed(tokens, types, positions, real, one), self.config.dropout, streams.pop()
        )
        mask = Lengths(real.sum(-1))
        for layer in self.layers:
            x = layer(x, mask, [streams.pop(), streams.pop()], one)
        if look is None:
            return x
        return x, jnp.stack(list(one.found.values())) if explain is True else one.found

    def _embed(self, tokens, types, positions, real, one: Pass) -> Float[Array, "B S D"]:
        table, length = self.positions[...], tokens.shape[1]
        x = self.embedding.table[...][tokens]
        x += table[None, :length] if positions is None else table[positions]
        if self.types is not None:
            x += self.types[...][jnp.zeros_like(tokens) if types is None else types]
        # Nobody reads padding, but the backward pass multiplies what it holds by zero.
        x = self.norm(jnp.where(real[..., None], x, 0))
        return one.arrange(x, "B T D")

    def _streams(self, rng: Array | None) -> list:
        """One key for each place of dropout, taken from the end."""
        places = 1 + 2 * self.config.layers
        return [None] * places if rng is None else list(jax.random.split(rng, places))

    def _check(self, tokens, types, positions) -> None:
        if tokens.ndim != 2 or tokens.shape[1] > self.config.context:
            raise ValueError(
                f"tokens have shape {list(tokens.shape)}; [B, S] would fit, with S at most "
                f"{self.config.context}, as there are no more positions"
            )
        for name, found in (("types", types), ("positions", positions)):
            if found is not None and found.shape != tokens.shape:
                raise ValueError(
                    f"{name} have shape {list(found.shape)}; that of tokens, "
                    f"{list(tokens.shape)}, would fit"
                )
        if types is not None and self.types is None:
            raise ValueError("the model tells no types of tokens apart; types=None would fit")


class EncoderOnlyLayer(nnx.Module):
    """Attention of a text to itself, then a feed-forward network, each inside a residual."""

    def __init__(self, config: EncoderOnlyConfig, layer: int, rngs: nnx.Rngs):
        self.place = Place("encoder", layer)
        self.attention = MultiHeadAttention(
            config.width, config.heads, bias=True, output_bias=True, rngs=rngs
        )
        self.feed_forward = _feed_forward(config, rngs)
        self.residuals = nnx.List(
            [
                Residual(config.width, config.dropout, norm="post", epsilon=config.epsilon)
                for _ in range(2)
            ]
        )

    def __call__(self, x, mask: Mask, rngs: list, one: Pass) -> Float[Array, "B S D"]:
        """One layer further."""

        def read(rows):
            return one.read(self.attention, self.place, rows, rows, mask)

        x = self.residuals[0](x, read, rngs[0])
        return one.arrange(self.residuals[1](x, self.feed_forward, rngs[1]), "B T D")


def _feed_forward(config: EncoderOnlyConfig, rngs: nnx.Rngs) -> FeedForward | GeluFeedForward:
    if config.activation == "relu":
        return FeedForward(config.width, config.feed_forward, rngs=rngs)
    exact = config.activation == "gelu"
    return GeluFeedForward(config.width, config.feed_forward, exact=exact, rngs=rngs)
