"""The loss of a sequence model: cross-entropy with smoothed labels."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int


class Loss(NamedTuple):
    """Sums over the tokens that count, in float32; divide by `tokens` for means in nats."""

    loss: Float[Array, ""]
    """smoothed cross-entropy: what training lowers"""
    nll: Float[Array, ""]
    """negative log-likelihood of the labels: what perplexity is made of"""
    tokens: Float[Array, ""]
    """sum of the weights"""


def smoothed_cross_entropy(
    logits: Float[Array, "*B T V"],
    labels: Int[Array, "*B T"],
    weights: Float[Array, "*B T"],
    *,
    smoothing: float = 0.0,
) -> Loss:
    """Cross-entropy against labels that keep 1 - ε and give ε to all tokens alike.

    Written as log Σ exp − (1−ε)·logit[label] − ε·mean(logits): no array of smoothed labels is made.

    Args:
      logits: unnormalised scores.
      labels: token ids from 0 to V - 1 wherever the weight is not 0.
      weights: 0 leaves a position out.
      smoothing: ε, from 0 up to, not including, 1.

    Raises:
      ValueError: shapes do not fit or ε is out of range.

    Source: Szegedy et al. 2016, section 7; Vaswani et al. 2017, section 5.4.
    """
    check_targets("smoothed_cross_entropy", "logits", logits.shape, labels, weights, smoothing)
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    normalizer = jax.nn.logsumexp(logits, -1)
    tokens = jax.lax.broadcasted_iota(jnp.int32, logits.shape, logits.ndim - 1)
    is_label = tokens == labels[..., None]
    chosen = jnp.where(is_label, logits, 0).sum(-1)
    return summed(normalizer, chosen, logits.mean(-1), weights, smoothing)


def summed(
    normalizer: Float[Array, "*B"],
    chosen: Float[Array, "*B"],
    mean: Float[Array, "*B"],
    weights: Float[Array, "*B"],
    smoothing: float,
) -> Loss:
    """The loss from each position's log Σ exp, its label's logit and the mean of its logits."""
    nll = normalizer - chosen
    smooth = normalizer - mean
    seen = weights != 0
    loss = (1 - smoothing) * nll + smoothing * smooth
    return Loss(
        jnp.where(seen, loss * weights, 0).sum(),
        jnp.where(seen, nll * weights, 0).sum(),
        weights.sum(),
    )


def check_targets(
    what: str,
    name: str,
    shape: tuple[int, ...],
    labels: Array,
    weights: Array,
    smoothing: float,
) -> None:
    """Refuses labels and weights that are not one for each row, and ε out of range."""
    if shape[:-1] != labels.shape or labels.shape != weights.shape:
        raise ValueError(
            f"{what}: {name} {shape}, labels {labels.shape} and weights {weights.shape} must agree "
            f"but for the {name}' last axis"
        )
    if not 0 <= smoothing < 1:
        raise ValueError(f"smoothing is {smoothing}; it must be at least 0 and less than 1")
