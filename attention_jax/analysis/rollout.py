"""Attention rollout: through all layers together, how much of each place reaches each place?

Rows mix layer by layer, so that after a few of them a row is no longer about its own place. Rollout
multiplies the layers' weights, each with a share for the residual, by which a row keeps itself.

Source: Abnar and Zuidema 2020, "Quantifying Attention Flow in Transformers", section 3.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float


def rollout(
    weights: Sequence[Float[Any, "*B H T T"]], *, residual: float = 0.5
) -> Float[np.ndarray, "L *B T T"]:
    """What each row after a layer is made of: shares of the rows that went into the first layer.

    Ā = (1 - r)·A + r·I with A the mean over heads, its rows brought to sum one; the rollout of
    layer n is Āₙ ··· Ā₂·Ā₁. Values and the feed-forward networks are not looked at, so this says
    where information could come from, not what was used.

    Args:
      weights: the attention weights of each layer, the lowest first; layers may have different
        numbers of heads. One array [L, *B, H, T, T] fits too.
      residual: r, the share by which a row keeps itself, from 0 up to 1; 0.5 is the paper's.

    Returns:
      One array for each layer; rows sum to one, or to zero if they and their residual see nothing.

    Raises:
      ValueError: there is no layer, shapes do not fit, or r is out of range.
    """
    layers = [np.asarray(layer, np.float64) for layer in weights]
    if not 0 <= residual <= 1:
        raise ValueError(f"residual is {residual}; a share from 0 to 1 would fit")
    shapes = [layer.shape for layer in layers]
    sizes = {shape[:-3] + shape[-2:] for shape in shapes}
    if len(sizes) != 1 or any(len(s) < 3 or s[-1] != s[-2] or not s[-3] for s in shapes):
        raise ValueError(
            f"weights have shapes {[list(shape) for shape in shapes]}; at least one layer "
            "[*B, H, T, T], all with the same *B and T and with a head, would fit"
        )
    found: list[np.ndarray] = []
    for layer in layers:
        mixed = (1 - residual) * layer.mean(-3) + residual * np.eye(layer.shape[-1])
        total = mixed.sum(-1, keepdims=True)
        mixed = np.divide(mixed, total, out=np.zeros_like(mixed), where=total > 0)
        found.append(mixed @ found[-1] if found else mixed)
    return np.stack(found)
