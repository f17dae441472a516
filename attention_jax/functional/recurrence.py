"""Recurrence: the cells that read one position after another, and the one scan that runs them.

A cell takes an input that is projected already, and functions that project its state. So the
inputs of all positions go through one matrix product before the scan, and a cell reads the same
whether a matrix or something else stands behind the projection:

    inputs = dense(x, kernel, bias)                                  # [B, T, 4·K], all positions
    step = lambda times, _, state, now: (after := lstm(now, state, partial(times, "h")), after[0])
    (hidden, cell), outputs = recur(step, {"h": recurrent_kernel}, None, state, inputs)
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

Project = Callable[[Array], Array]
"""From a state's features to those of its gates: h·U, perhaps with a bias."""

Times = Callable[[str, Array], Array]
"""Rows times the kernel of that name."""

Step = Callable[[Times, Any, Any, Any], tuple[Any, Any]]
"""(times, constants, state, inputs of one position) -> (the state after it, its output)."""


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


def recur(
    step: Step,
    kernels: Mapping[str, Float[Array, "D F"]],
    constants: Any,
    state: Any,
    inputs: Any,
    *,
    lengths: Int[Array, " B"] | None = None,
    starts: Bool[Array, "B T"] | None = None,
    reverse: bool = False,
    hoist: bool = True,
) -> tuple[Any, Any]:
    """Runs a step over all positions of packed rows.

    A scan adds up a kernel's gradient position by position, which costs a matrix product of few
    rows and a pass over the kernel each time. Here the scan keeps what was multiplied, and the
    gradient of every kernel is one matrix product over all positions.

    What stands past a row's length influences nothing, even where it holds NaN or infinity.

    Args:
      step: (times, constants, state, inputs of one position) -> (state, output); times(name, rows)
        is rows @ kernels[name]. It differentiates with respect to nothing but its arguments.
      kernels: the matrices of the loop, by name.
      constants: whatever else the step reads: biases, attention keys, masks; any pytree.
      state: what every row starts from; a pytree of [B, ...].
      inputs: a pytree of [B, T, ...].
      lengths: how many positions of each row are real; all of them where None. Past them the state
        stays, and outputs are zero.
      starts: where several sequences stand one behind another in a row, the first position of each:
        the state is what it was at the start again. None where a row is one sequence.
      reverse: reads from each row's last position to its first; outputs lie where their inputs do.
      hoist: False leaves kernels' gradients to the scan, and so permits forward-mode derivatives.

    Returns:
      (the state after a row's last position, the outputs, a pytree of [B, T, ...]).

    Raises:
      ValueError: inputs, state, lengths or starts do not agree in B or T.
    """
    rows, steps = _sizes(state, inputs, lengths, starts)
    live = None if lengths is None else jnp.arange(steps)[None] < lengths[:, None]
    if live is not None:
        inputs = jax.tree.map(lambda leaf: jnp.where(_like(live, leaf), leaf, 0), inputs)
    if starts is not None and reverse:
        # Backwards a sequence begins at its last position, the one before the next one's first.
        starts = jnp.concatenate([starts[:, 1:], jnp.zeros((rows, 1), bool)], axis=1)

    def advance(times: Times, fixed: Any, state: Any, here: Any) -> tuple[Any, Any]:
        constants, initial = fixed
        now, live, first = here
        before = state if first is None else _choose(first, initial, state)
        after, output = step(times, constants, before, now)
        return (after if live is None else _choose(live, after, state)), output

    along = jax.tree.map(lambda leaf: jnp.swapaxes(leaf, 0, 1), (inputs, live, starts))
    fixed = constants, None if starts is None else state
    run = _hoisted if hoist else _plain
    final, outputs = run(advance, reverse, dict(kernels), fixed, state, along)
    outputs = jax.tree.map(lambda leaf: jnp.swapaxes(leaf, 0, 1), outputs)
    if live is not None:
        outputs = jax.tree.map(lambda leaf: jnp.where(_like(live, leaf), leaf, 0), outputs)
    return final, outputs


def _plain(advance: Step, reverse: bool, kernels, fixed, state, along):
    """The scan as it is written."""

    def times(name: str, rows: Array) -> Array:
        return rows @ kernels[name]

    return lax.scan(partial(advance, times, fixed), state, along, reverse=reverse)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _hoisted(advance: Step, reverse: bool, kernels, fixed, state, along):
    """The same, with kernels' gradients made after the backward scan."""
    return _plain(advance, reverse, kernels, fixed, state, along)


def _hoisted_forward(advance: Step, reverse: bool, kernels, fixed, state, along):
    # Zeros that every product is added to: their gradients are those of the products.
    nudges = _zeros_of_products(advance, kernels, fixed, state, along)

    def scan(fixed, state, along, nudges):
        def body(state, here):
            now, nudges = here
            seen: dict[str, list[Array]] = {name: [] for name in kernels}

            def times(name: str, rows: Array) -> Array:
                seen[name].append(rows)
                return rows @ kernels[name] + nudges[name][len(seen[name]) - 1]

            after, output = advance(times, fixed, state, now)
            return after, (output, seen)

        final, (outputs, seen) = lax.scan(body, state, (along, nudges), reverse=reverse)
        return (final, outputs), seen

    found, back, seen = jax.vjp(scan, fixed, state, along, nudges, has_aux=True)
    return found, (back, seen, kernels)


def _hoisted_backward(advance: Step, reverse: bool, saved, wanted):
    del advance, reverse
    back, seen, kernels = saved
    d_fixed, d_state, d_along, d_products = back(wanted)
    d_kernels = {
        name: sum(map(_of_kernel, seen[name], d_products[name]), jnp.zeros_like(kernel))
        for name, kernel in kernels.items()
    }
    return d_kernels, d_fixed, d_state, d_along


_hoisted.defvjp(_hoisted_forward, _hoisted_backward)


def _of_kernel(rows: Float[Array, "T B D"], d_product: Float[Array, "T B F"]):
    """A kernel's gradient from what it was multiplied with, in one product."""
    rows, d_product = (x.reshape(-1, x.shape[-1]) for x in (rows, d_product))
    return rows.T @ d_product


def _zeros_of_products(advance: Step, kernels, fixed, state, along) -> dict[str, list[Array]]:
    """Zeros in the shape of every product of every step, by the kernel's name."""
    found: dict[str, list[Any]] = {name: [] for name in kernels}

    def once(fixed, state, here):
        def times(name: str, rows: Array) -> Array:
            found[name].append(product := rows @ kernels[name])
            return product

        return advance(times, fixed, state, here)

    here = jax.tree.map(lambda leaf: leaf[0], along)
    jax.eval_shape(once, fixed, state, here)
    steps = jax.tree.leaves(along)[0].shape[0]
    return jax.tree.map(lambda one: jnp.zeros((steps, *one.shape), one.dtype), found)


def _like(live: Bool[Array, "B"] | Bool[Array, "B T"], leaf: Array) -> Array:
    """The mask with as many axes as the leaf."""
    return live.reshape(live.shape + (1,) * (leaf.ndim - live.ndim))


def _choose(which: Bool[Array, " B"], one: Any, other: Any) -> Any:
    """Rows of one tree where it is True, of the other elsewhere."""
    return jax.tree.map(lambda a, b: jnp.where(_like(which, a), a, b), one, other)


def _sizes(state: Any, inputs: Any, lengths: Any, starts: Any) -> tuple[int, int]:
    """(B, T), the same in all."""
    leaves = jax.tree.leaves(inputs)
    if not leaves or any(leaf.ndim < 2 for leaf in leaves):
        shapes = [list(leaf.shape) for leaf in leaves]
        raise ValueError(f"inputs have the shapes {shapes}; arrays of [B, T, ...] would fit")
    rows, steps = leaves[0].shape[:2]
    wanted = [("inputs", leaf.shape[:2], (rows, steps)) for leaf in leaves]
    wanted += [("state", leaf.shape[:1], (rows,)) for leaf in jax.tree.leaves(state)]
    wanted += [] if lengths is None else [("lengths", jnp.shape(lengths), (rows,))]
    wanted += [] if starts is None else [("starts", jnp.shape(starts), (rows, steps))]
    for name, found, fits in wanted:
        if tuple(found) != fits:
            raise ValueError(
                f"{name} leads with {list(found)}; {list(fits)} would fit inputs of B = {rows} "
                f"rows and T = {steps} positions"
            )
    return rows, steps
