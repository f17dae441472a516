"""The layers of the Transformer, and what one pass carries through them.

Source: Vaswani et al. 2017, section 3.1.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from flax import nnx
from jaxtyping import Array

from attention_jax.functional import attend, scaled_dot
from attention_jax.functional.masks import Mask
from attention_jax.functional.recall import recall
from attention_jax.functional.scores import Score
from attention_jax.models.cache import as_sources, turned, written
from attention_jax.models.places import Place
from attention_jax.models.transformer_config import TransformerConfig
from attention_jax.modules import FeedForward, MultiHeadAttention, RelativeAttention, Residual
from attention_jax.modules.attention import Attend

Arrange = Callable[[Array, str], Array]
"""Says where an array with axes of these letters lies, if it lies on several devices."""


def as_it_is(x: Array, letters: str) -> Array:
    """The `Arrange` of one device."""
    return x


@dataclass
class Pass:
    """What is asked of every attention in one pass besides its output.

    Attributes:
      explain: from a place and its weights [B, H, T, S] to what is to be kept of them.
      heads: from a place and what its heads give, [B, T, H, K], to what they shall give.
      score: of all attentions.
      attend: computes all attentions.
      arrange: says where activations lie.
      found: what `explain` gave, by place.
    """

    explain: Callable[[Place, Array], Any] | None = None
    heads: Callable[[Place, Array], Array] | None = None
    score: Score = scaled_dot
    attend: Attend = attend
    arrange: Arrange = as_it_is
    found: dict[Place, Any] = field(default_factory=dict)

    def read(self, attention: MultiHeadAttention, place: Place, x, source, mask: Mask | None):
        """What `attention` gives each row of `x`, looked at and changed as asked."""
        if self.explain is not None:
            weights = attention.explain(x, source, mask=mask, score=self.score)
            weights = self.arrange(weights, "B H T S")
            self.found[place] = self.explain(place, weights)
        change = None if self.heads is None else partial(self.heads, place)
        how: dict[str, Any] = {"score": self.score, "change": change, "attend": self.attend}
        return self.arrange(attention(x, source, mask=mask, **how), "B T D")


class EncoderLayer(nnx.Module):
    """Self-attention, then a feed-forward network, each inside a residual."""

    def __init__(self, config: TransformerConfig, layer: int, rngs: nnx.Rngs):
        self.layer = layer
        self.attention = _self_attention(config, Place("encoder", layer), rngs)
        self.feed_forward = FeedForward(config.width, config.feed_forward, rngs=rngs)
        self.residuals = _residuals(config, 2)

    def __call__(self, x, mask: Mask, rngs: list, one: Pass):
        """One layer further."""
        place = Place("encoder", self.layer)
        x = self.residuals[0](x, lambda y: one.read(self.attention, place, y, y, mask), rngs[0])
        return one.arrange(self.residuals[1](x, self.feed_forward, rngs[1]), "B T D")


class DecoderLayer(nnx.Module):
    """Self-attention, attention to the source, then a feed-forward network, each in a residual."""

    def __init__(self, config: TransformerConfig, layer: int, rngs: nnx.Rngs):
        self.layer = layer
        self.attention = _self_attention(config, Place("decoder", layer), rngs)
        cross = Place("cross", layer)
        self.cross = MultiHeadAttention(config.width, **_sizes(config, cross), rngs=rngs)
        self.feed_forward = FeedForward(config.width, config.feed_forward, rngs=rngs)
        self.residuals = _residuals(config, 3)

    def __call__(self, x, memory, mask: Mask, memory_mask: Mask, rngs: list, one: Pass):
        """One layer further."""

        def read_target(rows):
            return one.read(self.attention, Place("decoder", self.layer), rows, rows, mask)

        def read_source(rows):
            return one.read(self.cross, Place("cross", self.layer), rows, memory, memory_mask)

        x = self.residuals[0](x, read_target, rngs[0])
        x = self.residuals[1](x, read_source, rngs[1])
        return one.arrange(self.residuals[2](x, self.feed_forward, rngs[2]), "B T D")

    def step(self, x, key, value, cross_key, cross_value, memory_mask: Mask, position, seen: Mask):
        """One target position against the cached keys and values; gives those back, grown.

        The rows of x are the hypotheses of each source; `seen` says what they see of all that they
        have written: see `models.cache.begun`.
        """

        def read_target(rows):
            nonlocal key, value
            new_key, new_value = self.attention.sources(rows, position)
            query = self.attention.queries(rows, position)
            key, value = written(key, new_key, position), written(value, new_value, position)
            past = as_sources(key), as_sources(value)
            return self.attention.read(query, *past, seen, attend=recall, begin=position)

        def read_source(rows):
            source = turned(cross_key), turned(cross_value)
            return self.cross.read(self.cross.queries(rows), *source, memory_mask, attend=recall)

        x = self.residuals[0](x, read_target, None)
        x = self.residuals[1](x, read_source, None)
        return self.residuals[2](x, self.feed_forward, None), key, value


def _self_attention(config: TransformerConfig, place: Place, rngs: nnx.Rngs) -> RelativeAttention:
    return RelativeAttention(
        config.width,
        **_sizes(config, place),
        distances="none" if config.positions == "sinusoidal" else config.positions,
        reach=config.reach,
        causal=place.part == "decoder",
        rngs=rngs,
    )


def _sizes(config: TransformerConfig, place: Place) -> dict[str, Any]:
    return {
        "heads": config.heads_at(place),
        "key_value_heads": config.key_value_heads,
        "head_size": config.size_of_head,
        "output_bias": config.output_bias,
    }


def _residuals(config: TransformerConfig, count: int) -> nnx.List:
    return nnx.List(
        [Residual(config.width, config.dropout, norm=config.norm) for _ in range(count)]
    )
