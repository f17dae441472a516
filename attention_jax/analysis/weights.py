"""What attention weights add up to: where each head looks, and how surely.

Sources: Voita et al. 2019, sections 4 and 5 (confidence; heads that look at neighbours); Ghader
and Monz 2017, section 5 (entropy); Clark et al. 2019, section 3 (both, on BERT).
"""

import math
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.scipy.special import entr
from jaxtyping import Array, Bool, Float, Int

STATISTICS = ("entropy", "distance", "confidence", "previous", "next", "same", "first")


class Sums(NamedTuple):
    """What the weights of one attention add up to, by the name of the statistic."""

    totals: dict[str, Any]
    """[H]: over all queries that count"""
    queries: dict[str, Any]
    """scalar: how many were summed; "previous" leaves out who has no previous source, and so on"""


def attention_sums(
    weights: Float[Array, "B H T S"],
    queries: Bool[Array, "B T"],
    sources: Bool[Array, "B S"],
    first: int | Int[Array, ""] = 0,
) -> Sums:
    """Sums over queries of what describes a head; `means` divides them.

    - "entropy": -Σ w ln w, in nats: 0 for one source, ln n for n sources alike.
    - "distance": Σ w |t - s|, in positions.
    - "confidence": the largest weight.
    - "previous", "next", "same", "first": the weight on source t - 1, t + 1, t and 0.

    Args:
      weights: of one attention; rows of queries that count sum to one.
      queries: which count; the others influence nothing, whatever their rows hold.
      sources: which are no padding.
      first: the position of the first query.
    """
    real = queries[:, :, None] & sources[:, None, :]
    weights = jnp.where(real[:, None], weights, 0)
    source = jnp.arange(real.shape[2])[None]
    offset_TS = source - (first + jnp.arange(real.shape[1])[:, None])
    # What is linear in the weights needs only their sum over the batch.
    weights_HTS, real_TS = weights.sum(0), real.sum(0)
    totals = {
        "entropy": entr(weights).sum((0, 2, 3)),
        "distance": (weights_HTS * jnp.abs(offset_TS)[None]).sum((1, 2)),
        "confidence": weights.max(-1).sum((0, 2)),
    }
    counts = dict.fromkeys(totals, queries.sum())
    first_TS = jnp.broadcast_to(source == 0, offset_TS.shape)
    places = {"previous": offset_TS == -1, "next": offset_TS == 1, "same": offset_TS == 0}
    for name, there_TS in (places | {"first": first_TS}).items():
        totals[name] = jnp.where(there_TS[None], weights_HTS, 0).sum((1, 2))
        counts[name] = jnp.where(there_TS, real_TS, 0).sum()
    return Sums(totals, counts)


def means(sums: Sums) -> dict[str, Float[np.ndarray, " H"]]:
    """The statistics a query; NaN where no query counted."""
    return {
        name: np.asarray(sums.totals[name], np.float64) / (float(sums.queries[name]) or math.nan)
        for name in STATISTICS
    }
