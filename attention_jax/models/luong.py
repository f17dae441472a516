"""Attention over a stacked LSTM: global or local, with several scores, fed back or not.

Source: Luong, Pham and Manning 2015, *Effective Approaches to Attention-based Neural Machine
Translation*. Dropout between layers: Zaremba et al. 2014.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from attention_jax.functional.layers import dense, dropout
from attention_jax.functional.recur import Times, recur, turned
from attention_jax.models.luong_attention import LuongAttention, Memory
from attention_jax.models.luong_config import LuongConfig
from attention_jax.models.places import Place
from attention_jax.modules import Dense, Embedding
from attention_jax.modules.recurrent import Recurrent

__all__ = ["Cache", "Luong", "LuongConfig"]

ATTENTION = Place("cross", 0)

States = tuple[tuple[Float[Array, "B K"], Float[Array, "B K"]], ...]
"""(hidden, cell) of each layer, lowest first."""


class Cache(NamedTuple):
    """What decoding keeps between target positions; every array leads with the batch.

    The position, shared by all rows, is a scalar.
    """

    states: States
    read: Float[Array, "B K"]
    memory: Memory
    position: Int[Array, ""]


class Luong(nnx.Module):
    """From source and target tokens to logits for each next target token.

    An LSTM reads the source, another starts from its final states and writes the target; what it
    gives at a step then looks for what to read. Token 0 is padding, and may stand only at the end
    of a source. Positions, in local attention and in weights, are those of the source as it stands,
    whichever way it is read.

    Not the paper's: shared tables, and where parameters start (Glorot-uniform).
    """

    def __init__(self, config: LuongConfig, *, rngs: nnx.Rngs):
        """Makes all parameters from `rngs.params`."""
        self.config = config
        width, size, tokens = config.width, config.token_size, config.vocabulary
        self.source_embedding = Embedding(tokens, size, rngs=rngs)
        if not config.tied:
            self.target_embedding = Embedding(tokens, size, rngs=rngs)
        stack: Any = {"cell": "lstm", "layers": config.layers, "dropout": config.dropout}
        each, both = width // (1 + config.bidirectional), config.bidirectional
        self.encoder = Recurrent(size, each, bidirectional=both, **stack, rngs=rngs)
        self.decoder = Recurrent(size + width * config.input_feeding, width, **stack, rngs=rngs)
        self.attention = LuongAttention(config, rngs=rngs)
        last: Any = {"bias": False, "letters": "D V", "rngs": rngs}
        shared = config.tied and size == width
        self.projection = None if shared else Dense(width, tokens, **last)

    def __call__(
        self,
        source: Int[Array, "B S"],
        target_in: Int[Array, "B T"],
        *,
        rng: Array | None = None,
        explain: bool | Callable[[Place, Array], Any] = False,
    ):
        """Logits for every target position.

        Args:
          source: tokens, padding (0) at the end.
          target_in: the target, shifted right by a start mark.
          rng: a `jax.random` key switches dropout on.
          explain: True also gives the attention weights [B, 1, T, S]; of a function of their place
            and them what it returns. The logits stay the same.

        Returns:
          Logits [B, T, V]; with `explain` the pair (logits, what was asked for by `Place`).

        Raises:
          ValueError: the score is `location` and the source longer than `max_source`.
        """
        rngs = [None] * 5 if rng is None else list(jax.random.split(rng, 5))
        states, memory = self._encode(source, rngs[:2])
        tokens = self._target_table().embed(target_in)
        tokens = dropout(tokens, self.config.dropout, rngs[2])
        if self.config.input_feeding:
            hidden, read = self._fed(states, memory, tokens, rngs[3])
        else:
            hidden, _ = self.decoder(tokens, state=states, rng=rngs[3])
            read = self.attention(memory, hidden)
        logits = self._logits(dropout(read, self.config.dropout, rngs[4]))
        if explain is False:
            return logits
        look = (lambda _, weights: weights) if explain is True else explain
        return logits, {ATTENTION: look(ATTENTION, self.attention.explain(memory, hidden))}

    def start(self, source: Int[Array, "B S"], length: int) -> Cache:
        """Reads the source once; there is room for any `length`."""
        del length
        states, memory = self._encode(source, [None, None])
        return Cache(states, jnp.zeros_like(states[0][0]), memory, jnp.zeros((), jnp.int32))

    def step(self, cache: Cache, tokens: Int[Array, " B"]) -> tuple[Float[Array, "B V"], Cache]:
        """Takes the tokens at the cache's position; gives the logits of the next ones."""
        kernels = self.attention.kernels()
        x = self._target_table().embed(tokens)
        if self.config.input_feeding:
            x = jnp.concatenate([x, cache.read], axis=-1)
        states, hidden = self.decoder.step(cache.states, x)
        read = self.attention.step(
            lambda name, rows: rows @ kernels[name],
            self.attention.constants(cache.memory),
            hidden,
            cache.position,
        )
        return self._logits(read), Cache(states, read, cache.memory, cache.position + 1)

    def reorder(self, cache: Cache, rows: Int[Array, " B"]) -> Cache:
        """The cache after row i went on from row `rows[i]` of the same source."""
        states, read = jax.tree.map(lambda leaf: leaf[rows], (cache.states, cache.read))
        return cache._replace(states=states, read=read)

    def _encode(self, source, rngs: list) -> tuple[States, Memory]:
        """The states that the decoder starts from, and what it reads."""
        lengths = (source != 0).sum(-1)
        if self.config.reverse_source:
            source = turned(source, lengths)
        x = jnp.where((source != 0)[..., None], self.source_embedding.embed(source), 0)
        x = dropout(x, self.config.dropout, rngs[0])
        values, states = self.encoder(x, lengths, rng=rngs[1])
        if self.config.reverse_source:
            values = turned(values, lengths)
        return states, self.attention.memory(values, lengths)

    def _fed(self, states: States, memory: Memory, tokens, rng) -> tuple[Array, Array]:
        """The highest hidden state and what was read at all steps, each fed the reading before."""
        layers = self.decoder.forward
        rows, steps, size = tokens.shape
        kernel, bias = layers[0].inputs.kernel[...], layers[0].inputs.bias[...]
        # The tokens' part of the lowest layer's input is known for all steps at once.
        inputs = dense(tokens, kernel[:size], bias)
        places = jnp.broadcast_to(jnp.arange(steps)[None], (rows, steps))
        kept: list[Array | None] = [None] * len(layers)
        if rng is not None:
            ones = jnp.ones((rows, steps, self.config.width), tokens.dtype)
            streams = jax.random.split(rng, len(layers))
            kept[1:] = [dropout(ones, self.config.dropout, stream) for stream in streams[1:]]

        def step(times: Times, constants, state, now):
            (states, read), (x, kept, place) = state, now
            x, after = x + times("fed", read), []
            for i, (layer, bias) in enumerate(zip(layers, constants["biases"], strict=True)):
                if i:
                    x = x if kept[i] is None else x * kept[i]
                    x = times(f"{i} inputs", x) + bias[None]

                def own(name: str, rows: Array, i: int = i) -> Array:
                    return times(f"{i} {name}", rows)

                new, x = layer.advance(own, None, states[i], x)
                after.append(new)
            read = self.attention.step(times, constants, x, place)
            return (tuple(after), read), (x, read)

        kernels = self.decoder.kernels() | self.attention.kernels() | {"fed": kernel[size:]}
        del kernels["0 inputs"]
        constants = self.attention.constants(memory)
        constants["biases"] = [layer.inputs.bias[...] for layer in layers]
        start = states, jnp.zeros_like(states[0][0])
        return recur(step, kernels, constants, start, (inputs, kept, places))[1]

    def _logits(self, read: Float[Array, "*B K"]) -> Float[Array, "*B V"]:
        """How well each token would follow."""
        table = self.source_embedding
        return table.logits(read) if self.projection is None else self.projection(read)

    def _target_table(self) -> Embedding:
        return self.source_embedding if self.config.tied else self.target_embedding
