"""From sound to text: a Transformer whose encoder reads a log-mel spectrogram.

Source: Radford, Kim, Xu, Brockman, McLeavey and Sutskever, *Robust Speech Recognition via
Large-Scale Weak Supervision* (Whisper), 2022, section 2.2: two convolutions with GELU, the second
with a stride of two, sinusoidal positions, normalisation in front of sub-layers; the decoder has
learned positions and one table for tokens and logits. The layers are those of `Transformer`, with
ReLU and without biases in attention.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from attention_jax.functional import attend, scaled_dot
from attention_jax.functional.convolution import convolve
from attention_jax.functional.layers import dropout
from attention_jax.functional.masks import Causal, Lengths
from attention_jax.functional.positions import learned, sinusoidal
from attention_jax.functional.scores import Score
from attention_jax.models.cache import Cache, begun, empty, reordered, widened
from attention_jax.models.places import Place
from attention_jax.models.speech_config import PRESETS, SpeechConfig
from attention_jax.models.transformer_layers import (
    Arrange,
    DecoderLayer,
    EncoderLayer,
    Pass,
    as_it_is,
)
from attention_jax.modules import Embedding, LayerNorm
from attention_jax.modules.attention import Attend

__all__ = ["PRESETS", "STRIDE", "Cache", "Speech", "SpeechConfig", "positions_of"]

STRIDE, KERNEL = 2, 3
"""frames from one encoder position to the next, and frames that a convolution reads"""
SPREAD = 0.02
"""standard deviation of fresh learned positions"""


class Speech(nnx.Module):
    """From the frames of a sound and a text so far to logits for each next token.

    Frames past a row's length are never seen, whatever they hold. Where two frames make one
    position, S is half the number of frames, rounded up.
    """

    def __init__(self, config: SpeechConfig, *, rngs: nnx.Rngs):
        """Makes all parameters from `rngs.params`."""
        self.config = config
        width, layers = config.width, config.layers()
        self.first = Convolution(config.mels, width, rngs)
        self.second = Convolution(width, width, rngs)
        self.encoder = nnx.List(
            [EncoderLayer(layers, n, rngs) for n in range(config.encoder_layers)]
        )
        self.encoder_norm = LayerNorm(width)
        self.embedding = Embedding(config.vocabulary, width, rngs=rngs)
        table = SPREAD * jax.random.normal(rngs.params(), (config.context, width))
        self.positions = nnx.Param(table, letters="L D")
        self.decoder = nnx.List(
            [DecoderLayer(layers, n, rngs) for n in range(config.decoder_layers)]
        )
        self.decoder_norm = LayerNorm(width)

    def __call__(
        self,
        frames: Float[Array, "B frames mels"],
        lengths: Int[Array, " B"],
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
          frames: log-mel spectrograms.
          lengths: frames that each row has; what stands behind them is padding.
          target_in: the text, shifted right by a start mark.
          rng: a `jax.random` key switches dropout on.
          explain: True also gives the attention weights. A function is given every place and its
            weights [B, H, T, S], layer after layer, and only what it returns is kept. The logits
            stay the same.
          heads: is given every place and what its heads give there, [B, T, H, K], and returns what
            goes into the output projection instead: to gate heads, to replace them, to look.
          score: of all attentions.
          attend: computes all attentions, called as `functional.attend`: to spread long ones.
          arrange: called with activations and their letters; says where they lie on devices.

        Returns:
          Logits [B, T, V]; with `explain` the pair (logits, what is kept by `Place`).

        Raises:
          ValueError: frames have another number of bands, or the text is longer than `context`.
        """
        look = (lambda _, weights: weights) if explain is True else explain or None
        one = Pass(look, heads, score, attend, arrange)
        streams = self._streams(rng)
        memory, mask = self._encode(frames, lengths, streams, one)
        self._check(target_in.shape[1])
        x = self.embedding.embed(target_in)
        x = one.arrange(x + learned(self.positions[...], x.shape[1])[None], "B T D")
        x = dropout(x, self.config.dropout, streams.pop())
        for layer in self.decoder:
            x = layer(x, memory, Causal(), mask, [streams.pop() for _ in range(3)], one)
        logits = arrange(self._logits(x), "B T V")
        return logits if look is None else (logits, one.found)

    def start(
        self, frames: Float[Array, "B frames mels"], lengths: Int[Array, " B"], length: int
    ) -> Cache:
        """Hears the sound once and makes room for `length` target positions.

        Raises:
          ValueError: as for the call.
        """
        self._check(length)
        memory, _ = self._encode(frames, lengths, self._streams(None), Pass())
        cross = [layer.cross.sources(memory) for layer in self.decoder]
        layers = [layer.attention for layer in self.decoder]
        return empty(layers, cross, positions_of(lengths), length)

    def step(self, cache: Cache, tokens: Int[Array, " B"]) -> tuple[Float[Array, "B V"], Cache]:
        """Takes the tokens at the cache's position; gives the logits of the next ones.

        A cache takes as many steps as `start` made room for; one more would overwrite the last.
        """
        cache, width, seen = begun(cache)
        position, mask = cache.position, Lengths(cache.source_lengths)
        x = self.embedding.embed(tokens.reshape(-1, width))
        x = x + learned(self.positions[...], position[None])[None]
        keys, values = [], []
        for layer, key, value, *cross in zip(self.decoder, *cache[:4], strict=True):
            x, key, value = layer.step(x, key, value, cross[0], cross[1], mask, position, seen)
            keys.append(key)
            values.append(value)
        grown = cache._replace(keys=tuple(keys), values=tuple(values), position=position + 1)
        logits = self._logits(x)
        return logits.reshape(-1, logits.shape[-1]), grown

    def widen(self, cache: Cache, width: int) -> Cache:
        """The cache for `width` hypotheses of each sound, those of a sound side by side."""
        return widened(cache, width)

    def reorder(self, cache: Cache, rows: Int[Array, " B"]) -> Cache:
        """The cache after row i went on from row `rows[i]` of the same sound."""
        return reordered(cache, rows)

    def _encode(self, frames, lengths, streams: list, one: Pass):
        """A row of features for every other frame, and the mask that hides padding."""
        if frames.shape[-1] != self.config.mels:
            raise ValueError(
                f"frames has shape {list(frames.shape)}; the model hears {self.config.mels} bands, "
                f"so [B, frames, {self.config.mels}] would fit"
            )
        dtype = self.embedding.table[...].dtype
        real = jnp.arange(frames.shape[1])[None] < lengths[:, None]
        x = jnp.where(real[..., None], frames.astype(dtype), 0)
        # What padding gives is hidden from the second convolution, as if nothing were there.
        x = jnp.where(real[..., None], jax.nn.gelu(self.first(x)), 0)
        x = jax.nn.gelu(self.second(x)[:, ::STRIDE])
        x = one.arrange(x + sinusoidal(*x.shape[1:], dtype=x.dtype)[None], "B S D")
        x = dropout(x, self.config.dropout, streams.pop())
        mask = Lengths(positions_of(lengths))
        for layer in self.encoder:
            x = layer(x, mask, [streams.pop(), streams.pop()], one)
        return self.encoder_norm(x), mask

    def _streams(self, rng: Array | None) -> list:
        """One key for each place of dropout, taken from the end."""
        places = 2 + 2 * self.config.encoder_layers + 3 * self.config.decoder_layers
        return [None] * places if rng is None else list(jax.random.split(rng, places))

    def _check(self, length: int) -> None:
        if length > self.config.context:
            raise ValueError(
                f"the text has {length} tokens, but context is {self.config.context}; fewer tokens "
                "or a larger context would fit"
            )

    def _logits(self, x: Float[Array, "*B D"]) -> Float[Array, "*B V"]:
        return self.embedding.logits(self.decoder_norm(x))


class Convolution(nnx.Module):
    """Three neighbouring rows to one, as many rows as there were; starts Glorot-uniform."""

    def __init__(self, inputs: int, outputs: int, rngs: nnx.Rngs):
        make = nnx.initializers.glorot_uniform(in_axis=(0, 1), out_axis=2)
        self.kernel = nnx.Param(make(rngs.params(), (KERNEL, inputs, outputs)), letters="W D P")
        self.bias = nnx.Param(jnp.zeros(outputs), letters="P")

    def __call__(self, x: Float[Array, "B S D"]) -> Float[Array, "B S P"]:
        """Zeros stand before the first row and behind the last."""
        return convolve(x, self.kernel[...], self.bias[...], before=1, after=1)


def positions_of(frames: Any) -> Any:
    """How many positions the encoder makes of so many frames."""
    return (frames + STRIDE - 1) // STRIDE
