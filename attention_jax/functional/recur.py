"""One scan for all that reads one position after another."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

Times = Callable[[str, Array], Array]
"""Rows times the kernel of that name."""

Step = Callable[[Times, Any, Any, Any], tuple[Any, Any]]
"""(times, constants, state, inputs of one position) -> (the state after it, its output)."""


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
    # Some versions of jax do not say what a function with its own derivative returns.
    run = cast(Callable[..., tuple[Any, Any]], _hoisted if hoist else _plain)
    final, outputs = run(advance, reverse, dict(kernels), fixed, state, along)
    outputs = jax.tree.map(lambda leaf: jnp.swapaxes(leaf, 0, 1), outputs)
    if live is not None:
        outputs = jax.tree.map(lambda leaf: jnp.where(_like(live, leaf), leaf, 0), outputs)
    return final, outputs


def turned(x: Array, lengths: Int[Array, " B"]) -> Array:
    """Each row's first `lengths` positions from last to first; what stands past them stays.

    Args:
      x: [B, T, ...].
      lengths: how many positions of each row are real.
    """
    place = jnp.arange(x.shape[1])[None]
    place = jnp.where(place < lengths[:, None], lengths[:, None] - 1 - place, place)
    return jnp.take_along_axis(x, place.reshape(place.shape + (1,) * (x.ndim - 2)), axis=1)


def _plain(advance: Step, reverse: bool, kernels, fixed, state, along) -> tuple[Any, Any]:
    """The scan as it is written."""

    def times(name: str, rows: Array) -> Array:
        return rows @ kernels[name]

    return lax.scan(partial(advance, times, fixed), state, along, reverse=reverse)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _hoisted(advance: Step, reverse: bool, kernels, fixed, state, along) -> tuple[Any, Any]:
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
