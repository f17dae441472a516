"""The encoder-decoder Transformer.

Source: Vaswani, Shazeer, Parmar, Uszkoreit, Jones, Gomez, Kaiser and Polosukhin, *Attention Is All
You Need*, 2017. Layer normalisation in front of the sub-layers: Xiong et al. 2020. The size `tiny`:
Wu et al. 2021.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from attention_jax.functional.layers import dropout
from attention_jax.functional.masks import Causal, Lengths, Mask
from attention_jax.functional.positions import sinusoidal
from attention_jax.modules import (
    Dense,
    Embedding,
    FeedForward,
    LayerNorm,
    MultiHeadAttention,
    Residual,
)


@dataclass(frozen=True)
class TransformerConfig:
    """The sizes of a Transformer."""

    preset: Literal["tiny", "base", "big"] = "tiny"
    """the published sizes that the other fields start from"""
    vocabulary: int = 10_000
    """V: tokens of the joint vocabulary; training sets it to the tokenizer's size"""
    width: int = 128
    """D: features of a token between layers"""
    encoder_layers: int = 4
    """layers that read the source"""
    decoder_layers: int = 4
    """layers that write the target"""
    heads: int = 4
    """H: attention heads a layer; divides the width"""
    key_value_heads: int | None = None
    """G: heads of keys and values, shared by groups of heads; divides heads; None: as many"""
    feed_forward: int = 256
    """F: features inside the feed-forward sub-layers"""
    dropout: float = 0.3
    """rate after each sub-layer and on the embedded tokens; rounded to 1/256"""
    norm: Literal["post", "pre"] = "post"
    """layer normalisation after each residual sum (the paper) or before each sub-layer"""
    tied: bool = True
    """one table for source tokens, target tokens and logits; else three"""

    def __post_init__(self):
        """Refuses sizes that no model can have."""
        for name in ("vocabulary", "width", "encoder_layers", "decoder_layers", "feed_forward"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.heads < 1 or self.width % self.heads:
            fits = [h for h in range(1, self.width + 1) if self.width % h == 0]
            raise ValueError(
                f"heads is {self.heads}, which does not divide width, {self.width}; "
                f"head counts that fit: {', '.join(map(str, fits))}"
            )
        if self.width % 2:
            raise ValueError(f"width is {self.width}; sinusoidal positions need an even width")
        groups = self.key_value_heads
        if groups is not None and (groups < 1 or self.heads % groups):
            raise ValueError(f"key_value_heads is {groups}; it must divide heads, {self.heads}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}; it must be at least 0 and less than 1")
        for name, fits in (("preset", ("tiny", "base", "big")), ("norm", ("post", "pre"))):
            if getattr(self, name) not in fits:
                raise ValueError(f"{name} is {getattr(self, name)!r}; one of {fits} fits")


PRESETS = {
    "tiny": TransformerConfig(),
    "base": TransformerConfig("base", 37_000, 512, 6, 6, 8, None, 2_048, 0.1),
    "big": TransformerConfig("big", 37_000, 1_024, 6, 6, 16, None, 4_096, 0.3),
}
"""`base` and `big`: Vaswani et al. 2017, table 3; `tiny`: Wu et al. 2021."""


class Weights(NamedTuple):
    """All attention weights of one pass, layers first."""

    encoder: Float[Array, "L B H S S"]
    decoder: Float[Array, "L B H T T"]
    cross: Float[Array, "L B H T S"]


class Cache(NamedTuple):
    """What decoding keeps between target positions; every array leads with the batch.

    One entry a decoder layer in each tuple. The position, shared by all rows, is a scalar.
    """

    keys: tuple[Float[Array, "B T G K"], ...]
    values: tuple[Float[Array, "B T G K"], ...]
    cross_keys: tuple[Float[Array, "B S G K"], ...]
    cross_values: tuple[Float[Array, "B S G K"], ...]
    source_lengths: Int[Array, " B"]
    position: Int[Array, ""]


class EncoderLayer(nnx.Module):
    """Self-attention, then a feed-forward network, each inside a residual."""

    def __init__(self, config: TransformerConfig, rngs: nnx.Rngs):
        self.attention = _attention(config, rngs)
        self.feed_forward = FeedForward(config.width, config.feed_forward, rngs=rngs)
        self.residuals = _residuals(config, 2)

    def __call__(self, x, mask: Mask, rngs: list, seen: list | None):
        """One layer further; appends its attention weights to `seen`, if there is one."""

        def read(rows):
            if seen is not None:
                seen.append(self.attention.explain(rows, rows, mask=mask))
            return self.attention(rows, rows, mask=mask)

        x = self.residuals[0](x, read, rngs[0])
        return self.residuals[1](x, self.feed_forward, rngs[1])


class DecoderLayer(nnx.Module):
    """Self-attention, attention to the source, then a feed-forward network, each in a residual."""

    def __init__(self, config: TransformerConfig, rngs: nnx.Rngs):
        self.attention = _attention(config, rngs)
        self.cross = _attention(config, rngs)
        self.feed_forward = FeedForward(config.width, config.feed_forward, rngs=rngs)
        self.residuals = _residuals(config, 3)

    def __call__(self, x, memory, mask: Mask, memory_mask: Mask, rngs: list, seen: list | None):
        """One layer further; appends its own and its cross-attention weights to `seen`, if any."""

        def read_target(rows):
            if seen is not None:
                seen.append(self.attention.explain(rows, rows, mask=mask))
            return self.attention(rows, rows, mask=mask)

        def read_source(rows):
            if seen is not None:
                seen.append(self.cross.explain(rows, memory, mask=memory_mask))
            return self.cross(rows, memory, mask=memory_mask)

        x = self.residuals[0](x, read_target, rngs[0])
        x = self.residuals[1](x, read_source, rngs[1])
        return self.residuals[2](x, self.feed_forward, rngs[2])

    def step(self, x, key, value, cross_key, cross_value, memory_mask: Mask, position):
        """One target position against the cached keys and values; gives those back, grown."""

        def read_target(rows):
            nonlocal key, value
            new_key, new_value = self.attention.sources(rows)
            key = jax.lax.dynamic_update_slice_in_dim(key, new_key, position, 1)
            value = jax.lax.dynamic_update_slice_in_dim(value, new_value, position, 1)
            query = self.attention.queries(rows)
            return self.attention.read(query, key, value, Causal(position))

        def read_source(rows):
            return self.cross.read(self.cross.queries(rows), cross_key, cross_value, memory_mask)

        x = self.residuals[0](x, read_target, None)
        x = self.residuals[1](x, read_source, None)
        return self.residuals[2](x, self.feed_forward, None), key, value


def _attention(config: TransformerConfig, rngs: nnx.Rngs) -> MultiHeadAttention:
    return MultiHeadAttention(
        config.width, config.heads, key_value_heads=config.key_value_heads, rngs=rngs
    )


def _residuals(config: TransformerConfig, count: int) -> nnx.List:
    return nnx.List(
        [Residual(config.width, config.dropout, norm=config.norm) for _ in range(count)]
    )


class Transformer(nnx.Module):
    """From source and target tokens to logits for each next target token.

    Token 0 is padding: no source position that holds it is ever seen. Padding may stand only at the
    end of a source.
    """

    def __init__(self, config: TransformerConfig, *, rngs: nnx.Rngs):
        """Makes all parameters from `rngs.params`."""
        self.config = config
        width, tokens = config.width, config.vocabulary
        self.source_embedding = Embedding(tokens, width, rngs=rngs)
        if not config.tied:
            self.target_embedding = Embedding(tokens, width, rngs=rngs)
            self.projection = Dense(width, tokens, bias=False, rngs=rngs)
        self.encoder = nnx.List([EncoderLayer(config, rngs) for _ in range(config.encoder_layers)])
        self.decoder = nnx.List([DecoderLayer(config, rngs) for _ in range(config.decoder_layers)])
        if config.norm == "pre":
            self.encoder_norm, self.decoder_norm = LayerNorm(width), LayerNorm(width)

    def __call__(
        self,
        source: Int[Array, "B S"],
        target_in: Int[Array, "B T"],
        *,
        rng: Array | None = None,
        explain: bool = False,
    ):
        """Logits for every target position at once.

        Args:
          source: tokens, padding (0) at the end.
          target_in: the target, shifted right by a start mark.
          rng: a `jax.random` key switches dropout on.
          explain: also give the attention weights; the logits stay the same.

        Returns:
          Logits [B, T, V], or with `explain` the pair (logits, `Weights`).
        """
        streams = self._streams(rng)
        encoder_seen, decoder_seen = ([], []) if explain else (None, None)
        memory = self._encode(source, streams, encoder_seen)
        x = self._embed(self._target_table(), target_in, streams.pop())
        memory_mask = Lengths(_lengths(source))
        for layer in self.decoder:
            rngs = [streams.pop() for _ in range(3)]
            x = layer(x, memory, Causal(), memory_mask, rngs, decoder_seen)
        logits = self._logits(x)
        if encoder_seen is None or decoder_seen is None:
            return logits
        return logits, Weights(
            jnp.stack(encoder_seen), jnp.stack(decoder_seen[::2]), jnp.stack(decoder_seen[1::2])
        )

    def start(self, source: Int[Array, "B S"], length: int) -> Cache:
        """Reads the source once and makes room for `length` target positions."""
        memory = self._encode(source, self._streams(None), None)
        cross = [layer.cross.sources(memory) for layer in self.decoder]
        keys = tuple(
            jnp.zeros((key.shape[0], length, *key.shape[2:]), key.dtype) for key, _ in cross
        )
        return Cache(
            keys,
            keys,
            tuple(key for key, _ in cross),
            tuple(value for _, value in cross),
            _lengths(source),
            jnp.zeros((), jnp.int32),
        )

    def step(self, cache: Cache, tokens: Int[Array, " B"]) -> tuple[Float[Array, "B V"], Cache]:
        """Takes the tokens at the cache's position; gives the logits of the next ones.

        A cache takes as many steps as `start` made room for; one more would overwrite the last.
        """
        position = cache.position
        table = sinusoidal(cache.keys[0].shape[1], self.config.width)
        x = self._target_table().embed(tokens[:, None])
        x = x + jax.lax.dynamic_slice_in_dim(table, position, 1)[None]
        memory_mask = Lengths(cache.source_lengths)
        keys, values = [], []
        for i, layer in enumerate(self.decoder):
            x, key, value = layer.step(
                x,
                cache.keys[i],
                cache.values[i],
                cache.cross_keys[i],
                cache.cross_values[i],
                memory_mask,
                position,
            )
            keys.append(key)
            values.append(value)
        grown = cache._replace(keys=tuple(keys), values=tuple(values), position=position + 1)
        return self._logits(x)[:, 0], grown

    def reorder(self, cache: Cache, rows: Int[Array, " B"]) -> Cache:
        """The cache after row i went on from row `rows[i]` of the same source."""
        keys, values = jax.tree.map(lambda leaf: leaf[rows], (cache.keys, cache.values))
        return cache._replace(keys=keys, values=values)

    def _streams(self, rng: Array | None) -> list:
        """One key for each place of dropout, taken from the end."""
        places = 2 + 2 * self.config.encoder_layers + 3 * self.config.decoder_layers
        return [None] * places if rng is None else list(jax.random.split(rng, places))

    def _embed(self, table: Embedding, tokens, rng):
        x = table.embed(tokens)
        return dropout(x + sinusoidal(*x.shape[1:])[None], self.config.dropout, rng)

    def _encode(self, source, streams: list, seen: list | None):
        x = self._embed(self.source_embedding, source, streams.pop())
        mask = Lengths(_lengths(source))
        for layer in self.encoder:
            x = layer(x, mask, [streams.pop(), streams.pop()], seen)
        return self.encoder_norm(x) if self.config.norm == "pre" else x

    def _target_table(self) -> Embedding:
        return self.source_embedding if self.config.tied else self.target_embedding

    def _logits(self, x):
        x = self.decoder_norm(x) if self.config.norm == "pre" else x
        return self.source_embedding.logits(x) if self.config.tied else self.projection(x)


def _lengths(source: Int[Array, "B S"]) -> Int[Array, " B"]:
    return (source != 0).sum(-1)
