"""T5: an encoder-decoder Transformer that knows distances, and no positions.

Each stack has one table of learned numbers, by the bucket of a distance and the head, which all of
its layers add to the logits of their attention to themselves. Logits are plain dot products: the
1/√K lies in how the kernels start. Normalisation is by length alone, in front of each sub-layer and
behind each stack, and no map has a bias.

Source: Raffel, Shazeer, Roberts, Lee, Narang, Matena, Zhou, Li and Liu, *Exploring the Limits of
Transfer Learning with a Unified Text-to-Text Transformer*, 2020, section 2.1; with a gate and a
projection of its own, version 1.1: Shazeer 2020, "GLU Variants Improve Transformer".
"""

from flax import nnx
from jaxtyping import Array, Float

from attention_jax.functional.biases import T5Buckets
from attention_jax.functional.scores import dot
from attention_jax.models.encoder_decoder import EncoderDecoder
from attention_jax.models.encoder_decoder_layers import (
    Activation,
    Around,
    DecoderLayer,
    EncoderLayer,
    Network,
)
from attention_jax.models.places import Part
from attention_jax.models.t5_config import T5Config
from attention_jax.modules import Dense, Embedding, MultiHeadAttention, RMSNorm

__all__ = ["T5", "T5Config"]

_NETWORKS: dict[str, tuple[Activation, bool]] = {
    "relu": ("relu", False),
    "silu": ("silu", False),
    "gated_relu": ("relu", True),
    "gated_silu": ("silu", True),
    "gated_gelu": ("gelu_tanh", True),
}


class T5(EncoderDecoder):
    """From source and target tokens to logits for each next target token; see `EncoderDecoder`."""

    score = staticmethod(dot)

    def __init__(self, config: T5Config, *, rngs: nnx.Rngs):
        """Makes all parameters from `rngs.params`."""
        self.config, width = config, config.width
        self.embedding = Embedding(config.vocabulary, width, rngs=rngs)
        if config.scaled or not config.tied:  # vectors enter as they are
            self.embedding.table[...] *= width**0.5
        if not config.tied:
            self.projection = Dense(width, config.vocabulary, bias=False, letters="D V", rngs=rngs)
        self.encoder_distances = _distances(config, rngs)
        self.decoder_distances = _distances(config, rngs)
        self.encoder = nnx.List(
            [
                EncoderLayer(
                    n, _attention(config, rngs), _network(config, rngs), _around(config, 2)
                )
                for n in range(config.encoder_layers)
            ]
        )
        self.decoder = nnx.List(
            [
                DecoderLayer(
                    n,
                    _attention(config, rngs),
                    _attention(config, rngs),
                    _network(config, rngs),
                    _around(config, 3),
                )
                for n in range(config.decoder_layers)
            ]
        )
        self.encoder_norm, self.decoder_norm = _norm(config), _norm(config)

    def enter(self, part: Part, tokens, begin, room: int) -> Float[Array, "B T D"]:
        """See `EncoderDecoder.enter`."""
        return self.embedding.table[...][tokens]

    def leave(self, part: Part, x: Float[Array, "B T D"]) -> Float[Array, "B T D"]:
        """See `EncoderDecoder.leave`."""
        return self.encoder_norm(x) if part == "encoder" else self.decoder_norm(x)

    def bias(self, part: Part, begin) -> T5Buckets:
        """See `EncoderDecoder.bias`."""
        reading = part == "encoder"
        table = self.encoder_distances if reading else self.decoder_distances
        return T5Buckets(table[...], reading, self.config.max_distance, begin)

    def logits(self, x: Float[Array, "*B D"]) -> Float[Array, "*B V"]:
        """See `EncoderDecoder.logits`."""
        x = x * self.config.width**-0.5 if self.config.scaled else x
        return self.embedding.logits(x) if self.config.tied else self.projection(x)


def _distances(config: T5Config, rngs: nnx.Rngs) -> nnx.Param:
    table = nnx.initializers.normal(config.width**-0.5)(
        rngs.params(), (config.buckets, config.heads)
    )
    return nnx.Param(table, letters="L H")


def _attention(config: T5Config, rngs: nnx.Rngs) -> MultiHeadAttention:
    attention = MultiHeadAttention(
        config.width, config.heads, head_size=config.head_size, rngs=rngs
    )
    attention.query.kernel[...] *= config.head_size**-0.5
    return attention


def _network(config: T5Config, rngs: nnx.Rngs) -> Network:
    activation, gated = _NETWORKS[config.activation]
    sizes = config.width, config.feed_forward
    return Network(*sizes, activation, gated=gated, bias=False, rngs=rngs)


def _norm(config: T5Config) -> RMSNorm:
    return RMSNorm(config.width, epsilon=config.epsilon)


def _around(config: T5Config, count: int) -> list[Around]:
    return [Around(_norm(config), config.dropout, place="pre") for _ in range(count)]
