"""What encoder-decoder Transformers of different make have in common: one pass, and its steps.

A model of its own says what its layers are made of, how tokens enter, and how logits are made.

Source: Vaswani et al. 2017, section 3.1.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from attention_jax.functional import attend, scaled_dot
from attention_jax.functional.biases import Bias
from attention_jax.functional.layers import dropout
from attention_jax.functional.masks import Lengths
from attention_jax.functional.scores import Score
from attention_jax.models.cache import Cache, begun, empty, reordered, repeated, widened
from attention_jax.models.places import Part, Place
from attention_jax.models.transformer_layers import Arrange, Pass, as_it_is
from attention_jax.modules.attention import Attend


class EncoderDecoder(nnx.Module):
    """From source and target tokens to logits for each next target token.

    The token `config.padding` is never seen in a source, and may stand only at its end.

    A model has a `config`, the layers `encoder` and `decoder`, and says what `enter`, `leave`,
    `bias` and `logits` do.
    """

    config: Any
    encoder: nnx.List
    decoder: nnx.List
    score: Score = staticmethod(scaled_dot)

    def enter(
        self, part: Part, tokens: Int[Array, "B T"], begin: int | Int[Array, ""], room: int
    ) -> Float[Array, "B T D"]:
        """Rows for the first layer, of tokens from place `begin` on, of which there are `room`."""
        raise NotImplementedError

    def leave(self, part: Part, x: Float[Array, "B T D"]) -> Float[Array, "B T D"]:
        """The rows that the last layer gave, as they go on."""
        return x

    def bias(self, part: Part, begin: int | Int[Array, ""]) -> Bias | None:
        """What is added to the logits of each attention of a part to itself."""
        return None

    def logits(self, x: Float[Array, "*B D"]) -> Float[Array, "*B V"]:
        """How well each token would follow rows that the decoder gave."""
        raise NotImplementedError

    def __call__(
        self,
        source: Int[Array, "B S"],
        target_in: Int[Array, "B T"],
        *,
        rng: Array | None = None,
        explain: bool | Callable[[Place, Array], Any] = False,
        heads: Callable[[Place, Array], Array] | None = None,
        score: Score | None = None,
        attend: Attend = attend,
        arrange: Arrange = as_it_is,
    ):
        """Logits for every target position at once.

        Args:
          source: tokens, padding (`config.padding`) at the end.
          target_in: the target, shifted right by a start mark.
          rng: a `jax.random` key switches dropout on.
          explain: True also gives the attention weights. A function is given every place and its
            weights [B, H, T, S], layer after layer, and only what it returns is kept. The logits
            stay the same.
          heads: is given every place and what its heads give there, [B, T, H, K], and returns what
            goes into the output projection instead: to gate heads, to replace them, to look.
          score: of all attentions; None for the model's own.
          attend: computes all attentions, called as `functional.attend`: to spread long ones.
          arrange: called with activations and their letters; says where they lie on devices.

        Returns:
          Logits [B, T, V]; with `explain` the pair (logits, weights by `Place`), or, for a
          function, (logits, what it returned by `Place`).
        """
        look = (lambda _, weights: weights) if explain is True else explain or None
        one = Pass(look, heads, self.score if score is None else score, attend, arrange)
        streams = self._streams(rng)
        memory = self._encode(source, streams, one)
        x = self._enter("decoder", target_in, streams, one)
        memory_mask, bias = Lengths(self._lengths(source)), self.bias("decoder", 0)
        for layer in self.decoder:
            rngs = [streams.pop() for _ in range(3)]
            x = layer(x, memory, memory_mask, bias, rngs, one)
        x = dropout(self.leave("decoder", x), self._last_rate, streams.pop())
        logits = arrange(self.logits(x), "B T V")
        return logits if look is None else (logits, one.found)

    def start(self, source: Int[Array, "B S"], length: int) -> Cache:
        """Reads the source once and makes room for `length` target positions."""
        memory = self._encode(source, self._streams(None), self._plain())
        cross = [layer.cross.sources(memory) for layer in self.decoder]
        layers = [layer.attention for layer in self.decoder]
        return empty(layers, cross, self._lengths(source), length)

    def step(self, cache: Cache, tokens: Int[Array, " B"]) -> tuple[Float[Array, "B V"], Cache]:
        """Takes the tokens at the cache's position; gives the logits of the next ones.

        A cache takes as many steps as `start` made room for; one more would overwrite the last.
        """
        cache, width, seen = begun(cache)
        one, position = self._plain(), cache.position
        rows = tokens.reshape(-1, 1)  # hypotheses side by side stand at one position
        x = self.enter("decoder", rows, position, cache.keys[0].shape[-2])
        x = x.reshape(-1, width, x.shape[-1])
        memory_mask, bias = Lengths(cache.source_lengths), self.bias("decoder", position)
        keys, values = [], []
        for layer, *kept in zip(self.decoder, *cache[:4], strict=True):
            x, key, value = layer.step(x, tuple(kept), memory_mask, bias, position, one, seen)
            keys.append(key)
            values.append(value)
        grown = cache._replace(keys=tuple(keys), values=tuple(values), position=position + 1)
        logits = self.logits(self.leave("decoder", x))
        return logits.reshape(-1, logits.shape[-1]), grown

    def widen(self, cache: Cache, width: int) -> Cache:
        """The cache for `width` hypotheses of each source, those of a source side by side."""
        biased = self.bias("decoder", cache.position) is not None
        return repeated(cache, width) if biased else widened(cache, width)

    def reorder(self, cache: Cache, rows: Int[Array, " B"]) -> Cache:
        """The cache after row i went on from row `rows[i]` of the same source."""
        return reordered(cache, rows)

    @property
    def _last_rate(self) -> float:
        """Of dropout behind the last layer: as after each sub-layer, where `leave` normalises."""
        return self.config.dropout if type(self).leave is not EncoderDecoder.leave else 0.0

    def _plain(self) -> Pass:
        return Pass(score=self.score)

    def _streams(self, rng: Array | None) -> list:
        """One key for each place of dropout, taken from the end."""
        places = 4 + 2 * len(self.encoder) + 3 * len(self.decoder)
        return [None] * places if rng is None else list(jax.random.split(rng, places))

    def _enter(self, part: Part, tokens, streams: list, one: Pass) -> Float[Array, "B T D"]:
        x = one.arrange(self.enter(part, tokens, 0, tokens.shape[1]), "B T D")
        return dropout(x, self.config.dropout, streams.pop())

    def _encode(self, source, streams: list, one: Pass) -> Float[Array, "B S D"]:
        x = self._enter("encoder", source, streams, one)
        # Nobody reads padding, but the backward pass multiplies what it holds by zero.
        x = jnp.where((source != self.config.padding)[..., None], x, 0)
        mask, bias = Lengths(self._lengths(source)), self.bias("encoder", 0)
        for layer in self.encoder:
            x = layer(x, mask, bias, [streams.pop(), streams.pop()], one)
        return dropout(self.leave("encoder", x), self._last_rate, streams.pop())

    def _lengths(self, source: Int[Array, "B S"]) -> Int[Array, " B"]:
        return (source != self.config.padding).sum(-1)
