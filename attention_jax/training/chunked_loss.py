"""The cross-entropy of a whole vocabulary, of which only some tokens' logits are ever held.

The logits of N positions and V tokens are the largest array of a small model's step. Here they are
made some tokens at a time, forward for the logarithm of their sum of exponentials and once more
backward for its gradient, which goes straight into the rows and the table.

Source: Milakov and Gimelshein 2018 (the running sum); Wijmans et al. 2025, "Cut Your Losses in
Large-Vocabulary Language Models", section 4 (forward and backward by blocks of the vocabulary).
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from attention_jax.training.loss import Loss, check_targets, summed


class Head(NamedTuple):
    """What logits are made of: rows · tableᵀ + bias."""

    rows: Float[Array, "*B D"]
    table: Float[Array, "V D"]
    bias: Float[Array, " V"] | None = None


def chunked_cross_entropy(
    head: Head,
    labels: Int[Array, "*B"],
    weights: Float[Array, "*B"],
    *,
    chunk: int,
    smoothing: float = 0.0,
) -> Loss:
    """`smoothed_cross_entropy` of the logits that a head makes, without an array of them all.

    The products are summed in float32 and stay so, also where rows and table are bfloat16.

    Args:
      head: of the model.
      labels: token ids from 0 to V - 1 wherever the weight is not 0.
      weights: 0 leaves a position out.
      chunk: tokens whose logits are held at once; V need not be a multiple.
      smoothing: ε, from 0 up to, not including, 1.

    Raises:
      ValueError: shapes do not fit, or ε or the chunk is out of range.
    """
    rows, table, bias = head
    if rows.shape[-1] != table.shape[-1] or (bias is not None and bias.shape != table.shape[:1]):
        raise ValueError(
            f"chunked_cross_entropy: rows {rows.shape}, table {table.shape} and bias "
            f"{None if bias is None else bias.shape} must be [*B, D], [V, D] and [V]"
        )
    check_targets("chunked_cross_entropy", "rows", rows.shape, labels, weights, smoothing)
    if chunk < 1:
        raise ValueError(f"chunk is {chunk}; at least 1 token would fit")
    bias = jnp.zeros(table.shape[:1], _wide(rows)) if bias is None else bias
    size, flat = min(chunk, table.shape[0]), rows.reshape(-1, rows.shape[-1])
    found: Any = _statistics(size, flat, table, bias, labels.ravel())
    normalizer, chosen, mean = found
    return summed(normalizer, chosen, mean, weights.ravel(), smoothing)


# Positions are N, the tokens of a chunk C.
@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _statistics(chunk, rows, table, bias, labels):
    """Log Σ exp, the label's logit and the mean logit of each position."""

    def add(index, found):
        peak, total, chosen, plain = found
        logits_NC, new, is_label, _ = _chunk(chunk, index, rows, table, bias, labels)
        seen = jnp.where(new, logits_NC, -jnp.inf)
        higher = jnp.maximum(peak, seen.max(-1))
        total = total * jnp.exp(peak - higher) + jnp.exp(seen - higher[:, None]).sum(-1)
        chosen += jnp.where(is_label, logits_NC, 0).sum(-1)
        return higher, total, chosen, plain + jnp.where(new, logits_NC, 0).sum(-1)

    zero = jnp.zeros(rows.shape[:1], _wide(rows))
    lowest = jnp.full_like(zero, jnp.finfo(zero.dtype).min)
    start = lowest, zero, zero, zero
    peak, total, chosen, plain = lax.fori_loop(0, _count(chunk, table), add, start)
    return peak + jnp.log(total), chosen, plain / table.shape[0]


def _forward(chunk, rows, table, bias, labels):
    found: Any = _statistics(chunk, rows, table, bias, labels)
    return found, (rows, table, bias, labels, found[0])


def _backward(chunk, saved, d_found):
    rows, table, bias, labels, normalizer = saved
    d_normalizer, d_chosen, d_mean = (d[:, None] for d in d_found)
    d_mean = d_mean / table.shape[0]

    def add(index, found):
        d_rows, d_table, d_bias = found
        logits_NC, new, is_label, first = _chunk(chunk, index, rows, table, bias, labels)
        d_logits = d_normalizer * jnp.exp(logits_NC - normalizer[:, None]) + d_mean
        d_logits = jnp.where(new, d_logits + jnp.where(is_label, d_chosen, 0), 0)
        low = d_logits.astype(rows.dtype)
        some = lax.dynamic_slice_in_dim(table, first, chunk)
        d_rows += jnp.matmul(low, some, preferred_element_type=d_rows.dtype)
        d_some = jnp.matmul(low.T, rows, preferred_element_type=d_table.dtype)
        # Added, not put: the last chunk lies over the one before where they do not divide V.
        d_some += lax.dynamic_slice_in_dim(d_table, first, chunk)
        d_table = lax.dynamic_update_slice_in_dim(d_table, d_some, first, 0)
        d_here = d_logits.sum(0) + lax.dynamic_slice_in_dim(d_bias, first, chunk)
        return d_rows, d_table, lax.dynamic_update_slice_in_dim(d_bias, d_here, first, 0)

    given = rows, table, bias
    start = tuple(jnp.zeros(x.shape, _wide(rows)) for x in given)
    found = lax.fori_loop(0, _count(chunk, table), add, start)
    return *(d.astype(x.dtype) for d, x in zip(found, given, strict=True)), None


_statistics.defvjp(_forward, _backward)


def _chunk(chunk, index, rows, table, bias, labels):
    """A chunk's logits, which of its tokens no chunk before had, which is the label; its place."""
    first = jnp.minimum(index * chunk, table.shape[0] - chunk)
    some = lax.dynamic_slice_in_dim(table, first, chunk)
    logits_NC = jnp.matmul(rows, some.T, preferred_element_type=_wide(rows))
    logits_NC += lax.dynamic_slice_in_dim(bias, first, chunk)[None].astype(logits_NC.dtype)
    tokens = first + jnp.arange(chunk)[None]
    new = tokens >= index * chunk
    return logits_NC, new, new & (tokens == labels[:, None]), first


def _count(chunk, table):
    return -(-table.shape[0] // chunk)


def _wide(rows):
    """The dtype that sums are kept in: float32 at least."""
    return jnp.promote_types(rows.dtype, jnp.float32)
