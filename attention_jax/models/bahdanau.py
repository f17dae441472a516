"""Attention's first model: a decoder that looks back at every position of the source.

Source: Bahdanau, Cho and Bengio 2015, *Neural Machine Translation by Jointly Learning to Align and
Translate*, with the architecture of appendix A.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from attention_jax.functional import additive, explain, softmax, weigh
from attention_jax.functional.layers import dropout
from attention_jax.functional.masks import Lengths
from attention_jax.functional.maxout import maxout
from attention_jax.functional.recur import Times, recur
from attention_jax.models.places import Place
from attention_jax.modules import Dense, Embedding
from attention_jax.modules.recurrent import Recurrent, RecurrentLayer

ATTENTION = Place("cross", 0)


@dataclass(frozen=True)
class BahdanauConfig:
    """The sizes of Bahdanau's model; 1,000, 620, 1,000 and 500 in the paper."""

    kind: Literal["bahdanau"] = "bahdanau"
    """which model this is"""
    vocabulary: int = 10_000
    """V: tokens of the joint vocabulary; training sets it to the tokenizer's size"""
    width: int = 256
    """K: features of the decoder's state, and of the encoder's in either direction"""
    embedding: int | None = None
    """D: features of a token; None: width"""
    alignment: int | None = None
    """features in which a state is compared with the source; None: width"""
    readout: int | None = None
    """features that logits are made from, each the larger of two; None: embedding"""
    dropout: float = 0.3
    """rate on embedded tokens and on the readout, not in the paper; rounded to 1/256"""
    tied: bool = True
    """one table for source tokens and target tokens, and for logits where readout is embedding"""

    def __post_init__(self):
        """Refuses sizes that no model can have."""
        for name in ("vocabulary", "width", "embedding", "alignment", "readout"):
            if (size := getattr(self, name)) is not None and size < 1:
                raise ValueError(f"{name} is {size}; it must be at least 1")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}; it must be at least 0 and less than 1")
        if self.kind != "bahdanau":
            raise ValueError(f"kind is {self.kind!r}; 'bahdanau' would fit")

    @property
    def token_size(self) -> int:
        """D, features of a token."""
        return self.width if self.embedding is None else self.embedding

    @property
    def alignment_size(self) -> int:
        """Features in which a state is compared with the source."""
        return self.width if self.alignment is None else self.alignment

    @property
    def readout_size(self) -> int:
        """Features that logits are made from."""
        return self.token_size if self.readout is None else self.readout


class Memory(NamedTuple):
    """What the decoder reads of a source, the same at every step."""

    keys: Float[Array, "B S F"]
    values: Float[Array, "B S 2*K"]
    lengths: Int[Array, " B"]


class Cache(NamedTuple):
    """What decoding keeps between target positions; every array leads with the batch."""

    hidden: Float[Array, "B K"]
    memory: Memory


class Bahdanau(nnx.Module):
    """From source and target tokens to logits for each next target token.

    A gated recurrent unit reads the source in either direction; another writes the target, and at
    each step the state before looks for what to read. Token 0 is padding, and may stand only at the
    end of a source.

    Not the paper's: dropout, shared tables, and where parameters start (Glorot-uniform).
    """

    def __init__(self, config: BahdanauConfig, *, rngs: nnx.Rngs):
        """Makes all parameters from `rngs.params`."""
        self.config = config
        width, size, tokens = config.width, config.token_size, config.vocabulary
        self.source_embedding = Embedding(tokens, size, rngs=rngs)
        if not config.tied:
            self.target_embedding = Embedding(tokens, size, rngs=rngs)
        unit: Any = {"cell": "gru_before", "rngs": rngs}
        self.encoder = Recurrent(size, width, bidirectional=True, **unit)
        self.bridge = Dense(width, width, rngs=rngs)
        self.decoder = RecurrentLayer(size, width, **unit)
        # The matrices of the decoder's loop are never cut over devices: letter P, as in its unit.
        in_loop: Any = {"bias": False, "letters": "D P", "rngs": rngs}
        self.context = Dense(2 * width, 3 * width, **in_loop)
        self.query = Dense(width, config.alignment_size, **in_loop)
        self.key = Dense(2 * width, config.alignment_size, letters="D P", rngs=rngs)
        direction = jax.random.normal(rngs.params(), (config.alignment_size,))
        self.direction = nnx.Param(direction * config.alignment_size**-0.5, letters="P")
        self.readout = Dense(3 * width + size, 2 * config.readout_size, rngs=rngs)
        last: Any = {"bias": False, "letters": "D V", "rngs": rngs}
        shared = config.tied and config.readout_size == size
        self.projection = None if shared else Dense(config.readout_size, tokens, **last)

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
        """
        rngs = [None] * 3 if rng is None else list(jax.random.split(rng, 3))
        hidden, memory = self._encode(source, rngs[0])
        tokens = self._target_table().embed(target_in)
        tokens = dropout(tokens, self.config.dropout, rngs[1])
        inputs, constants = self.decoder.inputs(tokens), (memory, self.direction[...])
        _, (before, context) = recur(self._advance, self._kernels(), constants, hidden, inputs)
        logits = self._logits(before, tokens, context, rngs[2])
        if explain is False:
            return logits
        look = (lambda _, weights: weights) if explain is True else explain
        return logits, {ATTENTION: look(ATTENTION, self._weights(before, memory))}

    def start(self, source: Int[Array, "B S"], length: int) -> Cache:
        """Reads the source once; there is room for any `length`."""
        del length
        return Cache(*self._encode(source, None))

    def step(self, cache: Cache, tokens: Int[Array, " B"]) -> tuple[Float[Array, "B V"], Cache]:
        """Takes the tokens at the cache's position; gives the logits of the next ones."""
        kernels, constants = self._kernels(), (cache.memory, self.direction[...])
        token = self._target_table().embed(tokens)
        hidden, (before, context) = self._advance(
            lambda name, rows: rows @ kernels[name],
            constants,
            cache.hidden,
            self.decoder.inputs(token),
        )
        return self._logits(before, token, context, None), cache._replace(hidden=hidden)

    def reorder(self, cache: Cache, rows: Int[Array, " B"]) -> Cache:
        """The cache after row i went on from row `rows[i]` of the same source."""
        return cache._replace(hidden=cache.hidden[rows])

    def _encode(self, source, rng) -> tuple[Array, Memory]:
        """The state that the decoder starts from, and what it reads."""
        lengths = (source != 0).sum(-1)
        x = jnp.where((source != 0)[..., None], self.source_embedding.embed(source), 0)
        x = dropout(x, self.config.dropout, rng)
        values, (ends,) = self.encoder(x, lengths)
        # Of the unit that reads backwards: it comes to the first token last.
        first = ends[:, self.config.width :]
        return jnp.tanh(self.bridge(first)), Memory(self.key(values), values, lengths)

    def _kernels(self) -> dict[str, Array]:
        """The matrices of the decoder's loop."""
        own = {"query": self.query.kernel[...], "context": self.context.kernel[...]}
        return own | self.decoder.kernels()

    def _advance(
        self,
        times: Times,
        constants: tuple[Memory, Float[Array, " F"]],
        hidden: Float[Array, "B K"],
        x: Float[Array, "B 3*K"],
    ) -> tuple[Array, tuple[Array, Array]]:
        """Looks, reads and goes on; gives what the readout takes, the state before among it."""
        memory, v = constants
        query = times("query", hidden)[:, None, None]
        logits = additive(query, memory.keys[:, :, None], v=v)
        weights = softmax(logits, Lengths(memory.lengths))
        context = weigh(weights, memory.values[:, :, None])[:, 0, 0]
        inputs = x + times("context", context)
        return self.decoder.advance(times, None, hidden, inputs)[0], (hidden, context)

    def _weights(self, hidden: Float[Array, "B T K"], memory: Memory) -> Float[Array, "B 1 T S"]:
        """With what weights the source was read at every step."""
        query, score = self.query(hidden), partial(additive, v=self.direction[...])
        mask = Lengths(memory.lengths)
        return explain(query[:, :, None], memory.keys[:, :, None], score=score, mask=mask)

    def _logits(self, hidden, token, context, rng) -> Float[Array, "*B V"]:
        """How well each token would follow: the paper's deep output."""
        read = maxout(self.readout(jnp.concatenate([hidden, token, context], axis=-1)))
        read = dropout(read, self.config.dropout, rng)
        table = self.source_embedding
        return table.logits(read) if self.projection is None else self.projection(read)

    def _target_table(self) -> Embedding:
        return self.source_embedding if self.config.tied else self.target_embedding
