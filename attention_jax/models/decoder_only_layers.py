"""The layer of a decoder-only Transformer: attention to what came before, then a feed-forward net.

Source: Radford et al. 2019, section 2.3: each sub-layer reads a normalised stream and adds to it.
"""

from typing import NamedTuple

import jax
from flax import nnx
from jaxtyping import Array, Float, Int

from attention_jax.functional import explain
from attention_jax.functional.heads import merge_heads, split_heads
from attention_jax.functional.layers import dropout
from attention_jax.functional.masks import Mask
from attention_jax.functional.rotary import rotary
from attention_jax.models.decoder_only_config import DecoderOnlyConfig
from attention_jax.models.places import Place
from attention_jax.models.transformer_layers import Pass
from attention_jax.modules import Dense, GatedFeedForward, GeluFeedForward, LayerNorm, RMSNorm

SPREAD = 0.02
"""standard deviation of fresh kernels (Radford et al. 2018, section 4.1)"""


class Past(NamedTuple):
    """Keys and values of a layer, with room for those of the places from `place` on."""

    key: Float[Array, "B S G K"]
    value: Float[Array, "B S G K"]
    place: Int[Array, ""]


class SelfAttention(nnx.Module):
    """Multi-head attention of a sequence to itself; rotary positions turn its queries and keys.

    Kernels are kept flat, as in `MultiHeadAttention`; here all four maps may have a bias.
    """

    def __init__(self, config: DecoderOnlyConfig, rngs: nnx.Rngs):
        self.config = config
        inner, shared = (n * config.size_of_head for n in (config.heads, config.groups))
        first, last = (
            config.bias if own is None else own for own in (config.qkv_bias, config.output_bias)
        )
        self.query = Dense(config.width, inner, bias=first, letters="D H", rngs=rngs)
        self.key = Dense(config.width, shared, bias=first, letters="D G", rngs=rngs)
        self.value = Dense(config.width, shared, bias=first, letters="D G", rngs=rngs)
        self.output = Dense(inner, config.width, bias=last, letters="H D", rngs=rngs)

    def project(self, x: Float[Array, "B T D"], positions: Int[Array, "*B T"], one: Pass):
        """Queries [B, T, H, K], keys and values [B, T, G, K] of rows at these positions."""
        query = split_heads(self.query(x), self.config.heads)
        key, value = (split_heads(map(x), self.config.groups) for map in (self.key, self.value))
        if self.config.positions == "rotary":
            base = self.config.base
            query, key = rotary(query, positions, base=base), rotary(key, positions, base=base)
        return one.arrange(query, "B T H K"), *(one.arrange(y, "B S G K") for y in (key, value))

    def read(self, query, key, value, place: Place, mask: Mask, one: Pass) -> Float[Array, "B T D"]:
        """What each query reads, looked at and changed as asked, through the output projection."""
        if one.explain is not None:
            weights = explain(query, key, score=one.score, mask=mask)
            one.found[place] = one.explain(place, one.arrange(weights, "B H T S"))
        outputs = one.attend(query, key, value, score=one.score, mask=mask)
        if one.heads is not None:
            outputs = one.heads(place, outputs)
        return self.output(merge_heads(one.arrange(outputs, "B T H K")))


class DecoderOnlyLayer(nnx.Module):
    """Attention to what came before, then a feed-forward network, each added to the stream."""

    def __init__(self, config: DecoderOnlyConfig, layer: int, rngs: nnx.Rngs):
        self.place, self.rate = Place("decoder", layer), config.dropout
        self.attention = SelfAttention(config, rngs)
        self.feed_forward = _feed_forward(config, rngs)
        self.attention_norm, self.feed_forward_norm = normalisation(config), normalisation(config)
        _respread(self, config, rngs)

    def __call__(
        self, x, positions, mask: Mask, rngs: tuple, one: Pass, past: Past | None = None
    ) -> tuple[Float[Array, "B T D"], Array, Array]:
        """One layer further, and the keys and values that it read, those of `past` among them."""
        query, key, value = self.attention.project(self.attention_norm(x), positions, one)
        if past is not None:
            key = jax.lax.dynamic_update_slice_in_dim(past.key, key, past.place, 1)
            value = jax.lax.dynamic_update_slice_in_dim(past.value, value, past.place, 1)
        y = self.attention.read(query, key, value, self.place, mask, one)
        x = one.arrange(x + dropout(y, self.rate, rngs[0]), "B T D")
        y = self.feed_forward(self.feed_forward_norm(x))
        return one.arrange(x + dropout(y, self.rate, rngs[1]), "B T D"), key, value


def normalisation(config: DecoderOnlyConfig) -> LayerNorm | RMSNorm:
    """The normalisation that the config asks for."""
    kind = RMSNorm if config.norm == "rms" else LayerNorm
    return kind(config.width, epsilon=config.epsilon)


def _feed_forward(config: DecoderOnlyConfig, rngs: nnx.Rngs) -> GatedFeedForward | GeluFeedForward:
    sizes, bias = (config.width, config.feed_forward), config.bias
    if config.activation == "swiglu":
        return GatedFeedForward(*sizes, bias=bias, rngs=rngs)
    return GeluFeedForward(*sizes, bias=bias, exact=config.activation == "gelu_exact", rngs=rngs)


def _respread(layer: DecoderOnlyLayer, config: DecoderOnlyConfig, rngs: nnx.Rngs) -> None:
    """Kernels as GPT-2 starts them: normal, and narrower where they add to the stream.

    There are 2·layers such sums, and at first they shall not drown what was embedded (Radford et
    al. 2019, section 2.3).
    """
    adding = layer.attention.output, layer.feed_forward.contract
    for map in (*vars(layer.attention).values(), *vars(layer.feed_forward).values()):
        if isinstance(map, Dense):
            spread = SPREAD * (2 * config.layers) ** -0.5 if map in adding else SPREAD
            map.kernel[...] = spread * jax.random.normal(rngs.params(), map.kernel[...].shape)
