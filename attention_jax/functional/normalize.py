"""Normalizers: from logits to weights.

Every normalizer takes `(logits, mask)` and returns weights whose rows sum to one, or to exactly
zero where nothing may be seen.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from attention_jax.functional.masks import Mask, visible

Normalize = Callable[[Array, Array | None], Array]


def softmax(
    logits: Float[Array, "*B H T S"], mask: Bool[Array, "..."] | Mask | None = None
) -> Float[Array, "*B H T S"]:
    """Each row's share of exp(logit) among the sources it may see.

    Masked weights are exactly zero and pass no gradient, whatever the logit there, NaN and infinity
    too. A row that may see nothing, or only logits of -inf, is exactly zero with zero gradient.

    Args:
      logits: one row for each head and query position.
      mask: True = may attend; an array that broadcasts to the logits, or a mask object.

    Returns:
      Weights, in float32 at least.

    Raises:
      ValueError: the mask does not fit the logits; the message names both shapes.
    """
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    if mask is not None:
        logits = jnp.where(visible(mask, logits.shape), logits, -jnp.inf)
    return _shares(logits)


@jax.custom_jvp
def _shares(logits: Array) -> Array:
    """exp(logit) over its row's sum; zeros for rows that are -inf throughout."""
    # A peak of -inf would give -inf - -inf. Maxima and not selects: two selects here keep XLA from
    # fusing the whole attention into one CPU kernel, three times slower at T = 256.
    lowest = jnp.finfo(logits.dtype).min
    raised = jnp.exp(logits - jnp.max(logits, axis=-1, keepdims=True, initial=lowest))
    # The peak's own share is exp(0), so a sum below one is that of a row with nothing to see.
    total = jnp.maximum(jnp.sum(raised, axis=-1, keepdims=True), 1)
    return raised * (1 / total)


@_shares.defjvp
def _shares_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    # Written out so that the backward pass keeps the weights alone, not the exponentials as well.
    weights = _shares(*primals)
    moved = weights * tangents[0]
    return weights, moved - weights * jnp.sum(moved, axis=-1, keepdims=True)
