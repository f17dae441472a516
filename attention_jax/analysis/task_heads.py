"""What each head of a trained task does, and what the task would lose without it."""

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from attention_jax.analysis.ablation import losses
from attention_jax.analysis.weights import Sums, attention_sums, means
from attention_jax.models.places import Place
from attention_jax.tasks.run import Loaded
from attention_jax.tasks.work import Work
from attention_jax.training.step import split

Real = Mapping[str, tuple[Any, Any]]
"""the real queries [B, T] and sources [B, S] of a part's attentions"""


def describe(loaded: Loaded, *, batches: int = 2) -> dict[str, Any]:
    """What each head of a model does on held-out batches.

    Args:
      loaded: the run, from `tasks.run.load`.
      batches: how many of the validation are read, from the start.

    Returns:
      "loss" (of these batches, in what the task counts in) and "heads": a dict for each head:
      "part", "layer", "head", the means of `analysis.weights.STATISTICS` over all real queries
      (positions in the order in which the model has them: patches row by row), and
      "loss_without": what the loss rises by when the head alone is zeroed. Fit for JSON.

    Raises:
      ValueError: `batches` is below 1, or the model has no heads.
    """
    if batches < 1:
        raise ValueError(f"batches is {batches}; it must be at least 1")
    model, work = loaded.model, loaded.work
    graph, params = split(model)
    chosen = list(work.validation[:batches])
    every = model.config.every_head()
    if not every:
        raise ValueError("the model has no heads to describe")
    look = jax.jit(partial(_look, graph, work))
    found: dict[Place, Sums] = {}
    for batch in chosen:
        for place, sums in jax.device_get(look(params, batch)).items():
            found[place] = _added(found[place], sums) if place in found else sums
    removals = [(), *((head,) for head in every)]
    whole, *without = losses(graph, params, chosen, removals, objective=work.objective)
    statistics = {place: means(sums) for place, sums in found.items()}
    heads = [
        head._asdict()
        | {name: _number(float(found[head.head])) for name, found in statistics[head.place].items()}
        | {"loss_without": loss - whole}
        for head, loss in zip(every, without, strict=True)
    ]
    return {"loss": whole, "heads": heads}


def _look(graph: nnx.GraphDef, work: Work, params: Any, batch: Any) -> dict[Place, Sums]:
    real: Real = {} if work.real is None else work.real(batch)

    def reduce(place: Place, weights: Float[Array, "B H T S"]) -> Sums:
        if place.part in real:
            return attention_sums(weights, *real[place.part])
        rows, _, queries, sources = weights.shape
        there = batch.weights.reshape(len(batch.weights), -1).any(-1)
        # Some models read more rows than the batch has, such as made pictures beside real ones.
        there = jnp.tile(there, rows // len(there))[:, None]
        return attention_sums(
            weights,
            jnp.broadcast_to(there, (rows, queries)),
            jnp.broadcast_to(there, (rows, sources)),
        )

    return work.objective(nnx.merge(graph, params), batch, explain=reduce)[1]


def _added(one: Sums, other: Sums) -> Sums:
    return jax.tree.map(lambda *leaves: np.sum(np.asarray(leaves, np.float64), 0), one, other)


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
