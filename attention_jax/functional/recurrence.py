"""Recurrent cells: from the state before and an input to the state after.

A cell takes an input that is projected already, and functions that project its state. So the
inputs of all positions go through one matrix product before a scan, and a cell reads the same
whether a matrix or something else stands behind the projection:

    inputs = dense(x, kernel, bias)                                  # [B, T, 4·K], all positions
    step = lambda times, _, state, now: (after := lstm(now, state, partial(times, "h")), after[0])
    (hidden, cell), outputs = recur(step, {"h": recurrent_kernel}, None, state, inputs)
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Project = Callable[[Array], Array]
"""From a state's features to those of its gates: h·U, perhaps with a bias."""


def elman(
    inputs: Float[Array, "*B K"], hidden: Float[Array, "*B K"], recurrent: Project
) -> Float[Array, "*B K"]:
    """The simple recurrent cell: tanh(x + h·U).

    Args:
      inputs: x·W + b.
      hidden: the state before.
      recurrent: from K features to K.

    Source: Elman 1990, with tanh for the logistic function.
    """
    return jnp.tanh(inputs + recurrent(hidden))


def gru(
    inputs: Float[Array, "*B 3*K"], hidden: Float[Array, "*B K"], recurrent: Project
) -> Float[Array, "*B K"]:
    """The gated recurrent unit with its reset gate behind the product: tanh(xₙ + r·(h·Uₙ)).

    One product serves all three gates, which is why cuDNN and torch have this form. The update gate
    keeps: h' = z·h + (1 - z)·n.

    Args:
      inputs: x·W + b, of the gates r, z and n side by side.
      hidden: the state before.
      recurrent: from K features to 3·K, in the same order.

    Source: Cho et al. 2014, equations 5 to 8, for the gates; the place of the reset gate is that of
    version 1 of the preprint of 2014, and of cuDNN.
    """
    x_reset, x_update, x_new = jnp.split(inputs, 3, axis=-1)
    h_reset, h_update, h_new = jnp.split(recurrent(hidden), 3, axis=-1)
    reset = jax.nn.sigmoid(x_reset + h_reset)
    update = jax.nn.sigmoid(x_update + h_update)
    new = jnp.tanh(x_new + reset * h_new)
    return update * hidden + (1 - update) * new


def gru_before(
    inputs: Float[Array, "*B 3*K"],
    hidden: Float[Array, "*B K"],
    gates: Project,
    candidate: Project,
) -> Float[Array, "*B K"]:
    """The gated recurrent unit of the papers, reset before the product: tanh(xₙ + (r·h)·Uₙ).

    Args:
      inputs: x·W + b, of the gates r, z and n side by side.
      hidden: the state before.
      gates: from K features to 2·K, r and z.
      candidate: from K features to K, n.

    Source: Cho et al. 2014, equations 5 to 8; Bahdanau et al. 2015, appendix A.1.1, whose z is one
    minus this one.
    """
    x_gates, x_new = jnp.split(inputs, [2 * hidden.shape[-1]], axis=-1)
    reset, update = jnp.split(jax.nn.sigmoid(x_gates + gates(hidden)), 2, axis=-1)
    new = jnp.tanh(x_new + candidate(reset * hidden))
    return update * hidden + (1 - update) * new


def lstm(
    inputs: Float[Array, "*B 4*K"],
    state: tuple[Float[Array, "*B K"], Float[Array, "*B K"]],
    recurrent: Project,
) -> tuple[Float[Array, "*B K"], Float[Array, "*B K"]]:
    """The long short-term memory: c' = f·c + i·g and h' = o·tanh(c').

    Args:
      inputs: x·W + b, of the gates i, f, g and o side by side.
      state: (hidden, cell) before.
      recurrent: from K features to 4·K, in the same order.

    Returns:
      (hidden, cell) after.

    Source: Hochreiter and Schmidhuber 1997; Gers et al. 2000 (the forget gate); no peepholes.
    """
    hidden, cell = state
    write, keep, new, read = jnp.split(inputs + recurrent(hidden), 4, axis=-1)
    cell = jax.nn.sigmoid(keep) * cell + jax.nn.sigmoid(write) * jnp.tanh(new)
    return jax.nn.sigmoid(read) * jnp.tanh(cell), cell
