"""Luong's attentions: global or local, by any of his scores, and the state that comes of them.

Source: Luong, Pham and Manning 2015, section 3.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from attention_jax.functional import additive, attend, dot, explain, scaled_dot, softmax, weigh
from attention_jax.functional.learned_scores import location
from attention_jax.functional.local import local, predicted_centers
from attention_jax.functional.masks import Lengths, Window
from attention_jax.functional.recur import Times
from attention_jax.models.luong_config import LuongConfig
from attention_jax.modules import Dense


class Memory(NamedTuple):
    """What the decoder reads of a source, the same at every step."""

    keys: Float[Array, "B S K"]
    values: Float[Array, "B S K"]
    lengths: Int[Array, " B"]


class LuongAttention(nnx.Module):
    """The parameters that read a source, and make of a state h and the context c tanh(W [c; h]).

    `general`, h·W·h̄, and `concat`, v·tanh(W₁·h + W₂·h̄), project the source once, not at each step.
    """

    def __init__(self, config: LuongConfig, *, rngs: nnx.Rngs):
        """Makes what the config's score and its centres take."""
        self.config, width = config, config.width
        # Never cut over devices, for they stand in the decoder's loop: letter P.
        plain: Any = {"bias": False, "letters": "D P", "rngs": rngs}
        projects = config.score in ("general", "concat")
        self.key = Dense(width, width, **plain) if projects else None
        self.query = Dense(width, width, **plain) if config.score == "concat" else None
        self.center = Dense(width, width, **plain) if config.attention == "local_p" else None
        self.combine = Dense(2 * width, width, **plain)

        def rows(*shape: int) -> nnx.Param:
            letters = " ".join("P" * len(shape))
            return nnx.Param(jax.random.normal(rngs.params(), shape) * width**-0.5, letters=letters)

        self.direction = rows(width) if config.score == "concat" else None
        self.places = rows(config.max_source, width) if config.score == "location" else None
        self.center_direction = rows(width) if config.attention == "local_p" else None

    def memory(self, values: Float[Array, "B S K"], lengths: Int[Array, " B"]) -> Memory:
        """What all steps read of the encoder's states.

        Raises:
          ValueError: the score is `location`, and it has fewer rows than there are positions.
        """
        if self.places is not None and values.shape[1] > self.config.max_source:
            raise ValueError(
                f"source has {values.shape[1]} positions and max_source is "
                f"{self.config.max_source}: the score location has no row for the others"
            )
        return Memory(values if self.key is None else self.key(values), values, lengths)

    def kernels(self) -> dict[str, Float[Array, "D P"]]:
        """The matrices of `step`."""
        query = {} if self.query is None else {"query": self.query.kernel[...]}
        return {"combine": self.combine.kernel[...], **query}

    def constants(self, memory: Memory) -> dict[str, Any]:
        """What else `step` reads."""
        found: dict[str, Any] = {"memory": memory}
        if self.direction is not None:
            found["v"] = self.direction[...]
        if self.places is not None:
            found["places"] = self.places[...][: memory.values.shape[1]]
        if self.center is not None and self.center_direction is not None:
            found["center"] = {"weight": self.center.kernel[...], "v": self.center_direction[...]}
        return found

    def step(
        self, times: Times, constants: dict[str, Any], hidden: Float[Array, "B K"], position: Array
    ) -> Float[Array, "B K"]:
        """What one step makes of its state, at a target position: a part of a loop."""
        memory = constants["memory"]
        query = hidden if self.query is None else times("query", hidden)
        how = self._how(constants, hidden[:, None], position)
        logits = how["score"](query[:, None, None], memory.keys[:, :, None])
        weights = how["normalize"](logits, how["mask"])
        context = weigh(weights, memory.values[:, :, None])[:, 0, 0]
        return jnp.tanh(times("combine", jnp.concatenate([context, hidden], axis=-1)))

    def __call__(self, memory: Memory, hidden: Float[Array, "B T K"]) -> Float[Array, "B T K"]:
        """The same of all steps at once."""
        query, how = self._all(memory, hidden)
        context = attend(query, memory.keys[:, :, None], memory.values[:, :, None], **how)
        return jnp.tanh(self.combine(jnp.concatenate([context[:, :, 0], hidden], axis=-1)))

    def explain(self, memory: Memory, hidden: Float[Array, "B T K"]) -> Float[Array, "B 1 T S"]:
        """With what weights all steps read; those of local_p sum to at most one."""
        query, how = self._all(memory, hidden)
        return explain(query, memory.keys[:, :, None], **how)

    def _all(self, memory: Memory, hidden: Array) -> tuple[Array, dict[str, Any]]:
        query = hidden if self.query is None else self.query(hidden)
        return query[:, :, None], self._how(self.constants(memory), hidden, 0)

    def _how(self, constants: dict[str, Any], hidden: Array, first: int | Array) -> dict[str, Any]:
        """Score, normalizer and mask of states from target position `first` on."""
        lengths, reach = constants["memory"].lengths, self.config.reach
        how = {"score": self._score(constants), "normalize": softmax, "mask": Lengths(lengths)}
        if self.config.attention == "local_m":
            how["mask"] &= Window(reach, reach, first)
        elif self.config.attention == "local_p":
            query = hidden[:, :, None]
            centers = predicted_centers(query, **constants["center"], lengths=lengths)
            how["normalize"] = partial(local, centers=centers, reach=reach)
        return how

    def _score(self, constants: dict[str, Any]):
        if self.config.score == "concat":
            return partial(additive, v=constants["v"])
        if self.config.score == "location":
            return partial(location, weight=constants["places"])
        return scaled_dot if self.config.score == "scaled_dot" else dot
