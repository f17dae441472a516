"""The convolutional encoder-decoder: parallel like attention, near-sighted unlike it.

Source: Gehring, Auli, Grangier, Yarats and Dauphin, *Convolutional Sequence to Sequence Learning*,
2017. Left out are its weight normalisation and its scaling of the encoder's gradients. What a
layer's attention gives always has a projection of its own back to the width.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from attention_jax.functional import attend, dot, explain, learned
from attention_jax.functional.convolution import convolve, glu
from attention_jax.functional.layers import dropout
from attention_jax.functional.masks import Lengths
from attention_jax.models.convolutional_config import ConvolutionalConfig, receptive_field
from attention_jax.models.places import Place
from attention_jax.modules import Dense, Embedding

__all__ = ["Cache", "Convolutional", "ConvolutionalConfig", "receptive_field"]

SPREAD = 0.1
"""standard deviation of embedded tokens and positions (section 3.5)"""

HALVED = 0.5**0.5
"""what keeps the variance of a sum of two like that of either (section 3.5)"""


class Cache(NamedTuple):
    """What decoding keeps between target positions; every array leads with the batch.

    The position, shared by all rows, is a scalar.
    """

    windows: tuple[Float[Array, "B W-1 D"], ...]
    """the last inputs of each decoder layer's convolution, the newest last"""
    keys: Float[Array, "B S 1 E"]
    values: Float[Array, "B S 1 E"]
    source_lengths: Int[Array, " B"]
    position: Int[Array, ""]


class Memory(NamedTuple):
    """What the encoder gives: z, and z with the tokens' own embeddings added."""

    keys: Float[Array, "B S 1 E"]
    values: Float[Array, "B S 1 E"]
    lengths: Int[Array, " B"]


class Convolutional(nnx.Module):
    """From source and target tokens to logits for each next target token.

    Token 0 is padding: no source position that holds it is ever seen. Padding may stand only at the
    end of a source.
    """

    def __init__(self, config: ConvolutionalConfig, *, rngs: nnx.Rngs):
        """Makes all parameters from `rngs.params`."""
        self.config = config
        width, size, tokens = config.width, config.size_of_token, config.vocabulary
        self.source_embedding = Embedding(tokens, size, rngs=rngs)
        self.source_positions = _positions(config, rngs)
        if not config.tied:
            self.target_embedding = Embedding(tokens, size, rngs=rngs)
            self.projection = Dense(size, tokens, bias=False, letters="E V", rngs=rngs)
        self.target_positions = _positions(config, rngs)
        self.into_encoder = Dense(size, width, letters="E D", rngs=rngs)
        layers = range(config.encoder_layers), range(config.decoder_layers)
        self.encoder = nnx.List([GatedConvolution(config, rngs) for _ in layers[0]])
        self.from_encoder = Dense(width, size, letters="D E", rngs=rngs)
        self.into_decoder = Dense(size, width, letters="E D", rngs=rngs)
        self.decoder = nnx.List([DecoderLayer(config, rngs) for _ in layers[1]])
        self.from_decoder = Dense(width, size, letters="D E", rngs=rngs)

    def __call__(
        self,
        source: Int[Array, "B S"],
        target_in: Int[Array, "B T"],
        *,
        rng: Array | None = None,
        explain: bool | Callable[[Place, Array], Any] = False,
    ):
        """Logits for every target position at once.

        Args:
          source: tokens, padding (0) at the end.
          target_in: the target, shifted right by a start mark.
          rng: a `jax.random` key switches dropout on.
          explain: True also gives the attention weights. A function is given every place and its
            weights [B, 1, T, S], layer after layer, and only what it returns is kept. The logits
            stay the same.

        Returns:
          Logits [B, T, V]; with `explain` the pair (logits, what is kept by `Place`).

        Raises:
          ValueError: the source or the target is longer than there are positions.
        """
        look = (lambda _, weights: weights) if explain is True else explain or None
        streams, found = self._streams(rng), {}
        memory = self._encode(source, streams)
        _check_length("target", target_in.shape[1], self.config)
        g = self._target(target_in, jnp.arange(target_in.shape[1]), streams.pop())
        h = self.into_decoder(g)
        for place, layer in enumerate(self.decoder):
            x = dropout(h, self.config.dropout, streams.pop())
            h = HALVED * (layer.convolution(x, before=self.config.kernel - 1) + h)
            if look is not None:
                weights = layer.weights(h, g, memory)
                found[Place("cross", place)] = look(Place("cross", place), weights)
            h = layer.read(h, g, memory)
        logits = self._logits(h, streams.pop())
        return logits if look is None else (logits, found)

    def start(self, source: Int[Array, "B S"], length: int) -> Cache:
        """Reads the source once, for a target of at most `length` positions.

        Raises:
          ValueError: the source or the target is longer than there are positions.
        """
        _check_length("target", length, self.config)
        memory = self._encode(source, self._streams(None))
        empty = jnp.zeros(
            (len(source), self.config.kernel - 1, self.config.width), memory.keys.dtype
        )
        windows = (empty,) * self.config.decoder_layers
        return Cache(windows, *memory, position=jnp.zeros((), jnp.int32))

    def step(self, cache: Cache, tokens: Int[Array, " B"]) -> tuple[Float[Array, "B V"], Cache]:
        """Takes the tokens at the cache's position; gives the logits of the next ones."""
        memory = Memory(cache.keys, cache.values, cache.source_lengths)
        g = self._target(tokens[:, None], cache.position[None], None)
        h, windows = self.into_decoder(g), []
        for layer, window in zip(self.decoder, cache.windows, strict=True):
            seen = jnp.concatenate([window, h], axis=1)
            windows.append(seen[:, 1:])
            h = layer.read(HALVED * (layer.convolution(seen) + h), g, memory)
        grown = cache._replace(windows=tuple(windows), position=cache.position + 1)
        return self._logits(h, None)[:, 0], grown

    def reorder(self, cache: Cache, rows: Int[Array, " B"]) -> Cache:
        """The cache after row i went on from row `rows[i]` of the same source."""
        return cache._replace(windows=tuple(window[rows] for window in cache.windows))

    def _streams(self, rng: Array | None) -> list:
        """One key for each place of dropout, taken from the end."""
        places = 3 + self.config.encoder_layers + self.config.decoder_layers
        return [None] * places if rng is None else list(jax.random.split(rng, places))

    def _encode(self, source, streams: list) -> Memory:
        _check_length("source", source.shape[1], self.config)
        real = (source != 0)[..., None]
        places = learned(self.source_positions[...], source.shape[1])[None]
        # A convolution reads its neighbours: padding must be zeros in front of each.
        e = jnp.where(real, SPREAD * self.source_embedding.embed(source) + places, 0)
        e = dropout(e, self.config.dropout, streams.pop())
        h = self.into_encoder(e)
        before, after = (self.config.kernel - 1) // 2, self.config.kernel // 2
        for layer in self.encoder:
            h = jnp.where(real, h, 0)
            x = dropout(h, self.config.dropout, streams.pop())
            h = HALVED * (layer(x, before=before, after=after) + h)
        z = self.from_encoder(jnp.where(real, h, 0))
        return Memory(z[:, :, None], (z + e)[:, :, None], (source != 0).sum(-1))

    def _target(self, tokens: Int[Array, "B T"], positions: Int[Array, " T"], rng: Array | None):
        """g: what the decoder reads, tokens and where they stand."""
        table = self.source_embedding if self.config.tied else self.target_embedding
        places = learned(self.target_positions[...], positions)[None]
        return dropout(SPREAD * table.embed(tokens) + places, self.config.dropout, rng)

    def _logits(self, h, rng: Array | None) -> Float[Array, "B T V"]:
        """How well each token would follow the rows of the last decoder layer."""
        x = dropout(self.from_decoder(h), self.config.dropout, rng)
        return self.source_embedding.logits(x) if self.config.tied else self.projection(x)


class GatedConvolution(nnx.Module):
    """A convolution whose rows gate themselves."""

    def __init__(self, config: ConvolutionalConfig, rngs: nnx.Rngs):
        shape = (config.kernel, config.width, 2 * config.width)
        # The gate halves what it lets through; dropout has raised the inputs' variance.
        spread = (4 * (1 - config.dropout) / (config.kernel * config.width)) ** 0.5
        kernel = spread * jax.random.normal(rngs.params(), shape)
        self.kernel = nnx.Param(kernel, letters="W D P")
        self.bias = nnx.Param(jnp.zeros(shape[-1]), letters="P")

    def __call__(
        self, x: Float[Array, "B T D"], *, before: int = 0, after: int = 0
    ) -> Float[Array, "B rows D"]:
        """A row from every W rows of `x` and of the zeros around it."""
        return glu(convolve(x, self.kernel[...], self.bias[...], before=before, after=after))


class DecoderLayer(nnx.Module):
    """A gated convolution and one attention to the source (equations 1 and 2)."""

    def __init__(self, config: ConvolutionalConfig, rngs: nnx.Rngs):
        width, size = config.width, config.size_of_token
        self.convolution = GatedConvolution(config, rngs)
        self.query = Dense(width, size, letters="D E", rngs=rngs)
        self.output = Dense(size, width, letters="E D", rngs=rngs)

    def read(self, h, g, memory: Memory) -> Float[Array, "B T D"]:
        """The rows h, with what each reads of the source."""
        how = {"score": dot, "mask": Lengths(memory.lengths)}
        c = attend(self._queries(h, g), memory.keys, memory.values, **how)[:, :, 0]
        # The mean of m independent rows varies m times less than one of them (section 3.5).
        scale = jnp.sqrt(memory.lengths.astype(c.dtype))[:, None, None]
        return HALVED * (h + self.output(scale * c))

    def weights(self, h, g, memory: Memory) -> Float[Array, "B 1 T S"]:
        """How much each row of h reads of each source."""
        how = {"score": dot, "mask": Lengths(memory.lengths)}
        return explain(self._queries(h, g), memory.keys, **how)

    def _queries(self, h, g) -> Float[Array, "B T 1 E"]:
        return (self.query(h) + g)[:, :, None]


def _positions(config: ConvolutionalConfig, rngs: nnx.Rngs) -> nnx.Param:
    shape = (config.positions, config.size_of_token)
    return nnx.Param(SPREAD * jax.random.normal(rngs.params(), shape), letters="L E")


def _check_length(name: str, length: int, config: ConvolutionalConfig) -> None:
    """Says which option a text is too long for, before its positions do."""
    if length > config.positions:
        raise ValueError(
            f"the {name} has {length} positions and the model {config.positions}; "
            f"positions={length} or more would fit"
        )
