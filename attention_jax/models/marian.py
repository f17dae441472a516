"""Marian: the Transformer of 2017 as a fast C++ library trains it, and OPUS-MT's thousand models.

What differs from the paper: all maps have a bias, the logits too; positions have their sines in the
first half of the features and their cosines in the second; the activation may be another.

Source: Junczys-Dowmunt, Grundkiewicz, Dwojak, Hoang, Heafield, Neckermann, Seide, Germann, Aji,
Bogoychev, Martins and Birch, *Marian: Fast Neural Machine Translation in C++*, 2018; Tiedemann and
Thottingal, *OPUS-MT - Building open translation services for the World*, 2020.
"""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from attention_jax.functional.positions import sinusoidal
from attention_jax.models.encoder_decoder import EncoderDecoder
from attention_jax.models.encoder_decoder_layers import (
    Around,
    DecoderLayer,
    EncoderLayer,
    Network,
)
from attention_jax.models.marian_config import MarianConfig
from attention_jax.models.places import Part, Place
from attention_jax.modules import Embedding, LayerNorm, MultiHeadAttention

__all__ = ["Marian", "MarianConfig"]

EPSILON = 1e-5
"""added to the variance by layer normalisation"""


class Marian(EncoderDecoder):
    """From source and target tokens to logits for each next target token; see `EncoderDecoder`."""

    def __init__(self, config: MarianConfig, *, rngs: nnx.Rngs):
        """Makes all parameters from `rngs.params`."""
        self.config = config
        target = config.target_vocabulary or config.vocabulary
        if config.tied:
            self.embedding = Embedding(config.vocabulary, config.width, rngs=rngs)
        else:
            self.source_embedding = Embedding(config.vocabulary, config.width, rngs=rngs)
            self.target_embedding = Embedding(target, config.width, rngs=rngs)
        self.output_bias = nnx.Param(jnp.zeros(target), letters="V")
        self.encoder = nnx.List(
            [
                EncoderLayer(
                    layer,
                    _attention(config, Place("encoder", layer), rngs),
                    _network(config, config.encoder_feed_forward, rngs),
                    _residuals(config, 2),
                )
                for layer in range(config.encoder_layers)
            ]
        )
        self.decoder = nnx.List(
            [
                DecoderLayer(
                    layer,
                    _attention(config, Place("decoder", layer), rngs),
                    _attention(config, Place("cross", layer), rngs),
                    _network(config, config.decoder_feed_forward, rngs),
                    _residuals(config, 3),
                )
                for layer in range(config.decoder_layers)
            ]
        )

    def enter(self, part: Part, tokens, begin, room: int) -> Float[Array, "B T D"]:
        """See `EncoderDecoder.enter`."""
        table = self._table(part)
        x = table.embed(tokens) if self.config.scaled else table.table[...][tokens]
        pairs = sinusoidal(room, self.config.width, dtype=x.dtype)
        halves = jnp.concatenate([pairs[:, ::2], pairs[:, 1::2]], axis=-1)
        return x + jax.lax.dynamic_slice_in_dim(halves, begin, tokens.shape[1])[None]

    def logits(self, x: Float[Array, "*B D"]) -> Float[Array, "*B V"]:
        """See `EncoderDecoder.logits`."""
        bias = self.output_bias[...]
        return self._table("decoder").logits(x) + bias.reshape((1,) * (x.ndim - 1) + (-1,))

    def _table(self, part: Part) -> Embedding:
        if self.config.tied:
            return self.embedding
        return self.source_embedding if part == "encoder" else self.target_embedding


def _attention(config: MarianConfig, place: Place, rngs: nnx.Rngs) -> MultiHeadAttention:
    heads = config.heads_at(place)
    return MultiHeadAttention(config.width, heads, bias=True, output_bias=True, rngs=rngs)


def _network(config: MarianConfig, inner: int, rngs: nnx.Rngs) -> Network:
    return Network(config.width, inner, config.activation, rngs=rngs)


def _residuals(config: MarianConfig, count: int) -> list[Around]:
    norms = [LayerNorm(config.width, epsilon=EPSILON) for _ in range(count)]
    return [Around(norm, config.dropout, place="post") for norm in norms]
