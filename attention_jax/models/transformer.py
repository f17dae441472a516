"""The encoder-decoder Transformer.

Source: Vaswani, Shazeer, Parmar, Uszkoreit, Jones, Gomez, Kaiser and Polosukhin, *Attention Is All
You Need*, 2017. Layer normalisation in front of the sub-layers: Xiong et al. 2020. The size `tiny`:
Wu et al. 2021. Distances in place of positions: see `modules.RelativeAttention`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from attention_jax.functional import attend, scaled_dot
from attention_jax.functional.layers import dropout
from attention_jax.functional.masks import Causal, Lengths
from attention_jax.functional.positions import sinusoidal
from attention_jax.functional.scores import Score
from attention_jax.models.cache import Cache, begun, empty, reordered, repeated, widened
from attention_jax.models.depth import depth, in_a_row
from attention_jax.models.places import PARTS, Place
from attention_jax.models.transformer_config import PRESETS, TransformerConfig
from attention_jax.models.transformer_layers import (
    Arrange,
    DecoderLayer,
    EncoderLayer,
    Pass,
    as_it_is,
)
from attention_jax.modules import Dense, Embedding, LayerNorm
from attention_jax.modules.attention import Attend

__all__ = ["PRESETS", "Cache", "Transformer", "TransformerConfig", "Weights"]


class Weights(NamedTuple):
    """All attention weights of one pass, layers first."""

    encoder: Float[Array, "L B H S S"]
    decoder: Float[Array, "L B H T T"]
    cross: Float[Array, "L B H T S"]


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
            self.projection = Dense(width, tokens, bias=False, letters="D V", rngs=rngs)
        layers = range(config.encoder_layers), range(config.decoder_layers)
        self.encoder = nnx.List([EncoderLayer(config, layer, rngs) for layer in layers[0]])
        self.decoder = nnx.List([DecoderLayer(config, layer, rngs) for layer in layers[1]])
        if config.norm == "pre":
            self.encoder_norm, self.decoder_norm = LayerNorm(width), LayerNorm(width)

    def __call__(
        self,
        source: Int[Array, "B S"],
        target_in: Int[Array, "B T"],
        *,
        rng: Array | None = None,
        explain: bool | Callable[[Place, Array], Any] = False,
        heads: Callable[[Place, Array], Array] | None = None,
        score: Score = scaled_dot,
        attend: Attend = attend,
        arrange: Arrange = as_it_is,
        finish: Callable[[Array], Any] | None = None,
    ):
        """Logits for every target position at once.

        Args:
          source: tokens, padding (0) at the end.
          target_in: the target, shifted right by a start mark.
          rng: a `jax.random` key switches dropout on.
          explain: True also gives the attention weights. A function is given every place and its
            weights [B, H, T, S], layer after layer, and only what it returns is kept. The logits
            stay the same.
          heads: is given every place and what its heads give there, [B, T, H, K], and returns what
            goes into the output projection instead: to gate heads, to replace them, to look.
          score: of all attentions.
          attend: computes all attentions, called as `functional.attend`: to spread long ones.
          arrange: called with activations and their letters; says where they lie on devices.
          finish: is given the rows that `logits` and `head` take, [B, T, D], and what it returns
            comes in the logits' place: for losses that never hold them all.

        Returns:
          Logits [B, T, V]; with `explain` the pair (logits, `Weights`), or, for a function,
          (logits, what it returned by `Place`).

        Raises:
          ValueError: all weights are asked for, but layers have different numbers of heads.
        """
        look = (lambda _, weights: weights) if explain is True else explain or None
        one = Pass(look, heads, score, attend, arrange)
        streams = self._streams(rng)
        memory = self._encode(source, streams, one)
        x = self._embed(self._target_table(), target_in, streams.pop(), one)
        memory_mask = Lengths(_lengths(source))
        rngs = [[streams.pop() for _ in range(3)] for _ in self.decoder]

        def further(layer, x, own):
            return layer(x, memory, Causal(), memory_mask, own, one)

        x = in_a_row(self.decoder, x, further, rngs, **depth(self.config, one))
        logits = arrange(self.logits(x), "B T V") if finish is None else finish(x)
        if look is None:
            return logits
        return logits, _stacked(one.found) if explain is True else one.found

    def start(self, source: Int[Array, "B S"], length: int) -> Cache:
        """Reads the source once and makes room for `length` target positions."""
        memory = self._encode(source, self._streams(None), Pass())
        cross = [layer.cross.sources(memory) for layer in self.decoder]
        layers = [layer.attention for layer in self.decoder]
        return empty(layers, cross, _lengths(source), length)

    def step(self, cache: Cache, tokens: Int[Array, " B"]) -> tuple[Float[Array, "B V"], Cache]:
        """Takes the tokens at the cache's position; gives the logits of the next ones.

        A cache takes as many steps as `start` made room for; one more would overwrite the last.
        """
        cache, width, seen = begun(cache)
        position = cache.position
        x = self._target_table().embed(tokens.reshape(-1, width))
        if self.config.positions == "sinusoidal":
            table = sinusoidal(cache.keys[0].shape[-2], self.config.width, dtype=x.dtype)
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
                seen,
            )
            keys.append(key)
            values.append(value)
        grown = cache._replace(keys=tuple(keys), values=tuple(values), position=position + 1)
        logits = self.logits(x)
        return logits.reshape(-1, logits.shape[-1]), grown

    def widen(self, cache: Cache, width: int) -> Cache:
        """The cache for `width` hypotheses of each source, those of a source side by side."""
        told = self.config.positions not in ("sinusoidal", "none")
        return repeated(cache, width) if told else widened(cache, width)

    def reorder(self, cache: Cache, rows: Int[Array, " B"]) -> Cache:
        """The cache after row i went on from row `rows[i]` of the same source."""
        return reordered(cache, rows)

    def _streams(self, rng: Array | None) -> list:
        """One key for each place of dropout, taken from the end."""
        places = 2 + 2 * self.config.encoder_layers + 3 * self.config.decoder_layers
        return [None] * places if rng is None else list(jax.random.split(rng, places))

    def _embed(self, table: Embedding, tokens, rng, one: Pass):
        x = one.arrange(table.embed(tokens), "B T D")
        if self.config.positions == "sinusoidal":
            x = x + sinusoidal(*x.shape[1:], dtype=x.dtype)[None]
        return dropout(x, self.config.dropout, rng)

    def _encode(self, source, streams: list, one: Pass):
        x = self._embed(self.source_embedding, source, streams.pop(), one)
        # Nobody reads padding, but the backward pass multiplies what it holds by zero.
        x = jnp.where((source != 0)[..., None], x, 0)
        mask = Lengths(_lengths(source))
        rngs = [[streams.pop(), streams.pop()] for _ in self.encoder]

        def further(layer, x, own):
            return layer(x, mask, own, one)

        x = in_a_row(self.encoder, x, further, rngs, **depth(self.config, one))
        return self.encoder_norm(x) if self.config.norm == "pre" else x

    def _target_table(self) -> Embedding:
        return self.source_embedding if self.config.tied else self.target_embedding

    def logits(self, x: Float[Array, "*B D"]) -> Float[Array, "*B V"]:
        """How well each token would follow rows that the last decoder layer gave."""
        x = self.decoder_norm(x) if self.config.norm == "pre" else x
        return self.source_embedding.logits(x) if self.config.tied else self.projection(x)

    def head(self, x: Float[Array, "*B D"]) -> tuple[Array, Array, Array | None]:
        """What `logits` of such rows are made of: rows [*B, D], a table [V, D], no bias."""
        x = self.decoder_norm(x) if self.config.norm == "pre" else x
        tied = self.config.tied
        table = self.source_embedding.table[...] if tied else self.projection.kernel[...].T
        return x, table, None


def _lengths(source: Int[Array, "B S"]) -> Int[Array, " B"]:
    return (source != 0).sum(-1)


def _stacked(found: dict[Place, Array]) -> Weights:
    """The weights of all places, layers first."""
    by_part = {
        part: [weights for place, weights in found.items() if place.part == part] for part in PARTS
    }
    for part, layers in by_part.items():
        if len(counts := dict.fromkeys(weights.shape[1] for weights in layers)) > 1:
            raise ValueError(
                f"the {part} layers have {', '.join(map(str, counts))} heads, which do not stack; "
                "explain=lambda place, weights: weights would fit"
            )
    return Weights(**{part: jnp.stack(layers) for part, layers in by_part.items()})
