"""The real training step, compiled for devices that are not there."""

import functools
import math
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from flax import nnx

from attention_jax.data.batches import Batch, blank
from attention_jax.functional import attend
from attention_jax.parallel.arithmetic import matrix_flops
from attention_jax.parallel.collectives import Collective, collectives, summed
from attention_jax.parallel.forecast import Forecast, out_of_memory
from attention_jax.parallel.hlo import Program
from attention_jax.parallel.layout import Layout
from attention_jax.parallel.mesh import MeshPrograms
from attention_jax.parallel.topologies import Topology
from attention_jax.parallel.traffic import moved
from attention_jax.training.step import mean_loss
from attention_jax.training.training_config import TrainingConfig


class DryRun(MeshPrograms):
    """The programs of a mesh of devices that need not be there.

    Args:
      make_model: as in `MeshPrograms`.
      training: optimizer, smoothing, the dtype to compute in.
      topology: the devices.
      layout: as many devices as the topology has.
      sources: False for a language model, whose batches have no source.

    Raises:
      ValueError: the layout is of another number of devices, or there is no compiler for them.
    """

    def __init__(
        self,
        make_model: Callable[[nnx.Rngs], nnx.Module],
        training: TrainingConfig,
        topology: Topology,
        layout: Layout,
        *,
        sources: bool = True,
    ):
        if training.vocabulary_chunk is not None:
            raise ValueError(
                f"vocabulary_chunk is {training.vocabulary_chunk}; plans are of steps that hold "
                "all logits: None would fit"
            )
        self.topology, self.training, self.sources = topology, training, sources
        super().__init__(
            make_model,
            training.optimizer,
            layout=layout,
            devices=topology.devices(),
            steps=training.steps,
            smoothing=training.smoothing,
            rng=training.rng,
            compute=training.compute,
        )

    def put_structs(self, batch: Batch) -> Batch:
        """See `MeshPrograms.put_structs`."""
        found = super().put_structs(batch)
        if self.sources:
            return found
        return found._replace(source=jax.ShapeDtypeStruct((found.target_in.shape[0], 0), np.int32))

    def forecast(self, rows: int, length: int) -> Forecast:
        """What a step of batches of [rows, length] takes.

        Raises:
          ValueError: the layout does not divide the batch.
        """
        if rows % self.layout.batches or length % self.layout.sequence:
            raise ValueError(
                f"mesh {self.layout} cuts a batch into {self.layout.batches} parts of rows and "
                f"{self.layout.sequence} of positions, and {rows} rows of {length} do not divide; "
                "multiples of them would fit"
            )
        batch = self.put_structs(blank(rows, length))
        traced = self._train.trace(self.structs, batch)
        began = time.perf_counter()
        try:
            compiled, lacking = traced.lower().compile(), None
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            compiled, lacking = None, str(error)
        seconds = time.perf_counter() - began
        state = self._on_one(self.structs, self.shardings)
        training, chip = self.training, self.topology.chip
        facts: dict[str, Any] = {
            "topology": str(self.topology),
            "mesh": str(self.layout),
            "devices": self.layout.size,
            "rows": rows,
            "length": length,
            "compute": training.compute,
            "parameters": self.parameters,
            "state": state,
            "gradients": self._on_one(self.structs.params, self.shardings.params),
            "memory": chip.memory,
            "compiled": compiled is not None,
            "seconds_to_compile": seconds,
            "model_flops": 3 * self._forward_flops(batch) / self.layout.size,
            "peak": chip.bfloat16 if training.compute == "bfloat16" else chip.float32,
            "notes": tuple(self.notes),
        }
        if compiled is None:
            return Forecast(**facts, **out_of_memory(lacking or "", state))
        facts |= self._found(compiled, traced, facts)
        return Forecast(**facts)

    def seconds_of(self, found: list[Collective]) -> float:
        """How long collectives take, one after the other, over the links that they have."""
        devices = list(self.mesh.devices.flat)
        total = 0.0
        for each in found:
            pairs = each.kind == "collective-permute"
            groups = [[devices[i] for i in group] for group in each.groups]
            slowest = min(
                (self.topology.rate(group, pairs=pairs) for group in groups), default=math.inf
            )
            total += each.sent / slowest
        return total

    def _found(self, compiled: Any, traced: Any, facts: dict[str, Any]) -> dict[str, Any]:
        """What is known once a step is compiled."""
        memory, cost = compiled.memory_analysis(), compiled.cost_analysis() or {}
        results = memory.output_size_in_bytes - memory.alias_size_in_bytes
        program = Program.parse(compiled.as_text())
        sent, traffic = collectives(program, self.layout.size), moved(program)
        # The compiler counts a loop's body once, and a jaxpr not what is done twice by two devices.
        run = matrix_flops(traced.jaxpr) / self.layout.size
        flops = max(facts["model_flops"], run, cost.get("flops", 0.0))
        optimal = cost.get("optimal_seconds", -1.0)
        notes = facts["notes"]
        if loops := sum(not each.known for each in sent):
            notes += (f"{loops} collectives stand in loops of unknown length, and count once",)
        return {
            "notes": notes,
            "arguments": memory.argument_size_in_bytes,
            "temporaries": memory.temp_size_in_bytes + memory.generated_code_size_in_bytes,
            "results": results,
            "flops": flops,
            "moved": traffic,
            "sent": summed(sent),
            "arithmetic_seconds": flops / facts["peak"],
            "memory_seconds": traffic / self.topology.chip.bandwidth,
            "collective_seconds": self.seconds_of(sent),
            "optimal_seconds": optimal if optimal > 0 else None,
        }

    def _forward_flops(self, batch: Batch) -> float:
        """Matrix products of the model forward, all attention logits counted."""
        loss = mean_loss(self.graph, smoothing=0.0)
        plain = functools.partial(attend, backend="reference")
        return matrix_flops(
            jax.make_jaxpr(lambda params, batch: loss(params, batch, None, attend=plain))(
                self.structs.params, batch
            )
        )

    @staticmethod
    def _on_one(structs: Any, shardings: Any) -> int:
        """Bytes of a tree on one device."""
        return sum(
            math.prod(where.shard_shape(leaf.shape)) * leaf.dtype.itemsize
            for leaf, where in zip(
                jax.tree.leaves(structs), jax.tree.leaves(shardings), strict=True
            )
        )
