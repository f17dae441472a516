"""The compiled programs of one model: made ahead, counted, and kept for the next run."""

import functools
import math
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Int

from attention_jax.training.objective import Objective, translation
from attention_jax.training.optimizer import OptimizerConfig, make_optimizer
from attention_jax.training.step import Metrics, State, eval_step, initial_state, split, train_step

Optimizer = OptimizerConfig | optax.GradientTransformation
"""how a model is trained; a transformation of gradients is taken as it is"""

COMPILED = "/jax/core/compile/backend_compile_duration"

AHEAD = 3
"""steps that the device may have before it; as many must end before a run that is asked to stops"""


class Programs:
    """Everything that training compiles, for one model and optimizer; runs of many seeds share it.

    This is training on one device. `parallel` has the same for several: what it overrides says
    where arrays lie, `place` and `put`, and how a step is spread over them, `_transformed`.

    Args:
      make_model: the model from its random streams.
      optimizer: how it is trained.
      steps: of the whole run, for the schedule.
      smoothing: of the training labels.
      rng: generator of the dropout stream.
      compute: what the model computes in.
      objective: what a batch costs.
      unit: what its costs are counted in.
      likelihood: they are -log p, so that a perplexity tells something.

    Attributes:
      model: the model with shapes and dtypes in place of arrays.
      graph: its structure.
      optimizer: from gradients to updates.
      structs: shapes and dtypes of a training state.
      parameters: how many numbers the model has.
      seconds: spent on tracing and compiling so far.
      step_bytes: what the largest compiled training step holds at once on a device: state, batch,
        temporaries.
      devices: how many one step runs on.
      notes: what a user should know of how the model lies on them, a line each.
      share: which part of a batch, of how many, this process puts in; one alone puts in all.
      multiple: of it a batch has rows before it is cut into such parts.
    """

    devices = 1
    notes: Sequence[str] = ()
    share = (0, 1)
    multiple = 1

    def __init__(
        self,
        make_model: Callable[[nnx.Rngs], nnx.Module],
        optimizer: Optimizer,
        *,
        steps: int,
        smoothing: float,
        rng: str,
        compute: str = "float32",
        objective: Objective = translation,
        unit: str = "tokens",
        likelihood: bool = True,
    ):
        if isinstance(optimizer, OptimizerConfig):
            optimizer = make_optimizer(optimizer, steps)
        transformation = optimizer
        self.unit, self.likelihood = unit, likelihood
        self.model = nnx.eval_shape(lambda: make_model(nnx.Rngs(0)))
        self.graph, _ = split(self.model)
        self.optimizer = transformation

        @jax.jit
        def start(seed: Int[Array, ""]) -> State:
            return initial_state(make_model, transformation, seed, rng=rng)

        self._start = start
        self._seed = jax.ShapeDtypeStruct((), np.uint32)
        self.structs: State = jax.eval_shape(self._start, self._seed)
        self.parameters = sum(leaf.size for leaf in jax.tree.leaves(self.structs.params))
        both: dict[str, Any] = {"compute": compute, "objective": objective}
        train: dict[str, Any] = {"smoothing": smoothing, "rng": rng, **both}
        # Perplexity and the loss of held-out text are those of the labels themselves.
        self._train, self._evaluate = self._transformed(
            functools.partial(train_step, self.graph, transformation, **train),
            functools.partial(eval_step, self.graph, **both),
        )
        self._compiled: dict[Any, Any] = {}
        self.seconds = 0.0
        self.step_bytes = 0

    def start(self, seed: int) -> State:
        """A fresh training state in its place, a pure function of the seed."""
        return self._program("start", self._start, self._seed)(np.uint32(seed))

    def place(self, state: State) -> State:
        """A state of numpy arrays in its place, with memory of its own."""
        # A step uses its state up, and numpy's memory is not the device's to use.
        return jax.device_put(state, may_alias=False)

    def whole(self, tree: Any) -> Any:
        """A placed tree as it is kept: each array once and in full."""
        return tree

    def put(self, batch: Any) -> Any:
        """A batch on its way into a step."""
        return batch

    def step(self, state: State, batch: Any) -> tuple[State, Metrics]:
        """One step of training; the state that goes in is used up."""
        placed = self.put(batch)
        return self._training(placed)(state, placed)

    def compile(self, training: Iterable[Any], held_out: Any) -> None:
        """Makes the programs for batches of the shapes and dtypes of these, and held-out ones."""
        for batch in training:
            self._training(self.put_structs(batch))
        self._evaluation(self.put_structs(held_out))

    def training_text(self, batch: Any) -> str:
        """The compiled step for batches of this one's shape, in XLA's own words."""
        return self._training(self.put(batch)).as_text()

    def loss(
        self, params: Any, batches: Sequence[Any], *, between: Callable[[], None] | None = None
    ) -> float:
        """Negative log-likelihood in nats a token, unsmoothed; summed in float64 on the host.

        Args:
          params: of the model, placed as in a state.
          batches: held-out ones.
          between: called before each batch; what it raises ends this.
        """
        sums = []
        for batch in batches:
            if between is not None:
                between()
            placed = self.put(batch)
            sums.append(self._evaluation(placed)(params, placed))
            jax.block_until_ready(sums[-AHEAD:][0])
        found = jax.device_get(sums)
        return math.fsum(float(s.nll) for s in found) / math.fsum(float(s.tokens) for s in found)

    def _transformed(self, train: Callable[..., Any], evaluate: Callable[..., Any]) -> Any:
        """The functions of a step, jitted, from what makes a step and what makes an evaluation."""
        return jax.jit(train(), donate_argnums=0), jax.jit(evaluate())

    def put_structs(self, batch: Any) -> Any:
        """Shapes and dtypes of what `put` makes of a batch of these shapes and dtypes."""
        return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), batch)

    def state_structs(self) -> State:
        """Shapes and dtypes of a placed state."""
        return self.structs

    def _training(self, batch: Any) -> Any:
        name = "train", *(leaf.shape for leaf in batch)
        return self._program(name, self._train, self.state_structs(), batch)

    def _evaluation(self, batch: Any) -> Any:
        name = "evaluate", *(leaf.shape for leaf in batch)
        return self._program(name, self._evaluate, self.state_structs().params, batch)

    def _program(self, name: Any, function: Any, *structs: Any) -> Any:
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
