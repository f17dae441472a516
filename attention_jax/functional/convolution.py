"""Convolution over positions: what stands near a place, by weights of the distance alone."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from attention_jax.axes import fit
from attention_jax.functional.layers import dense


def convolve(
    x: Float[Array, "*B T D"],
    kernel: Float[Array, "W D P"],
    bias: Float[Array, " P"] | None = None,
    *,
    before: int = 0,
    after: int = 0,
) -> Float[Array, "*B rows P"]:
    """A row from every W neighbouring rows: yₜ = Σ_w x[t + w]·kernel[w] + b.

    Zeros may stand before the first row and behind the last: W - 1 before give as many rows as
    there were, none of which sees one that follows it. The W rows are laid side by side for one
    matrix product, which on CPUs is as fast as a convolution, and stays a product when many kernels
    are mapped over.

    Args:
      x: one row for each position.
      kernel: W matrices, in the order of the rows that they are for.
      bias: b; none if left out.
      before: rows of zeros in front of the first.
      after: rows of zeros behind the last.

    Returns:
      T + before + after - (W - 1) rows.

    Raises:
      ValueError: D or P do not fit, there are fewer than W rows, or before or after is negative;
        the message names what was found and what would fit.

    Source: Waibel et al. 1989, "Phoneme Recognition Using Time-Delay Neural Networks".
    """
    given = {} if bias is None else {"bias": (bias.shape, "P")}
    _, n = fit(x=(x.shape, "*B T D"), kernel=(kernel.shape, "W D P"), **given)
    rows = n["T"] + before + after - (n["W"] - 1)
    if before < 0 or after < 0 or rows < 1:
        raise ValueError(
            f"convolve: before is {before} and after {after}; from 0 up, and {n['W'] - n['T']} or "
            f"more together, would fit {n['T']} rows and a kernel of {n['W']}"
        )
    padded = jnp.pad(x, [(0, 0)] * (x.ndim - 2) + [(before, after), (0, 0)])
    near = [padded[..., w : w + rows, :] for w in range(n["W"])]
    return dense(jnp.concatenate(near, axis=-1), kernel.reshape(-1, n["P"]), bias)


def glu(x: Float[Array, "*B P"]) -> Float[Array, "*B D"]:
    """The gated linear unit: a·σ(b), a and b the two halves of the features.

    The linear half lets gradients through a deep stack that a gate of tanh would shrink.

    Args:
      x: an even number of features.

    Raises:
      ValueError: the number is odd.

    Source: Dauphin et al. 2017, equation 1.
    """
    if x.shape[-1] % 2:
        raise ValueError(f"glu: x has {x.shape[-1]} features (shape {x.shape}), wanted an even one")
    linear, gate = jnp.split(x, 2, axis=-1)
    return linear * jax.nn.sigmoid(gate)
