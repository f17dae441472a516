"""The memory network of LSTMs: attention inside of recurrence, three years before it stood alone.

Every layer keeps a tape of all its states and, instead of the last one, recalls their weighted mean
by attention. The source is read in one of two ways. Shallow fusion is the attention of Bahdanau et
al. beside the decoder's states, which it does not change, so that all target positions are read for
at once; deep fusion lets the source's memory through a gate into every layer's own. The paper says
nothing of how a decoder begins: here its tape is empty, and it first recalls the last state of the
encoder's layer.

Source: Cheng, Dong and Lapata, *Long Short-Term Memory-Networks for Machine Reading*, 2016.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from attention_jax.functional import additive, attend
from attention_jax.functional import explain as explained
from attention_jax.functional.layers import dropout
from attention_jax.functional.masks import Lengths
from attention_jax.models.intra_attention_config import IntraAttentionConfig
from attention_jax.models.intra_attention_layers import Recalled, Source, Tape, TapeLayer
from attention_jax.models.places import Part, Place
from attention_jax.modules import Dense, Embedding

__all__ = ["Cache", "IntraAttention", "IntraAttentionConfig"]


class Cache(NamedTuple):
    """What decoding keeps between target positions; every array leads with the batch.

    One entry a decoder layer in each tuple. The position, shared by all rows, is a scalar.
    """

    tapes: tuple[Tape, ...]
    recalled: tuple[Recalled, ...]
    starts: tuple[Float[Array, "B 2*K"], ...]
    sources: tuple[Source, ...]
    """what each layer reads of the source, or, with shallow fusion, what they all read"""
    position: Int[Array, ""]


class IntraAttention(nnx.Module):
    """From source and target tokens to logits for each next target token.

    Token 0 is padding: no source position that holds it is ever seen. Padding may stand only at the
    end of a source. A first position has nothing to recall: its weights are zeros.
    """

    def __init__(self, config: IntraAttentionConfig, *, rngs: nnx.Rngs):
        """Makes all parameters from `rngs.params`."""
        self.config = config
        width, size, tokens = config.width, config.size_of_token, config.vocabulary
        compared, deep = config.size_of_query, config.fusion == "deep"

        def stack(deep: bool) -> nnx.List:
            how: dict[str, Any] = {"attention": compared, "reads_source": deep, "rngs": rngs}
            inputs = [size] + [width] * (config.layers - 1)
            return nnx.List([TapeLayer(features, width, **how) for features in inputs])

        self.source_embedding = Embedding(tokens, size, rngs=rngs)
        if not config.tied:
            self.target_embedding = Embedding(tokens, size, rngs=rngs)
            self.projection = Dense(size, tokens, bias=False, letters="E V", rngs=rngs)
        self.encoder, self.decoder = stack(deep=False), stack(deep)
        self.readout = Dense(width if deep else 2 * width, size, letters="D E", rngs=rngs)
        if not deep:
            self.query = Dense(width, compared, letters="D P", rngs=rngs)
            self.key = Dense(width, compared, bias=False, letters="D P", rngs=rngs)
            v = jax.random.normal(rngs.params(), (compared,)) * compared**-0.5
            self.v = nnx.Param(v, letters="P")

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
        """
        look = (lambda _, weights: weights) if explain is True else explain or None
        found: dict[Place, Any] = {}

        def keep(part: Part, layer: int, weights: Callable[..., Array], *inputs: Any) -> None:
            if look is not None:
                found[Place(part, layer)] = look(Place(part, layer), weights(*inputs))

        streams = self._streams(rng)
        starts, sources = self._encode(source, streams, keep)
        x = self._target_table().embed(target_in)
        for n, layer in enumerate(self.decoder):
            x = dropout(x, self.config.dropout, streams.pop())
            deep = sources[n] if self.config.fusion == "deep" else None
            tape, recalled = layer(x, starts[n], deep)
            keep("decoder", n, layer.own_weights, x, tape, recalled)
            if deep is not None:
                keep("cross", n, layer.source.weights, x, recalled, deep)
            x = tape.memory[..., : self.config.width]
        if self.config.fusion == "shallow":
            keep("cross", 0, self._weights, x, sources[0])
        logits = self._logits(x, sources[0], streams.pop())
        return logits if look is None else (logits, found)

    def start(self, source: Int[Array, "B S"], length: int) -> Cache:
        """Reads the source once and makes room for `length` target positions."""
        starts, sources = self._encode(source, self._streams(None), lambda *_: None)
        pairs = list(zip(self.decoder, starts, strict=True))
        tapes = tuple(layer.room(start, length) for layer, start in pairs)
        recalled = tuple(layer.nothing(start) for layer, start in pairs)
        return Cache(tapes, recalled, starts, sources, jnp.zeros((), jnp.int32))

    def step(self, cache: Cache, tokens: Int[Array, " B"]) -> tuple[Float[Array, "B V"], Cache]:
        """Takes the tokens at the cache's position; gives the logits of the next ones."""
        x = self._target_table().embed(tokens[:, None])[:, 0]
        tapes, recalled = [], []
        for n, layer in enumerate(self.decoder):
            deep = cache.sources[n] if self.config.fusion == "deep" else None
            tape, state = layer.step(
                cache.tapes[n], cache.recalled[n], x, cache.starts[n], deep, cache.position
            )
            x = jax.lax.dynamic_index_in_dim(tape.memory, cache.position, 1, keepdims=False)
            x = x[:, : self.config.width]
            tapes.append(tape)
            recalled.append(state)
        grown = cache._replace(
            tapes=tuple(tapes), recalled=tuple(recalled), position=cache.position + 1
        )
        return self._logits(x[:, None], cache.sources[0], None)[:, 0], grown

    def reorder(self, cache: Cache, rows: Int[Array, " B"]) -> Cache:
        """The cache after row i went on from row `rows[i]` of the same source."""
        tapes, recalled = jax.tree.map(lambda leaf: leaf[rows], (cache.tapes, cache.recalled))
        return cache._replace(tapes=tapes, recalled=recalled)

    def _streams(self, rng: Array | None) -> list:
        """One key for each place of dropout, taken from the end."""
        places = 2 * self.config.layers + 1
        return [None] * places if rng is None else list(jax.random.split(rng, places))

    def _encode(self, source, streams: list, keep: Callable[..., None]):
        """What the decoder's layers start from and what they read, lowest first."""
        lengths, width = (source != 0).sum(-1), self.config.width
        # Nobody reads padding, but the backward pass multiplies what it holds by zero.
        x = jnp.where((source != 0)[..., None], self.source_embedding.embed(source), 0)
        start = jnp.zeros((len(source), 2 * width), x.dtype)
        last = jnp.maximum(lengths - 1, 0)[:, None, None]
        tapes = []
        for n, layer in enumerate(self.encoder):
            x = dropout(x, self.config.dropout, streams.pop())
            tape, recalled = layer(x, start)
            keep("encoder", n, layer.own_weights, x, tape, recalled, lengths)
            x = tape.memory[..., :width]
            tapes.append(tape.memory)
        starts = tuple(jnp.take_along_axis(memory, last, axis=1)[:, 0] for memory in tapes)
        if self.config.fusion == "shallow":
            return starts, (Source(x, self.key(x), lengths),)
        pairs = zip(self.decoder, tapes, strict=True)
        return starts, tuple(layer.source.tape(memory, lengths) for layer, memory in pairs)

    def _target_table(self) -> Embedding:
        return self.source_embedding if self.config.tied else self.target_embedding

    def _weights(self, x, source: Source) -> Float[Array, "B 1 T S"]:
        """How much each row reads of each source, with shallow fusion."""
        return explained(self.query(x)[:, :, None], source.keys[:, :, None], **self._how(source))

    def _how(self, source: Source) -> dict[str, Any]:
        return {"score": partial(additive, v=self.v[...]), "mask": Lengths(source.lengths)}

    def _logits(self, x, source: Source, rng: Array | None) -> Float[Array, "B T V"]:
        """How well each token would follow the states of the highest layer."""
        if self.config.fusion == "shallow":
            query, key, value = self.query(x), source.keys, source.memory
            rows = (row[:, :, None] for row in (query, key, value))
            x = jnp.concatenate([attend(*rows, **self._how(source))[:, :, 0], x], axis=-1)
        x = dropout(jnp.tanh(self.readout(x)), self.config.dropout, rng)
        return self.source_embedding.logits(x) if self.config.tied else self.projection(x)
