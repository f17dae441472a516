"""An LSTM that keeps a tape of all its states and attends to it instead of the last one.

Source: Cheng, Dong and Lapata 2016, sections 3.1 (the layer) and 4 (deep fusion).
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from attention_jax.functional import additive, explain, softmax, weigh
from attention_jax.functional.masks import Causal, Lengths, Mask
from attention_jax.functional.recur import Times
from attention_jax.functional.recurrence import lstm
from attention_jax.functional.tape import fused_lstm, record, write
from attention_jax.modules import Dense
from attention_jax.modules.recurrent import RecurrentLayer


class Tape(NamedTuple):
    """What a layer has written; hidden state and memory, h and c, lie side by side."""

    memory: Float[Array, "B T 2*K"]
    keys: Float[Array, "B T A"]


class Source(NamedTuple):
    """What deep fusion reads of the source: a tape, its keys projected for this reader."""

    memory: Float[Array, "B S 2*K"]
    keys: Float[Array, "B S A"]
    lengths: Int[Array, " B"]


class Recalled(NamedTuple):
    """A layer's state between positions: the hidden states that it recalled last."""

    own: Float[Array, "B K"]
    source: Float[Array, "B K"] | None


class Compare(nnx.Module):
    """The parameters of additive attention whose query is of an input and of what was recalled."""

    def __init__(self, inputs: int, width: int, size: int, rngs: nnx.Rngs):
        self.query = Dense(inputs, size, letters="D P", rngs=rngs)
        self.recalled = Dense(width, size, bias=False, letters="D P", rngs=rngs)
        self.key = Dense(width, size, bias=False, letters="D P", rngs=rngs)
        self.v = nnx.Param(jax.random.normal(rngs.params(), (size,)) * size**-0.5, letters="P")


class SourceGate(nnx.Module):
    """The parameters of deep fusion: what is read of a source, and how much of it is let in."""

    def __init__(self, inputs: int, width: int, size: int, rngs: nnx.Rngs):
        self.compare = Compare(inputs, width, size, rngs)
        self.inputs = Dense(inputs, width, letters="D P", rngs=rngs)
        self.recurrent = Dense(width, width, bias=False, letters="D P", rngs=rngs)

    def tape(self, memory: Float[Array, "B S 2*K"], lengths: Int[Array, " B"]) -> Source:
        """An encoder's tape as it is read here."""
        hidden, _ = _halves(memory)
        return Source(memory, self.compare.key(hidden), lengths)

    def weights(self, x, recalled: Recalled, source: Source) -> Float[Array, "B 1 T S"]:
        """How much each position reads of each source."""
        mask = Lengths(source.lengths)
        return _weights(self.compare, x, source.keys, recalled.source, mask)


class TapeLayer(nnx.Module):
    """One layer: h̃, c̃ recalled from the tape by attention, then an LSTM's gates on them."""

    def __init__(
        self, inputs: int, width: int, *, attention: int, reads_source: bool, rngs: nnx.Rngs
    ):
        """Takes `inputs` features, has a state of `width`, and compares in `attention` features.

        One that reads the source fuses it deeply: through a gate into its own memory.
        """
        self.width = width
        self.lstm = RecurrentLayer(inputs, width, cell="lstm", rngs=rngs)
        self.own = Compare(inputs, width, attention, rngs)
        self.source = SourceGate(inputs, width, attention, rngs) if reads_source else None

    def __call__(
        self, x: Float[Array, "B T D"], start: Float[Array, "B 2*K"], source: Source | None = None
    ) -> tuple[Tape, Recalled]:
        """The tape after all positions, and what was recalled at each.

        Args:
          x: what the layer reads.
          start: h and c that the first position recalls, when the tape is empty.
          source: what deep fusion reads.
        """
        return record(
            self.advance,
            self.kernels(),
            self.constants(start, source),
            self.room(start, x.shape[1]),
            self.nothing(start),
            self.inputs(x),
        )

    def step(
        self,
        tape: Tape,
        recalled: Recalled,
        x: Float[Array, "B D"],
        start: Float[Array, "B 2*K"],
        source: Source | None,
        position: Int[Array, ""],
    ) -> tuple[Tape, Recalled]:
        """One position further."""
        kernels, constants = self.kernels(), self.constants(start, source)

        def times(name: str, rows: Array) -> Array:
            return rows @ kernels[name]

        entry, after = self.advance(times, constants, tape, recalled, self.inputs(x), position)
        return write(tape, entry, position), after

    def own_weights(self, x, tape: Tape, recalled: Recalled, lengths=None):
        """How much each position recalls of each before it, [B, 1, T, T]."""
        mask = Causal(-1) if lengths is None else Causal(-1) & Lengths(lengths)
        return _weights(self.own, x, tape.keys, recalled.own, mask)

    def advance(
        self,
        times: Times,
        constants: dict[str, Any],
        tape: Tape,
        recalled: Recalled,
        now: dict[str, Array],
        position: Int[Array, ""],
    ) -> tuple[Tape, Recalled]:
        """The step that `record` takes, from projected inputs: the entry it writes, its state."""

        def recall(name: str, keys, values, mask: Bool[Array, " T"] | Mask) -> Array:
            query = now[f"{name} query"] + times(f"{name} recalled", getattr(recalled, name))
            logits = additive(query[:, None, None], keys[:, :, None], v=constants[f"{name} v"])
            return weigh(softmax(logits, mask), values[:, :, None])[:, 0, 0]

        past = jnp.arange(tape.memory.shape[1]) < position
        memory = recall("own", tape.keys, tape.memory, past)
        memory = jnp.where(position == 0, constants["start"], memory)
        state, recurrent = _halves(memory), partial(times, "recurrent")
        source = constants["source"]
        if source is None:
            read, (hidden, cell) = None, lstm(now["gates"], state, recurrent)
        else:
            mask = Lengths(source.lengths)
            read, fact = _halves(recall("source", source.keys, source.memory, mask))
            gate = jax.nn.sigmoid(now["gate"] + times("gate", read))
            hidden, cell = fused_lstm(now["gates"], state, recurrent, gate * fact)
        written = jnp.concatenate([hidden, cell], axis=-1)
        return Tape(written, times("own key", hidden)), Recalled(state[0], read)

    def kernels(self) -> dict[str, Float[Array, "K P"]]:
        """The matrices of `advance` by name."""
        found = {
            "recurrent": self.lstm.recurrent[...],
            "own recalled": self.own.recalled.kernel[...],
            "own key": self.own.key.kernel[...],
        }
        if self.source is not None:
            found["source recalled"] = self.source.compare.recalled.kernel[...]
            found["gate"] = self.source.recurrent.kernel[...]
        return found

    def constants(self, start: Float[Array, "B 2*K"], source: Source | None) -> dict[str, Any]:
        """What else `advance` reads."""
        found = {"own v": self.own.v[...], "start": start, "source": source}
        if self.source is not None:
            found["source v"] = self.source.compare.v[...]
        return found

    def inputs(self, x: Float[Array, "*B D"]) -> dict[str, Float[Array, "*B P"]]:
        """All that `advance` takes of an input, projected."""
        found = {"gates": self.lstm.inputs(x), "own query": self.own.query(x)}
        if self.source is not None:
            found |= {"source query": self.source.compare.query(x), "gate": self.source.inputs(x)}
        return found

    def room(self, start: Float[Array, "B 2*K"], length: int) -> Tape:
        """An empty tape for `length` positions."""
        size, rows = self.own.v.shape[0], len(start)
        return Tape(*(jnp.zeros((rows, length, n), start.dtype) for n in (start.shape[-1], size)))

    def nothing(self, start: Float[Array, "B 2*K"]) -> Recalled:
        """What has been recalled before the first position."""
        zeros = jnp.zeros((len(start), self.width), start.dtype)
        return Recalled(zeros, None if self.source is None else zeros)


def _weights(compare: Compare, x, keys, recalled, mask: Mask) -> Float[Array, "B 1 T S"]:
    """The attention of all positions at once, each with what the one before it recalled."""
    before = jnp.pad(recalled, ((0, 0), (1, 0), (0, 0)))[:, :-1]
    query = compare.query(x) + compare.recalled(before)
    score = partial(additive, v=compare.v[...])
    return explain(query[:, :, None], keys[:, :, None], score=score, mask=mask)


def _halves(memory: Float[Array, "*B 2*K"]) -> tuple[Float[Array, "*B K"], Float[Array, "*B K"]]:
    hidden, cell = jnp.split(memory, 2, axis=-1)
    return hidden, cell
