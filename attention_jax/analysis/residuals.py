"""One word on its way through the stack: what every sub-layer adds to it, and out of what.

A row of the Transformer is a sum that grows. Each sub-layer reads the row as it stands and adds a
vector to it; that of an attention is itself a sum, over heads and over the tokens that they read.

Sources: Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits" (the residual
stream); Kobayashi et al. 2020, "Attention is Not Only a Weight: Analyzing Transformers with Vector
Norms", equations 1 to 4; nostalgebraist 2020, "interpreting GPT: the logit lens".
"""

import functools
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from attention_jax.analysis.ablation import config_of, slot
from attention_jax.functional import attend, repeat_groups
from attention_jax.models.places import Place
from attention_jax.modules import Residual

Stack = Literal["encoder", "decoder"]

Sublayer = Literal["attention", "cross-attention", "feed-forward"]

SUBLAYERS: dict[Stack, tuple[Sublayer, ...]] = {
    "encoder": ("attention", "feed-forward"),
    "decoder": ("attention", "cross-attention", "feed-forward"),
}
"""What a layer of each stack adds, in this order."""


class Added(NamedTuple):
    """What one sub-layer did with every row."""

    stack: Stack
    layer: int
    sublayer: Sublayer
    before: Float[Any, "B T D"]
    added: Float[Any, "B T D"]
    after: Float[Any, "B T D"]
    """before + added, normalised where the model does so after the sum"""

    def __str__(self) -> str:
        return f"{self.stack} layer {self.layer + 1}, {self.sublayer}"


def stream(
    graph: nnx.GraphDef,
    params: Any,
    source: Int[Any, "B S"],
    target_in: Int[Any, "B T"],
) -> list[Added]:
    """What every sub-layer adds to every row, first the encoder's, in the order of computation.

    The pass runs as it always does: its residual sums are watched, not computed again.

    Args:
      graph: the model's structure.
      params: its parameters.
      source: tokens, padding (0) at the end.
      target_in: the target, shifted right by a start mark.

    Returns:
      One entry a sub-layer. The first of a stack has in `before` the embedded tokens with their
      positions.
    """
    config = config_of(graph, params)
    names: list[tuple[Stack, int, Sublayer]] = [
        (stack, layer, sublayer)
        for stack, sublayers in SUBLAYERS.items()
        for layer in range(getattr(config, f"{stack}_layers"))
        for sublayer in sublayers
    ]
    found = jax.device_get(_streaming(graph)(params, source, target_in))
    return [Added(*name, *sums) for name, sums in zip(names, found, strict=True)]


def contributions(
    graph: nnx.GraphDef,
    params: Any,
    source: Int[Any, "B S"],
    target_in: Int[Any, "B T"],
) -> dict[Place, Float[Any, "B H T S D"]]:
    """The vector that each token puts into each other through each head.

    It is the weight times what the head's value and output kernels make of the token that is read.
    Summed over heads and sources (with the output's bias, where there is one) it is what `stream`
    says that the attention adds. A large weight on a token whose vector is short says little.

    Args:
      graph: the model's structure.
      params: its parameters.
      source: tokens, padding (0) at the end.
      target_in: the target, shifted right by a start mark.

    Returns:
      An array for every attention that has heads; H·T·S·D numbers a sentence, so of few sentences.

    Source: Kobayashi et al. 2020, equation 4.
    """
    found = jax.device_get(_contributing(graph)(params, source, target_in))
    return {place: found[place] for place in config_of(graph, params).places() if place in found}


def next_tokens(graph: nnx.GraphDef, params: Any, rows: Float[Any, "*B D"]) -> Float[Any, "*B V"]:
    """What the model would write next if decoder rows were finished as they are: probabilities.

    Source: nostalgebraist 2020, "logit lens".
    """
    return jax.device_get(_reading(graph)(params, rows))


class _Watched(nnx.Module):
    """A residual sum that shows what comes in, what is added and what comes out."""

    def __init__(self, residual: Residual, see: Callable[..., None]):
        self.residual, self.see = residual, see

    def __call__(self, x: Array, sublayer: Callable[[Array], Array], rng: Array | None) -> Array:
        added = []

        def kept(y: Array) -> Array:
            added.append(sublayer(y))
            return added[-1]

        after = self.residual(x, kept, rng)
        self.see(x, *added, after)
        return after


@functools.lru_cache(maxsize=8)
def _streaming(graph: nnx.GraphDef):
    """The jitted (params, source, target_in) -> (before, added, after) of every sub-layer."""

    @jax.jit
    def run(params: Any, source: Array, target_in: Array) -> list[tuple[Array, ...]]:
        model, found = nnx.merge(graph, params), []
        for layer in (*model.encoder, *model.decoder):
            layer.residuals = nnx.List(
                [_Watched(one, lambda *sums: found.append(sums)) for one in layer.residuals]
            )
        model(source, target_in)
        return found

    return run


@functools.lru_cache(maxsize=8)
def _contributing(graph: nnx.GraphDef):
    """The jitted (params, source, target_in) -> what each token gives each other, by place."""

    @jax.jit
    def run(params: Any, source: Array, target_in: Array) -> dict[Place, Array]:
        values: list[Array] = []

        def watching(query: Array, key: Array, value: Array, **options: Any) -> Array:
            values.append(repeat_groups(value, query.shape[-2]))
            return attend(query, key, value, **options)

        model = nnx.merge(graph, params)
        _, weights = model(source, target_in, explain=lambda _, found: found, attend=watching)
        weights = {place: found for place, found in weights.items() if found.shape[1]}
        return {
            place: _given(found, value, params, place)
            for (place, found), value in zip(weights.items(), values, strict=True)
        }

    return run


def _given(
    weights: Float[Array, "B H T S"], value: Float[Array, "B S H K"], params: Any, place: Place
) -> Float[Array, "B H T S D"]:
    layer, name = slot(params, place)
    kernel = layer[name]["output"]["kernel"]
    kernel = kernel.reshape(*value.shape[-2:], kernel.shape[-1])
    return jnp.einsum("BHTS,BSHK,HKD->BHTSD", weights, value, kernel)


@functools.lru_cache(maxsize=8)
def _reading(graph: nnx.GraphDef):
    """The jitted (params, rows) -> probabilities of the next token."""

    @jax.jit
    def run(params: Any, rows: Array) -> Array:
        return jax.nn.softmax(nnx.merge(graph, params).logits(rows), -1)

    return run
