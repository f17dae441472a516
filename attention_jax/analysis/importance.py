"""How much a head matters, from one backward pass for all heads.

Source: Michel et al. 2019, section 4.1, equation 2; Molchanov et al. 2017 (normalising by layer).
"""

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from attention_jax.analysis.ablation import Gates, all_heads, config_of
from attention_jax.data.batches import Batch
from attention_jax.models.places import Head, Place
from attention_jax.training.loss import smoothed_cross_entropy


def head_importance(
    graph: nnx.GraphDef, params: Any, batches: Sequence[Batch], *, by_layer: bool = False
) -> dict[Head, float]:
    """Each head's mean |dL(x) / dξ| over sentences x, where ξ = 1 is a gate on what it gives.

    To first order it is what the loss of a sentence changes by, up or down, when the head is
    zeroed. L(x) is a sentence's loss, summed over its tokens; the sum over sentences is divided by
    all tokens, so that importance is in nats a token, like `losses_without` minus `loss`.

    Args:
      graph: the model's structure.
      params: its parameters.
      batches: the sentences; each shape is one program.
      by_layer: divides by the l2 norm over the heads of the same attention, which makes layers
        comparable whose gradients are of different size; the unit is gone then.

    Raises:
      ValueError: `batches` hold no token that counts.

    Source: Michel et al. 2019, equation 2.
    """
    config, params = config_of(graph, params), jax.device_put(params)
    totals = {place: np.zeros(config.heads_at(place)) for place in all_heads(config)}
    for batch in batches:
        for place, slopes in gate_slopes(graph, params, batch).items():
            totals[place] += np.abs(np.asarray(slopes, np.float64)).sum(0)
    tokens = math.fsum(float(np.sum(batch.weights, dtype=np.float64)) for batch in batches)
    if not tokens:
        raise ValueError("batches hold no token that counts; one at least would fit")
    scales = {place: tokens for place in totals}
    if by_layer:
        scales = {place: float(np.linalg.norm(total)) or 1.0 for place, total in totals.items()}
    return {
        head: float(totals[head.place][head.head] / scales[head.place])
        for head in config.every_head()
    }


def gate_slopes(graph: nnx.GraphDef, params: Any, batch: Batch) -> dict[Place, Float[Array, "B H"]]:
    """dL(x) / dξ for each sentence x and head, in nats, from one backward pass.

    Every sentence has gates of its own, so the derivative of the sum of all losses is each
    sentence's own.
    """
    config = config_of(graph, params)
    rows = len(batch.source)
    gates = {p: np.ones((rows, config.heads_at(p)), np.float32) for p in all_heads(config)}
    return _slopes(graph)(params, batch, gates)


def rank_correlation(one: Mapping[Head, float], other: Mapping[Head, float]) -> float | None:
    """Spearman's ρ over the heads that both have; None where one of them does not vary.

    Raises:
      ValueError: fewer than two heads in common.
    """
    heads = sorted(set(one) & set(other))
    if len(heads) < 2:
        raise ValueError(f"{len(heads)} heads in common; two at least have ranks to compare")
    sides = [[values[head] for head in heads] for values in (one, other)]
    if any(len(set(side)) == 1 for side in sides):
        return None
    from scipy import stats  # half a second to import

    ranks = [stats.rankdata(side) for side in sides]
    return float(np.corrcoef(*ranks)[0, 1])


@functools.lru_cache(maxsize=8)
def _slopes(graph: nnx.GraphDef):
    @jax.jit
    def slopes(params: Any, batch: Batch, gates: Gates) -> Gates:
        def nll(gates: Gates) -> Float[Array, ""]:
            def gated(place: Place, outputs: Float[Array, "B T H K"]):
                return outputs * gates[place][:, None, :, None].astype(outputs.dtype)

            logits = nnx.merge(graph, params)(batch.source, batch.target_in, heads=gated)
            return smoothed_cross_entropy(logits, batch.target_out, batch.weights).nll

        return jax.grad(nll)(gates)

    return slopes
