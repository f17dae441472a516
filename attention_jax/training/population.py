"""Many models trained as one program: the step of one, mapped over members, spread over devices.

What may differ between members is data to the program: the initial arrays and the dropout stream
(the seed), which slices of the width make a head, and the height of the learning rate. The last
step of Adam is linear in the rate, so that a member's own is a factor on its updates.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from attention_jax.data.batches import Batch
from attention_jax.functional.slices import grouping, sliced_dot
from attention_jax.training.loss import Loss
from attention_jax.training.optimizer import OptimizerConfig, make_optimizer
from attention_jax.training.programs import AHEAD, Programs
from attention_jax.training.step import Metrics, State, eval_step, train_step


class Traits(NamedTuple):
    """What sets one member apart from another of the same arrays; None: nothing does."""

    heads: int | None
    """how many heads the slices make"""
    rate: float
    """what the learning rate is multiplied by"""
    seed: int
    """of its batches: members of one seed share them"""


class PopulationPrograms:
    """Everything that training a population compiles; the counterpart of `Programs`.

    Stacked trees lead with [members], or, spread over devices, with [devices, members of each]:
    over the largest number of devices that divides the members.

    Args:
      make_model: the model with the most heads, the slices, from its random streams; its call takes
        a score.
      optimizer: how a member of rate 1 is trained.
      members: what sets each apart.
      slices: the model's number of heads.
      steps: of the whole run, for the schedule.
      smoothing: of the training labels.
      rng: generator of the dropout streams.
      devices: to spread over; None takes all of this process.

    Attributes:
      single: the programs of one member, for its start, shapes and parameters.
      seconds: spent on tracing and compiling the population's own programs.
    """

    def __init__(
        self,
        make_model: Callable[[nnx.Rngs], nnx.Module],
        optimizer: OptimizerConfig,
        members: Sequence[Traits],
        *,
        slices: int,
        steps: int,
        smoothing: float,
        rng: str,
        devices: Sequence[Any] | None = None,
    ):
        self.members = tuple(members)
        self.single = Programs(make_model, optimizer, steps=steps, smoothing=smoothing, rng=rng)
        self.devices = _spread(len(members), devices or jax.local_devices())
        self.seconds = 0.0
        transformation = make_optimizer(optimizer, steps)
        step = train_step(self.single.graph, transformation, smoothing=smoothing, rng=rng)
        # Perplexity and the loss of held-out text are those of the labels themselves.
        evaluation = eval_step(self.single.graph, smoothing=0.0)

        def train(state: State, batch: Batch, given: Mapping) -> tuple[State, Metrics]:
            return step(state, batch, rate=given.get("rate"), **_call(given))

        def evaluate(params: Any, batch: Batch, given: Mapping) -> Loss:
            return evaluation(params, batch, **_call(given))

        given = {}
        if any(one.heads != members[0].heads for one in members):
            given["grouping"] = [grouping(one.heads or slices, slices) for one in members]
        if any(one.rate != 1 for one in members):
            given["rate"] = [np.float32(one.rate) for one in members]
        self._given = {name: self._lead(np.stack(every)) for name, every in given.items()}
        self._shared = len({one.seed for one in members}) == 1
        self._train = self._mapped(train, None if self._shared else 0, donate=(0,))
        self._evaluate = self._mapped(evaluate, None)
        self._compiled: dict[Any, Any] = {}

    def stack(self, trees: Sequence[Any]) -> Any:
        """The members' trees as one, on the devices, with memory of its own."""
        stacked = jax.tree.map(lambda *leaves: self._lead(np.stack(leaves)), *trees)
        if len(self.devices) == 1:
            return jax.device_put(stacked, self.devices[0], may_alias=False)
        # Copied on the devices: a step uses its state up, and numpy's memory is not theirs to use.
        return jax.pmap(partial(jax.tree.map, jnp.copy), devices=self.devices)(stacked)

    def unstack(self, tree: Any) -> list[Any]:
        """The members' trees, on the host."""
        host, count = jax.device_get(tree), len(self.members)
        ends = jax.tree.map(lambda leaf: leaf.reshape(count, *leaf.shape[len(self._axes) :]), host)
        return [jax.tree.map(lambda leaf, i=i: leaf[i], ends) for i in range(count)]

    def batch(self, found: Mapping[int, Batch]) -> Batch:
        """One step's data from each seed's batch; one that all share stays as it is."""
        if self._shared:
            return found[self.members[0].seed]
        every = [found[one.seed] for one in self.members]
        return Batch(*(self._lead(np.stack(leaves)) for leaves in zip(*every, strict=True)))

    def train(self, state: State, batch: Batch) -> tuple[State, Metrics]:
        """One step of all members; the state that goes in is used up."""
        shape = batch.source.shape[-2:]
        program = self._program(("train", shape), self._train, state, batch)
        return program(state, batch, self._given)

    def losses(
        self, params: Any, batches: Sequence[Batch], *, between: Callable[[], None] | None = None
    ) -> list[float]:
        """Each member's nats a token, as `Programs.loss` has it."""
        sums = []
        for batch in batches:
            if between is not None:
                between()
            name = "evaluate", batch.source.shape
            program = self._program(name, self._evaluate, params, batch)
            sums.append(program(params, batch, self._given))
            jax.block_until_ready(sums[-AHEAD:][0])
        by_member = zip(*map(self.unstack, sums), strict=True)
        return [
            math.fsum(float(one.nll) for one in mine) / math.fsum(float(one.tokens) for one in mine)
            for mine in by_member
        ]

    def compile(self, state: State, shapes: Sequence[tuple[int, int]], held_out: Batch) -> None:
        """Makes the programs for training batches of these shapes and such held-out batches."""
        for rows, length in shapes:
            lead = () if self._shared else self._axes
            ids = jax.ShapeDtypeStruct((*lead, rows, length), np.int32)
            weights = jax.ShapeDtypeStruct(ids.shape, np.float32)
            batch = Batch(ids, ids, ids, weights)
            self._program(("train", (rows, length)), self._train, state, batch)
        name = "evaluate", held_out.source.shape
        self._program(name, self._evaluate, state.params, held_out)

    @property
    def _axes(self) -> tuple[int, ...]:
        """What stacked trees lead with."""
        devices, count = len(self.devices), len(self.members)
        return (count,) if devices == 1 else (devices, count // devices)

    def _lead(self, leaf: np.ndarray) -> np.ndarray:
        return leaf.reshape(*self._axes, *leaf.shape[1:])

    def _mapped(self, function: Any, batch: int | None, donate: tuple[int, ...] = ()) -> Any:
        axes = (0, batch, 0)
        over_members = jax.vmap(function, in_axes=axes)
        if len(self.devices) == 1:
            return jax.jit(over_members, donate_argnums=donate)
        return jax.pmap(over_members, in_axes=axes, donate_argnums=donate, devices=self.devices)

    def _program(self, name: Any, function: Any, *arguments: Any) -> Any:
        if name not in self._compiled:
            began = time.perf_counter()
            self._compiled[name] = function.lower(*arguments, self._given).compile()
            self.seconds += time.perf_counter() - began
        return self._compiled[name]


def _call(given: Mapping[str, Any]) -> dict[str, Any]:
    """What a member's traits put into the model's call."""
    if "grouping" not in given:
        return {}
    return {"score": partial(sliced_dot, grouping=given["grouping"])}


def _spread(members: int, devices: Sequence[Any]) -> Sequence[Any]:
    """As many of the devices as give every one the same number of members."""
    return devices[: max(n for n in range(1, len(devices) + 1) if members % n == 0)]
