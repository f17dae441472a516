"""How far a query's logits lie apart, and how evenly it looks because of that.

A softmax does not see a row's mean, so the variance that decides is that between the sources of
one query. From a few nats on it takes nearly all weight for the largest, and passes nearly no
gradient to the others.

Sources: Vaswani et al. 2017, section 3.2.1 and footnote 4 (variance K of unscaled dot products);
Ghader and Monz 2017, section 5 (entropy).
"""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.scipy.special import entr
from jaxtyping import Array, Bool, Float

from attention_jax.analysis.scored import ScoredAttention
from attention_jax.data import Batch
from attention_jax.functional import softmax

STATISTICS = ("variance", "entropy", "evenness", "largest")


def logit_sums(
    logits: Float[Array, "B H T S"], queries: Bool[Array, "B T"], sources: Bool[Array, "B S"]
) -> tuple[dict[str, Float[Array, " H"]], Float[Array, ""]]:
    """Sums over queries that see at least two sources, and how many of them there are.

    - "variance": of the logits of one query, between its sources.
    - "entropy": -Σ w ln w, in nats.
    - "evenness": the same as a share of ln n, what n sources alike would give.
    - "largest": the largest weight.

    Args:
      logits: of one attention.
      queries: which count; the others influence nothing, whatever their rows hold.
      sources: which are no padding.
    """
    real = (queries[:, :, None] & sources[:, None, :])[:, None]  # B 1 T S
    count = jnp.where(queries, sources.sum(-1, keepdims=True), 0)[:, None]  # B 1 T
    counts, many = count > 1, jnp.maximum(count, 2)
    logits = jnp.where(real, logits, 0).astype(jnp.float32)
    mean = logits.sum(-1) / many
    apart = jnp.where(real, logits - mean[..., None], 0)
    weights = softmax(logits, real)
    entropy = entr(weights).sum(-1)
    found = {
        "variance": (apart**2).sum(-1) / many,
        "entropy": entropy,
        "evenness": entropy / jnp.log(many),
        "largest": weights.max(-1),
    }
    sums = {name: jnp.where(counts, rows, 0).sum((0, 2)) for name, rows in found.items()}
    return sums, counts.sum()


def logit_statistics(
    graph: nnx.GraphDef, params: Any, batches: Sequence[Batch]
) -> list[dict[str, float]]:
    """What `logit_sums` adds up to for each attention to the source, divided by the queries.

    Args:
      graph: the structure of a model made by `scored`.
      params: its parameters.
      batches: what to look at; padding counts for nothing.

    Returns:
      The means, a layer each.

    Raises:
      ValueError: the model is another, or no query of the batches sees two sources.
    """
    look = _look(graph)
    found = [jax.device_get(look(params, batch)) for batch in batches]
    queries = sum(int(count) for layers in found for _, count in layers[:1])
    if not queries:
        raise ValueError("no query of the batches sees two sources; longer sources would fit")
    return [
        {
            name: float(np.sum([layers[at][0][name] for layers in found]) / queries)
            for name in STATISTICS
        }
        for at in range(len(found[0]))
    ]


@functools.lru_cache(maxsize=8)
def _look(graph: nnx.GraphDef):
    """The jitted (params, batch) -> (sums, queries) of each layer."""

    @jax.jit
    def look(params: Any, batch: Batch):
        model: Any = nnx.merge(graph, params)
        for layer in model.decoder:
            if not isinstance(layer.cross, ScoredAttention):
                raise ValueError("the model's weights tell no logits; one of `scored` would fit")
            layer.cross.shows_logits = True
        queries, sources = batch.weights != 0, batch.source != 0

        def keep(place, logits):
            return logit_sums(logits, queries, sources) if place.part == "cross" else None

        _, kept = model(batch.source, batch.target_in, explain=keep)
        return [sums for sums in kept.values() if sums is not None]

    return look
