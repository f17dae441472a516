"""Heads as data: the finest slices of the width, summed into heads by a 0/1 matrix.

At a fixed width every head count has the same projections, and only where the sums inside of q·k
end differs. With that in a matrix, one compiled program serves all head counts, and `vmap` trains
models of several side by side.
"""

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from attention_jax.axes import fit
from attention_jax.functional.products import wide
from attention_jax.functional.scores import scaled_dot


def grouping(heads: int, slices: int) -> Float[np.ndarray, "H H"]:
    """Which of the finest slices are of one head: 1 where two slices share it, else 0.

    Args:
      heads: how many heads the slices make; divides `slices`.
      slices: H, the largest head count.

    Returns:
      A symmetric matrix of float32: blocks of ones along the diagonal.

    Raises:
      ValueError: heads does not divide slices.
    """
    if heads < 1 or slices < 1 or slices % heads:
        raise ValueError(f"heads is {heads}; it must divide the number of slices, {slices}")
    head = np.arange(slices) * heads // slices
    return (head[:, None] == head[None, :]).astype(np.float32)


def sliced_dot(
    query: Float[Array, "*B T H K"],
    key: Float[Array, "*B S G K"],
    *,
    grouping: Float[Array, "H H"],
) -> Float[Array, "*B H T S"]:
    """The scaled dot product of heads that are several slices wide: Σ q·k / √(features of a head).

    Every slice gets the logits of its head, so that the softmax gives every slice the weights of
    its head, and values weighed slice by slice are those weighed head by head: the result is that
    of `scaled_dot` on h heads of D / h features. It costs the softmax of H heads where h would do.

    Args:
      query: one row for each query position and slice.
      key: one row for each source position and slice; G divides H.
      grouping: from `grouping(h, H)`, an array like any other: it may differ between the models of
        a `vmap`.

    Returns:
      Logits, in float32 at least.

    Raises:
      ValueError: K, *B, the slices or the grouping do not fit; the message names the shapes.

    Source: Vaswani et al. 2017, section 3.2.2: QW cut into heads, written as sums over slices.
    """
    grouping = jnp.asarray(grouping)
    fit(query=(query.shape, "*B T H K"), grouping=(grouping.shape, "H H"))
    grouping = grouping.astype(wide(query, key, grouping))
    features = query.shape[-1] * grouping.sum(0)
    partial_BHTS = scaled_dot(query, key, scale=features**-0.5)
    # The sum goes on where the products' own sums ended, so it is as exact as they are.
    precision = lax.Precision.HIGHEST
    return jnp.einsum("...HTS,HM->...MTS", partial_BHTS, grouping, precision=precision)
