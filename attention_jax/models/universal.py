"""The Universal Transformer: one layer, applied again and again.

Source: Dehghani, Gouws, Vinyals, Uszkoreit and Kaiser, *Universal Transformers*, 2018; halting by
position after Graves, *Adaptive Computation Time for Recurrent Neural Networks*, 2016.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from attention_jax.functional import attend, scaled_dot
from attention_jax.functional.layers import dropout
from attention_jax.functional.masks import Causal, Lengths
from attention_jax.functional.positions import sinusoidal
from attention_jax.functional.scores import Score
from attention_jax.models.cache import Cache, begun, empty, reordered
from attention_jax.models.places import Place
from attention_jax.models.transformer_layers import Arrange, DecoderLayer, EncoderLayer, as_it_is
from attention_jax.models.universal_config import UniversalConfig
from attention_jax.models.universal_layers import DeepPass, Halting, Ponder, deepen
from attention_jax.modules import Dense, Embedding, LayerNorm
from attention_jax.modules.attention import Attend

__all__ = ["Ponder", "Universal", "UniversalConfig"]


class Universal(nnx.Module):
    """From source and target tokens to logits for each next target token.

    Its depth is in time: one encoder layer and one decoder layer, each with the same parameters at
    every step, told where and at which step it is. A `Place`'s layer is the step. Token 0 is
    padding, as in `Transformer`, and stands only at the end of a source.
    """

    def __init__(self, config: UniversalConfig, *, rngs: nnx.Rngs):
        """Makes all parameters from `rngs.params`."""
        self.config = config
        width, tokens = config.width, config.vocabulary
        self.source_embedding = Embedding(tokens, width, rngs=rngs)
        if not config.tied:
            self.target_embedding = Embedding(tokens, width, rngs=rngs)
            self.projection = Dense(width, tokens, bias=False, letters="D V", rngs=rngs)
        self.encoder = EncoderLayer(config.layer, 0, rngs)
        self.decoder = DecoderLayer(config.layer, 0, rngs)
        if config.norm == "pre":
            self.encoder_norm, self.decoder_norm = LayerNorm(width), LayerNorm(width)
        halts = config.halting == "act"
        self.encoder_halting = Halting(config, rngs) if halts else None
        self.decoder_halting = Halting(config, rngs) if halts else None

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
    ):
        """Logits for every target position at once.

        Args:
          source: tokens, padding (0) at the end.
          target_in: the target, shifted right by a start mark.
          rng: a `jax.random` key switches dropout on.
          explain: True also gives the attention weights by `Place`. A function is given every place
            and its weights [B, H, T, S], step after step, and only what it returns is kept. The
            logits stay the same.
          heads: as in `Transformer`; asked at every step.
          score: of all attentions.
          attend: computes all attentions, called as `functional.attend`.
          arrange: called with activations and their letters; says where they lie on devices.

        Returns:
          Logits [B, T, V]; with `explain` the pair (logits, what was kept by `Place`).
        """
        look = (lambda _, weights: weights) if explain is True else explain or None
        one = DeepPass(look, heads, score, attend, arrange)
        logits, _ = self._whole(source, target_in, rng, one)
        return logits if look is None else (logits, one.found)

    def ponder(self, source: Int[Array, "B S"], target_in: Int[Array, "B T"]) -> Ponder:
        """How many steps each position took, and what was left for the last, without dropout.

        Raises:
          ValueError: the model has no halting.
        """
        if (found := self._whole(source, target_in, None, DeepPass())[1]) is None:
            raise ValueError(
                f"halting is 'none': all positions take encoder_steps, {self.config.encoder_steps},"
                f" or decoder_steps, {self.config.decoder_steps}; halting='act' would fit"
            )
        return found

    def penalised(
        self,
        source: Int[Array, "B S"],
        target_in: Int[Array, "B T"],
        weights: Float[Array, "B T"],
        *,
        explain: bool | Callable[[Place, Array], Any] = False,
        **call: Any,
    ) -> tuple[Any, Float[Array, ""]]:
        """What a call gives, and what training adds to the sum of its loss: τ · ponder costs.

        Args:
          source: as in a call.
          target_in: as in a call.
          weights: of target positions; 0 leaves one out, and a row of zeros its source too.
          explain: as in a call.
          **call: as in a call.

        Source: Graves 2016, equation 14; the costs of both sides are added up.
        """
        rng = call.pop("rng", None)
        look = (lambda _, found: found) if explain is True else explain or None
        one = DeepPass(look, **call)
        logits, found = self._whole(source, target_in, rng, one)
        penalty = jnp.zeros((), jnp.float32)
        if found is not None:
            read = (source != 0) & (weights != 0).any(-1, keepdims=True)
            # Choices, not products: what does not count may be anything.
            costs = jnp.where(read, found.encoder.cost, 0).sum()
            costs += jnp.where(weights != 0, found.decoder.cost * weights, 0).sum()
            penalty = self.config.time_penalty * costs.astype(jnp.float32)
        return (logits if look is None else (logits, one.found)), penalty

    def start(self, source: Int[Array, "B S"], length: int) -> Cache:
        """Reads the source once and makes room for `length` target positions.

        Every step keeps keys and values of its own; what the one layer reads of the source is the
        same at each, and kept once.
        """
        memory, _ = self._encode(source, self._streams(None), DeepPass())
        cross = [self.decoder.cross.sources(memory)]
        steps = [self.decoder.attention] * self.config.decoder_steps
        return empty(steps, cross, _lengths(source), length)

    def step(self, cache: Cache, tokens: Int[Array, " B"]) -> tuple[Float[Array, "B V"], Cache]:
        """Takes the tokens at the cache's position; gives the logits of the next ones.

        A cache takes as many steps as `start` made room for; one more would overwrite the last.
        """
        cache, _, seen = begun(cache)
        position, mask = cache.position, Lengths(cache.source_lengths)
        cross = cache.cross_keys[0], cache.cross_values[0]
        keys, values = [], []

        def layer(x, step: int):
            old = cache.keys[step], cache.values[step]
            x, key, value = self.decoder.step(x, *old, *cross, mask, position, seen)
            keys.append(key)
            values.append(value)
            return x

        x = self._target_table().embed(tokens[:, None])
        places = self._positions(cache.keys[0].shape[2], x.dtype)
        if places is not None:
            places = jax.lax.dynamic_slice_in_dim(places, position, 1)
        x, _ = deepen(x, layer, self.config.decoder_steps, places, self.decoder_halting)
        grown = cache._replace(keys=tuple(keys), values=tuple(values), position=position + 1)
        return self.logits(x)[:, 0], grown

    def reorder(self, cache: Cache, rows: Int[Array, " B"]) -> Cache:
        """The cache after row i went on from row `rows[i]` of the same source."""
        return reordered(cache, rows)

    def logits(self, x: Float[Array, "*B D"]) -> Float[Array, "*B V"]:
        """How well each token would follow rows that the decoder gave."""
        x = self.decoder_norm(x) if self.config.norm == "pre" else x
        return self.source_embedding.logits(x) if self.config.tied else self.projection(x)

    def _whole(self, source, target_in, rng, one: DeepPass) -> tuple[Array, Ponder | None]:
        """Logits of all target positions, and how long all positions took."""
        streams = self._streams(rng)
        memory, read = self._encode(source, streams, one)
        x = one.arrange(self._target_table().embed(target_in), "B T D")
        x = dropout(x, self.config.dropout, streams.pop())
        mask = Lengths(_lengths(source))

        def layer(x, step: int):
            one.step = step
            rngs = [streams.pop() for _ in range(3)]
            return self.decoder(x, memory, Causal(), mask, rngs, one)

        places, steps = self._positions(x.shape[1], x.dtype), self.config.decoder_steps
        x, written = deepen(x, layer, steps, places, self.decoder_halting)
        logits = one.arrange(self.logits(x), "B T V")
        return logits, None if read is None or written is None else Ponder(read, written)

    def _encode(self, source, streams: list, one: DeepPass):
        x = one.arrange(self.source_embedding.embed(source), "B T D")
        # Nobody reads padding, but the backward pass multiplies what it holds by zero.
        x = jnp.where((source != 0)[..., None], x, 0)
        x, mask = dropout(x, self.config.dropout, streams.pop()), Lengths(_lengths(source))

        def layer(x, step: int):
            one.step = step
            return self.encoder(x, mask, [streams.pop(), streams.pop()], one)

        places, steps = self._positions(x.shape[1], x.dtype), self.config.encoder_steps
        x, found = deepen(x, layer, steps, places, self.encoder_halting)
        return self.encoder_norm(x) if self.config.norm == "pre" else x, found

    def _positions(self, length: int, dtype) -> Float[Array, "T D"] | None:
        if self.config.positions != "sinusoidal":
            return None
        return sinusoidal(length, self.config.width, dtype=dtype)

    def _streams(self, rng: Array | None) -> list:
        """One key for each place of dropout, taken from the end."""
        places = 2 + 2 * self.config.encoder_steps + 3 * self.config.decoder_steps
        return [None] * places if rng is None else list(jax.random.split(rng, places))

    def _target_table(self) -> Embedding:
        return self.source_embedding if self.config.tied else self.target_embedding


def _lengths(source: Int[Array, "B S"]) -> Int[Array, " B"]:
    return (source != 0).sum(-1)
