"""A stack of recurrent layers: parameters around `functional.recurrence`."""

from functools import partial
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Int

from attention_jax.functional.layers import dropout
from attention_jax.functional.recur import Times, recur
from attention_jax.functional.recurrence import elman, gru, gru_before, lstm
from attention_jax.modules.layers import Dense

Cell = Literal["elman", "gru", "gru_before", "lstm"]
"""`gru` is that of torch and cuDNN; `gru_before`, with the reset gate before the product, that of
Cho et al. 2014 and Bahdanau et al. 2015."""

State = Any
"""One layer's: hidden [B, K], of an LSTM (hidden, cell); both directions' features side by side."""

GATES = {"elman": 1, "gru": 3, "gru_before": 3, "lstm": 4}


class RecurrentLayer(nnx.Module):
    """One layer in one direction.

    Every gate's kernel starts Glorot-uniform by itself; biases start at zero, but the forget gate's
    at one, so that an LSTM begins by remembering (Gers et al. 2000; Jozefowicz et al. 2015).
    """

    def __init__(self, inputs: int, width: int, *, cell: Cell, rngs: nnx.Rngs):
        """Takes `inputs` features and has a state of `width`."""
        self.width, self.cell = width, cell
        gates = GATES[cell]
        self.inputs = Dense(inputs, gates * width, letters="D P", rngs=rngs)
        self.inputs.kernel[...] = _gates(inputs, width, gates, rngs)
        before = cell == "gru_before"
        self.recurrent = nnx.Param(_gates(width, width, gates - before, rngs), letters="D P")
        self.candidate = nnx.Param(_gates(width, width, 1, rngs), letters="D P") if before else None
        # Of torch's second bias only what the reset gate multiplies is not in the first already.
        self.shift = nnx.Param(jnp.zeros(width), letters="D") if cell == "gru" else None
        if cell == "lstm":
            bias = jnp.zeros(gates * width).at[width : 2 * width].set(1)
            self.inputs.bias = nnx.Param(bias, letters="P")

    def kernels(self) -> dict[str, Float[Array, "K P"]]:
        """What `recur` shall keep apart from the loop."""
        candidate = {} if self.candidate is None else {"candidate": self.candidate[...]}
        return {"recurrent": self.recurrent[...], **candidate}

    def constants(self) -> Float[Array, " 3*K"] | None:
        """What else the step reads: a GRU's bias behind the state's product."""
        return None if self.shift is None else jnp.pad(self.shift[...], (2 * self.width, 0))

    def advance(
        self, times: Times, shift: Array | None, state: State, inputs: Float[Array, "B P"]
    ) -> tuple[State, Float[Array, "B K"]]:
        """The step that `recur` takes: one position further, from projected inputs."""

        def recurrent(hidden: Array) -> Array:
            product = times("recurrent", hidden)
            return product if shift is None else product + shift[None]

        if self.cell == "lstm":
            state = lstm(inputs, state, recurrent)
            return state, state[0]
        if self.cell == "gru_before":
            hidden = gru_before(inputs, state, recurrent, partial(times, "candidate"))
        else:
            hidden = {"elman": elman, "gru": gru}[self.cell](inputs, state, recurrent)
        return hidden, hidden

    def __call__(
        self,
        x: Float[Array, "B T D"],
        lengths: Int[Array, " B"] | None,
        state: State,
        starts: Bool[Array, "B T"] | None = None,
        *,
        reverse: bool = False,
    ) -> tuple[State, Float[Array, "B T K"]]:
        """The state after the last position, and the hidden state at every one."""
        how: dict[str, Any] = {"lengths": lengths, "starts": starts, "reverse": reverse}
        return recur(self.advance, self.kernels(), self.constants(), state, self.inputs(x), **how)

    def step(self, state: State, x: Float[Array, "B D"]) -> tuple[State, Float[Array, "B K"]]:
        """One position further."""
        kernels = self.kernels()
        return self.advance(_plainly(kernels), self.constants(), state, self.inputs(x))


class Recurrent(nnx.Module):
    """Layers that each read what the one below gave, in one direction or in both.

    Dropout stands between layers only, never between positions (Zaremba et al. 2014).
    """

    def __init__(
        self,
        inputs: int,
        width: int,
        *,
        cell: Cell = "gru",
        layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        rngs: nnx.Rngs,
    ):
        """Makes all layers.

        Args:
          inputs: D, features of a position.
          width: K, features of a hidden state in one direction.
          cell: what computes a state from the one before.
          layers: how many stand one upon another.
          bidirectional: each layer also reads from the end, and gives both, side by side.
          dropout: rate between layers.
          rngs: where the kernels come from.

        Raises:
          ValueError: a size is below 1, or there is no such cell.
        """
        for name, size in (("inputs", inputs), ("width", width), ("layers", layers)):
            if size < 1:
                raise ValueError(f"{name} is {size}; it must be at least 1")
        if cell not in get_args(Cell):
            raise ValueError(f"cell is {cell!r}; one of {get_args(Cell)} fits")
        self.width, self.cell, self.rate = width, cell, dropout
        self.outputs = width * (1 + bidirectional)
        takes = [inputs] + [self.outputs] * (layers - 1)

        def stack() -> nnx.List:
            return nnx.List([RecurrentLayer(size, width, cell=cell, rngs=rngs) for size in takes])

        self.forward, self.backward = stack(), stack() if bidirectional else None

    def __call__(
        self,
        x: Float[Array, "B T D"],
        lengths: Int[Array, " B"] | None = None,
        *,
        state: tuple[State, ...] | None = None,
        starts: Bool[Array, "B T"] | None = None,
        rng: Array | None = None,
    ) -> tuple[Float[Array, "B T K"], tuple[State, ...]]:
        """Reads all positions.

        Args:
          x: what the lowest layer reads.
          lengths: how many positions of each row are real, None for all; past them outputs are zero
            and nothing is read. Backwards a row is read from its own last position.
          state: what each layer starts from, as is returned here; zeros where None.
          starts: True where a sequence begins, if several stand behind one another in a row.
          rng: a `jax.random` key switches dropout on.

        Returns:
          What the highest layer gives at each position, 2·K features where bidirectional, and the
          final state of each layer, lowest first.
        """
        finals, layers = [], len(self.forward)
        state = self.start(x.shape[0], x.dtype) if state is None else state
        streams = [None] * layers if rng is None else list(jax.random.split(rng, layers))
        for i, layer in enumerate(self.forward):
            x = dropout(x, self.rate, streams[i]) if i else x
            if self.backward is None:
                final, x = layer(x, lengths, state[i], starts)
            else:
                ahead, behind = (jax.tree.map(half, state[i]) for half in (_first, _second))
                read = (
                    layer(x, lengths, ahead, starts),
                    self.backward[i](x, lengths, behind, starts, reverse=True),
                )
                final, x = jax.tree.map(lambda *both: jnp.concatenate(both, axis=-1), *read)
            finals.append(final)
        return x, tuple(finals)

    def start(self, rows: int, dtype: DTypeLike = "float32") -> tuple[State, ...]:
        """States of zeros, one a layer."""
        zeros = jnp.zeros((rows, self.outputs), dtype)
        return ((zeros, zeros) if self.cell == "lstm" else zeros,) * len(self.forward)

    def step(
        self, state: tuple[State, ...], x: Float[Array, "B D"]
    ) -> tuple[tuple[State, ...], Float[Array, "B K"]]:
        """One position further, from the state of each layer: what decoding does.

        Raises:
          ValueError: the stack is bidirectional, and so needs all positions.
        """
        return self.advance(_plainly(self.kernels()), self.constants(), state, x)

    def kernels(self) -> dict[str, Float[Array, "D P"]]:
        """All matrices of `advance` by name: for a loop in which layers are not alone."""
        found = {}
        for i, layer in enumerate(self.forward):
            named = {"inputs": layer.inputs.kernel[...], **layer.kernels()}
            found |= {f"{i} {name}": kernel for name, kernel in named.items()}
        return found

    def constants(self) -> tuple[Any, ...]:
        """What else `advance` reads, as an argument that has a gradient."""
        return tuple((layer.inputs.bias[...], layer.constants()) for layer in self.forward)

    def advance(
        self, times: Times, constants: Any, state: tuple[State, ...], x: Float[Array, "B D"]
    ) -> tuple[tuple[State, ...], Float[Array, "B K"]]:
        """All layers one position further: a step, or a part of one, for `recur`.

        Each layer projects its input here, so this is for inputs that the position before decides;
        where all are known, calling the stack is faster. Nothing is dropped.

        Raises:
          ValueError: the stack is bidirectional.
        """
        if self.backward is not None:
            raise ValueError("a bidirectional stack has no single step: it needs all positions")
        after = []
        for i, (layer, (bias, shift)) in enumerate(zip(self.forward, constants, strict=True)):

            def named(name: str, rows: Array, i: int = i) -> Array:
                return times(f"{i} {name}", rows)

            inputs = named("inputs", x) + bias[None]
            new, x = layer.advance(named, shift, state[i], inputs)
            after.append(new)
        return tuple(after), x


def _gates(inputs: int, width: int, gates: int, rngs: nnx.Rngs) -> Float[Array, "D P"]:
    """The kernels of gates side by side, each Glorot-uniform for its own size."""
    limit = (6 / (inputs + width)) ** 0.5
    shape = (inputs, gates * width)
    return jax.random.uniform(rngs.params(), shape, minval=-limit, maxval=limit)


def _plainly(kernels: dict[str, Array]) -> Times:
    return lambda name, rows: rows @ kernels[name]


def _first(x: Array) -> Array:
    return x[..., : x.shape[-1] // 2]


def _second(x: Array) -> Array:
    return x[..., x.shape[-1] // 2 :]
