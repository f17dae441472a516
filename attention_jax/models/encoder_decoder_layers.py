"""Layers of an encoder and of a decoder behind it, put together from parts that a model chooses.

Source: Vaswani et al. 2017, section 3.1.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import jax
from flax import nnx
from jaxtyping import Array, Float, Int

from attention_jax.functional import explain
from attention_jax.functional.biases import Bias
from attention_jax.functional.layers import dropout
from attention_jax.functional.masks import Causal, Mask
from attention_jax.functional.recall import recall
from attention_jax.models.cache import as_sources, turned, written
from attention_jax.models.places import Place
from attention_jax.models.transformer_layers import Pass
from attention_jax.modules import Dense, LayerNorm, MultiHeadAttention, RMSNorm

Activation = Literal["relu", "gelu", "gelu_tanh", "silu"]
_FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "relu": jax.nn.relu,
    "gelu": partial(jax.nn.gelu, approximate=False),
    "gelu_tanh": partial(jax.nn.gelu, approximate=True),
    "silu": jax.nn.silu,
}


class Network(nnx.Module):
    """Two affine maps with an activation between them, and a third that it is gated by.

    Source: Vaswani et al. 2017, equation 2; with a gate, Shazeer 2020, equation 6.
    """

    def __init__(
        self,
        width: int,
        inner: int,
        activation: Activation,
        *,
        gated: bool = False,
        bias: bool = True,
        rngs: nnx.Rngs,
    ):
        """Goes from `width` features through `inner` ones and back."""
        self.activation = activation
        self.gate = Dense(width, inner, bias=bias, rngs=rngs) if gated else None
        self.expand = Dense(width, inner, bias=bias, rngs=rngs)
        self.contract = Dense(inner, width, bias=bias, letters="F D", rngs=rngs)

    def __call__(self, x: Float[Array, "*B D"]) -> Float[Array, "*B D"]:
        """f(x·W₁)·W₂, or (f(x·W) ⊙ x·W₁)·W₂."""
        function, inner = _FUNCTIONS[self.activation], self.expand(x)
        inner = function(inner) if self.gate is None else function(self.gate(x)) * inner
        return self.contract(inner)


class Around(nnx.Module):
    """x + sublayer(x), with dropout on the sub-layer's output and one normalisation.

    Source: Vaswani et al. 2017, section 5.4 (after the sum, "post"); Xiong et al. 2020 (inside the
    sub-layer's branch, "pre").
    """

    def __init__(self, norm: LayerNorm | RMSNorm, rate: float, *, place: Literal["post", "pre"]):
        self.norm, self.rate, self.first = norm, rate, place == "pre"

    def __call__(
        self, x: Float[Array, "B T D"], sublayer: Callable[[Array], Array], rng: Array | None
    ) -> Float[Array, "B T D"]:
        """The sum; without `rng` nothing is dropped."""
        if self.first:
            return x + dropout(sublayer(self.norm(x)), self.rate, rng)
        return self.norm(x + dropout(sublayer(x), self.rate, rng))


class EncoderLayer(nnx.Module):
    """Attention of the source to itself, then a network, each inside a residual."""

    def __init__(
        self, layer: int, attention: MultiHeadAttention, network: Network, residuals: list[Around]
    ):
        self.layer, self.attention, self.feed_forward = layer, attention, network
        self.residuals = nnx.List(residuals)

    def __call__(self, x, mask: Mask, bias: Bias | None, rngs: list, one: Pass):
        """One layer further."""
        read = _reader(self.attention, Place("encoder", self.layer), mask, bias, one)
        x = self.residuals[0](x, lambda rows: read(rows, rows), rngs[0])
        return one.arrange(self.residuals[1](x, self.feed_forward, rngs[1]), "B T D")


class DecoderLayer(nnx.Module):
    """Attention of the target to itself, to the source, then a network, each in a residual."""

    def __init__(
        self,
        layer: int,
        attention: MultiHeadAttention,
        cross: MultiHeadAttention,
        network: Network,
        residuals: list[Around],
    ):
        self.layer, self.attention, self.cross = layer, attention, cross
        self.feed_forward, self.residuals = network, nnx.List(residuals)

    def __call__(
        self, x, memory, memory_mask: Mask, bias: Bias | None, rngs: list, one: Pass
    ) -> Float[Array, "B T D"]:
        """One layer further."""
        own = _reader(self.attention, Place("decoder", self.layer), Causal(), bias, one)
        cross = _reader(self.cross, Place("cross", self.layer), memory_mask, None, one)
        x = self.residuals[0](x, lambda rows: own(rows, rows), rngs[0])
        x = self.residuals[1](x, lambda rows: cross(rows, memory), rngs[1])
        return one.arrange(self.residuals[2](x, self.feed_forward, rngs[2]), "B T D")

    def step(
        self,
        x: Float[Array, "B W D"],
        kept: tuple[Array, ...],
        memory_mask: Mask,
        bias: Bias | None,
        position: Int[Array, ""],
        one: Pass,
        seen: Mask,
    ) -> tuple[Float[Array, "B W D"], Array, Array]:
        """One target position against what the cache keeps; gives keys and values back, grown.

        The rows of x are the hypotheses of each source; `seen` says what they see of all that they
        have written: see `models.cache.begun`.
        """
        key, value, cross_key, cross_value = kept

        def read_target(rows):
            nonlocal key, value
            new_key, new_value = self.attention.sources(rows)
            key, value = written(key, new_key, position), written(value, new_value, position)
            query = self.attention.queries(rows)
            how: dict[str, Any] = {"score": one.score, "attend": partial(recall, bias=bias)}
            return self.attention.read(query, as_sources(key), as_sources(value), seen, **how)

        def read_source(rows):
            source = turned(cross_key), turned(cross_value)
            how: dict[str, Any] = {"score": one.score, "attend": recall}
            return self.cross.read(self.cross.queries(rows), *source, memory_mask, **how)

        x = self.residuals[0](x, read_target, None)
        x = self.residuals[1](x, read_source, None)
        return self.residuals[2](x, self.feed_forward, None), key, value


def _biased(one: Pass, bias: Bias | None):
    """What computes an attention, with something added to its logits."""
    return one.attend if bias is None else partial(one.attend, bias=bias)


def _reader(attention: MultiHeadAttention, place: Place, mask: Mask, bias: Bias | None, one: Pass):
    """From rows and sources to what the attention gives the rows, looked at as asked."""

    def read(x, source):
        if one.explain is not None:
            query, (key, _) = attention.queries(x), attention.sources(source)
            weights = explain(query, key, score=one.score, mask=mask, bias=bias)
            one.found[place] = one.explain(place, one.arrange(weights, "B H T S"))
        change = None if one.heads is None else partial(one.heads, place)
        how: dict[str, Any] = {"score": one.score, "change": change, "attend": _biased(one, bias)}
        return one.arrange(attention(x, source, mask=mask, **how), "B T D")

    return read
