"""The compiled programs of one model: made ahead, counted, and kept for the next run."""

import functools
import math
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import numpy as np
from flax import nnx
from jaxtyping import Array, Int

from attention_jax.data.batches import Batch
from attention_jax.training.optimizer import OptimizerConfig, make_optimizer
from attention_jax.training.step import (
    State,
    initial_state,
    make_eval_step,
    make_train_step,
    split,
)

COMPILED = "/jax/core/compile/backend_compile_duration"

AHEAD = 3
"""steps that the device may have before it; as many must end before a run that is asked to stops"""


class Programs:
    """Everything that training compiles, for one model and optimizer; runs of many seeds share it.

    Args:
      make_model: the model from its random streams.
      optimizer: how it is trained.
      steps: of the whole run, for the schedule.
      smoothing: of the training labels.
      rng: generator of the dropout stream.

    Attributes:
      graph: the model's structure.
      structs: shapes and dtypes of a training state.
      parameters: how many numbers the model has.
      seconds: spent on tracing and compiling so far.
      step_bytes: what the largest compiled training step holds at once: state, batch, temporaries.
    """

    def __init__(
        self,
        make_model: Callable[[nnx.Rngs], nnx.Module],
        optimizer: OptimizerConfig,
        *,
        steps: int,
        smoothing: float,
        rng: str,
    ):
        transformation = make_optimizer(optimizer, steps)
        self.graph, _ = split(nnx.eval_shape(lambda: make_model(nnx.Rngs(0))))

        @jax.jit
        def start(seed: Int[Array, ""]) -> State:
            return initial_state(make_model, transformation, seed, rng=rng)

        self._start = start
        self._seed = jax.ShapeDtypeStruct((), np.uint32)
        self.structs: State = jax.eval_shape(self._start, self._seed)
        self.parameters = sum(leaf.size for leaf in jax.tree.leaves(self.structs.params))
        self._train = make_train_step(self.graph, transformation, smoothing=smoothing, rng=rng)
        # Perplexity and the loss of held-out text are those of the labels themselves.
        self._evaluate = make_eval_step(self.graph)
        self._compiled: dict[Any, Callable[..., Any]] = {}
        self.seconds = 0.0
        self.step_bytes = 0

    def start(self, seed: int) -> State:
        """A fresh training state, a pure function of the seed."""
        return self._program("start", self._start, self._seed)(np.uint32(seed))

    def train(self, shape: tuple[int, int]) -> Any:
        """The training step for batches of [rows, length]; it uses its state up."""
        return self._program(("train", shape), self._train, self.structs, _structs(shape))

    def evaluate(self, shape: tuple[int, int]) -> Callable[[Any, Batch], Any]:
        """The evaluation for batches of [rows, length]: sums over (params, batch)."""
        return self._program(
            ("evaluate", shape), self._evaluate, self.structs.params, _structs(shape)
        )

    def compile(self, shapes: Iterable[tuple[int, int]], held_out: tuple[int, int]) -> None:
        """Makes the programs for training batches and held-out batches of these shapes."""
        for shape in shapes:
            self.train(shape)
        self.evaluate(held_out)

    def loss(
        self, params: Any, batches: Sequence[Batch], *, between: Callable[[], None] | None = None
    ) -> float:
        """Negative log-likelihood in nats a token, unsmoothed; summed in float64 on the host.

        Args:
          params: of the model.
          batches: held-out ones.
          between: called before each batch; what it raises ends this.
        """
        sums = []
        for batch in batches:
            if between is not None:
                between()
            sums.append(self.evaluate(batch.source.shape)(params, batch))
            jax.block_until_ready(sums[-AHEAD:][0])
        found = jax.device_get(sums)
        return math.fsum(float(s.nll) for s in found) / math.fsum(float(s.tokens) for s in found)

    def _program(self, name: Any, function: Any, *structs: Any) -> Callable[..., Any]:
        if name not in self._compiled:
            began = time.perf_counter()
            program = self._compiled[name] = function.lower(*structs).compile()
            self.seconds += time.perf_counter() - began
            # Asked once only: the answer takes XLA as long as a step.
            if function is self._train and (found := program.memory_analysis()):
                held = found.argument_size_in_bytes + found.temp_size_in_bytes
                held += found.output_size_in_bytes - found.alias_size_in_bytes
                self.step_bytes = max(self.step_bytes, held)
        return self._compiled[name]


def compilations() -> int:
    """How many programs XLA has compiled in this process since this was first called."""
    return _counter()[0]


@functools.cache
def _counter() -> list[int]:
    count = [0]

    def listen(event: str, duration_secs: float, **_: Any) -> None:
        count[0] += event == COMPILED

    jax.monitoring.register_event_duration_secs_listener(listen)
    return count


def _structs(shape: tuple[int, int]) -> Batch:
    ids = jax.ShapeDtypeStruct(shape, np.int32)
    return Batch(ids, ids, ids, jax.ShapeDtypeStruct(shape, np.float32))
