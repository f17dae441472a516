"""The encoder-decoder with one fixed vector between its halves: what attention was invented for.

One recurrent network reads the source; all that its last state holds is what another one writes the
target from, however long the source was.

Source: Sutskever, Vinyals and Le, *Sequence to Sequence Learning with Neural Networks*, 2014 (LSTM
layers, the source reversed: `context="initial"`); Cho, van Merriënboer, Gulcehre, Bahdanau,
Bougares, Schwenk and Bengio, *Learning Phrase Representations using RNN Encoder-Decoder for
Statistical Machine Translation*, 2014 (the vector at every step: `context="every"`, with the cell
"gru_before"). Dropout: Zaremba, Sutskever and Vinyals 2014.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from attention_jax.functional.layers import dropout
from attention_jax.functional.maxout import maxout
from attention_jax.functional.recur import turned
from attention_jax.models.places import Place
from attention_jax.modules import Dense, Embedding
from attention_jax.modules.recurrent import Cell, Recurrent, State

Context = Literal["initial", "every"]


@dataclass(frozen=True)
class RnnSeq2SeqConfig:
    """The sizes of an encoder-decoder without attention."""

    kind: Literal["rnn_seq2seq"] = "rnn_seq2seq"
    """a recurrent encoder and a recurrent decoder with one vector between them"""
    vocabulary: int = 10_000
    """V: tokens of the joint vocabulary; training sets it to the tokenizer's size"""
    width: int = 256
    """K: features of a hidden state, in each direction"""
    embedding: int | None = None
    """D: features of a token; None: as many as a hidden state"""
    layers: int = 1
    """recurrent layers of the encoder, and of the decoder"""
    cell: Cell = "lstm"
    """what makes a state of the one before; `gru` as in torch, `gru_before` as in the papers"""
    context: Context = "initial"
    """the vector starts the decoder (Sutskever) or is also read at every step (Cho)"""
    bidirectional: bool = False
    """the encoder reads in both directions"""
    reverse_source: bool = True
    """the encoder reads the source from its end, so that first words lie near first words"""
    dropout: float = 0.3
    """rate on embedded tokens, between layers and in front of the logits; rounded to 1/256"""
    tied: bool = False
    """one table for source and target tokens, and for the logits too where what they are made from
    has as many features as a token: always with `context` every, else if embedding is width"""

    def __post_init__(self):
        """Refuses sizes that no model can have."""
        for name in ("vocabulary", "width", "layers", "embedding"):
            if (size := getattr(self, name)) is not None and size < 1:
                raise ValueError(f"{name} is {size}; it must be at least 1")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}; it must be at least 0 and less than 1")
        allowed = {"kind": ("rnn_seq2seq",), "cell": get_args(Cell), "context": get_args(Context)}
        for name, fits in allowed.items():
            if getattr(self, name) not in fits:
                raise ValueError(f"{name} is {getattr(self, name)!r}; one of {fits} fits")

    @property
    def token_width(self) -> int:
        """D, features of an embedded token."""
        return self.width if self.embedding is None else self.embedding


class Cache(NamedTuple):
    """What decoding keeps between target positions; every array leads with the batch."""

    state: tuple[State, ...]
    """of each decoder layer"""
    context: Float[Array, "B K"] | None
    """the source's vector, where every step reads it"""


class RnnSeq2Seq(nnx.Module):
    """From source and target tokens to logits for each next target token, without attention.

    Token 0 is padding, and may stand only at the end of a source; it is never read.
    """

    def __init__(self, config: RnnSeq2SeqConfig, *, rngs: nnx.Rngs):
        """Makes all parameters from `rngs.params`."""
        self.config = config
        tokens, width, size = config.vocabulary, config.width, config.token_width
        every = config.context == "every"
        stack: dict[str, Any] = {"cell": config.cell, "layers": config.layers}
        stack |= {"dropout": config.dropout, "rngs": rngs}
        self.source_embedding = Embedding(tokens, size, rngs=rngs)
        if not config.tied:
            self.target_embedding = Embedding(tokens, size, rngs=rngs)
        self.encoder = Recurrent(size, width, bidirectional=config.bidirectional, **stack)
        self.decoder = Recurrent(size + every * width, width, **stack)
        read = self.encoder.outputs
        self.summary = Dense(read, width, letters="D P", rngs=rngs) if every else None
        # Where a vector must become a state: a summary, or what two directions found.
        parts = (2 if config.cell == "lstm" and not every else 1) * config.layers
        bridged = parts if every or config.bidirectional else 0
        into = width if every else read
        self.bridge = nnx.List(
            [Dense(into, width, letters="D P", rngs=rngs) for _ in range(bridged)]
        )
        self.readout = Dense(2 * width + size, 2 * size, rngs=rngs) if every else None
        features = size if every else width
        if not config.tied or features != size:
            self.projection = Dense(features, tokens, bias=False, letters="D V", rngs=rngs)

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
          explain: whether to return what is attended to as well: here it is nothing.

        Returns:
          Logits [B, T, V]; with `explain` the pair (logits, {}).
        """
        streams = [None] * 5 if rng is None else list(jax.random.split(rng, 5))
        state, context = self._encode(source, streams.pop(), streams.pop())
        x = dropout(self._target_table().embed(target_in), self.config.dropout, streams.pop())
        hidden, _ = self.decoder(_joined(x, context), state=state, rng=streams.pop())
        logits = self._logits(hidden, x, context, streams.pop())
        return (logits, {}) if explain else logits

    def start(self, source: Int[Array, "B S"], length: int) -> Cache:
        """Reads the source once; the cache is as large for any `length`."""
        del length
        return Cache(*self._encode(source, None, None))

    def step(self, cache: Cache, tokens: Int[Array, " B"]) -> tuple[Float[Array, "B V"], Cache]:
        """Takes the tokens at the next position; gives the logits of those that follow."""
        x = self._target_table().embed(tokens)
        state, hidden = self.decoder.step(cache.state, _joined(x, cache.context))
        return self._logits(hidden, x, cache.context, None), cache._replace(state=state)

    def reorder(self, cache: Cache, rows: Int[Array, " B"]) -> Cache:
        """The cache after row i went on from row `rows[i]` of the same source."""
        return cache._replace(state=jax.tree.map(lambda leaf: leaf[rows], cache.state))

    def _encode(self, source: Int[Array, "B S"], rng: Array | None, between: Array | None):
        """What the decoder starts from, and the vector that it reads at every step, if it does."""
        lengths = (source != 0).sum(-1)
        if self.config.reverse_source:
            source = turned(source, lengths)
        x = dropout(self.source_embedding.embed(source), self.config.dropout, rng)
        # Nobody reads padding, but the backward pass multiplies what it holds by zero.
        x = jnp.where((source != 0)[..., None], x, 0)
        _, finals = self.encoder(x, lengths, rng=between)
        lstm = self.config.cell == "lstm"
        if self.summary is not None:
            context = jnp.tanh(self.summary(finals[-1][0] if lstm else finals[-1]))
            started = [jnp.tanh(bridge(context)) for bridge in self.bridge]
            # Nothing comes to the decoder but this vector: the cells of an LSTM start empty.
            return tuple((h, jnp.zeros_like(h)) if lstm else h for h in started), context
        if not self.bridge:
            return finals, None
        leaves, structure = jax.tree.flatten(finals)
        found = [bridge(leaf) for bridge, leaf in zip(self.bridge, leaves, strict=True)]
        # Hidden states lie between -1 and 1; what an LSTM's cell holds may be any number.
        bounded = [leaf if lstm and i % 2 else jnp.tanh(leaf) for i, leaf in enumerate(found)]
        return jax.tree.unflatten(structure, bounded), None

    def _logits(self, hidden, x, context, rng: Array | None) -> Float[Array, "*B V"]:
        """From the decoder's rows, the tokens it read and the source's vector."""
        if self.readout is not None:
            joined = jnp.concatenate([hidden, _joined(x, context)], axis=-1)
            hidden = maxout(self.readout(joined))
        hidden = dropout(hidden, self.config.dropout, rng)
        tied = self.config.tied and hidden.shape[-1] == self.config.token_width
        return self.source_embedding.logits(hidden) if tied else self.projection(hidden)

    def _target_table(self) -> Embedding:
        return self.source_embedding if self.config.tied else self.target_embedding


def _joined(x: Float[Array, "B *T D"], context: Float[Array, "B K"] | None):
    """Each row of x with its source's vector behind it."""
    if context is None:
        return x
    context = context[:, None] if x.ndim == 3 else context
    context = jnp.broadcast_to(context, (*x.shape[:-1], context.shape[-1]))
    return jnp.concatenate([x, context], axis=-1)
