"""Recurrence over a tape: every step writes an entry, and reads all that were written before it."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from attention_jax.functional.recur import Times
from attention_jax.functional.recurrence import Project

TapeStep = Callable[[Times, Any, Any, Any, Any, Int[Array, ""]], tuple[Any, Any]]
"""(times, constants, tape, state, inputs of one position, position) -> (its entry, the state after
it); what it makes of entries that are not before its position must not matter."""


def record(
    step: TapeStep,
    kernels: Mapping[str, Float[Array, "D F"]],
    constants: Any,
    tape: Any,
    state: Any,
    inputs: Any,
) -> tuple[Any, Any]:
    """Runs a step over all positions; each reads the tape that those before it have written.

    Differentiated as it is written, such a scan would keep a tape for every position, T² entries.
    But each is the beginning of the last one: the backward pass here keeps that alone, hands it to
    every step, which sees what was there by its position, and adds up the gradient of each entry
    until the step is reached that wrote it. The gradient of a kernel is one product over all
    positions, as in `recur`.

    Args:
      step: as in `TapeStep`; times(name, rows) is rows @ kernels[name]. It differentiates with
        respect to nothing but its arguments.
      kernels: the matrices of the loop, by name.
      constants: whatever else the step reads, any pytree; what is not floating has no gradient.
      tape: an empty one, a pytree of [B, T, ...]; its numbers do not matter.
      state: what the first step starts from, a pytree of floating [B, ...].
      inputs: a pytree of floating [B, T, ...].

    Returns:
      (the full tape; the state after every step, a pytree of [B, T, ...]).
    """
    along = jax.tree.map(lambda leaf: jnp.swapaxes(leaf, 0, 1), inputs)
    run = cast(Callable[..., tuple[Any, Any]], _record)  # some versions of jax do not say it
    tape, states = run(step, dict(kernels), constants, tape, state, along)
    return tape, jax.tree.map(lambda leaf: jnp.swapaxes(leaf, 0, 1), states)


def fused_lstm(
    inputs: Float[Array, "*B 4*K"],
    state: tuple[Float[Array, "*B K"], Float[Array, "*B K"]],
    recurrent: Project,
    more: Float[Array, "*B K"],
) -> tuple[Float[Array, "*B K"], Float[Array, "*B K"]]:
    """An LSTM that takes something else into its memory: c' = f·c + i·g + more, h' = o·tanh(c').

    Args:
      inputs: x·W + b, of the gates i, f, g and o side by side.
      state: (hidden, cell) before, or what is recalled of all before.
      recurrent: from K features to 4·K, in the same order.
      more: what is let into the memory, gated already.

    Returns:
      (hidden, cell) after.

    Source: Cheng, Dong and Lapata 2016, section 4, "Deep Attention Fusion".
    """
    hidden, cell = state
    enter, keep, new, leave = jnp.split(inputs + recurrent(hidden), 4, axis=-1)
    cell = jax.nn.sigmoid(keep) * cell + jax.nn.sigmoid(enter) * jnp.tanh(new) + more
    return jax.nn.sigmoid(leave) * jnp.tanh(cell), cell


def write(tape: Any, entry: Any, position: Int[Array, ""]) -> Any:
    """The tape with the entry at its position."""

    def put(whole: Array, one: Array) -> Array:
        return lax.dynamic_update_index_in_dim(whole, one, position, 1)

    return jax.tree.map(put, tape, entry)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _record(step: TapeStep, kernels, constants, tape, state, along) -> tuple[Any, Any]:
    """The scan as it is written; steps lead in `along` and in the states."""

    def times(name: str, rows: Array) -> Array:
        return rows @ kernels[name]

    def body(carry, here):
        tape, state = carry
        now, position = here
        entry, state = step(times, constants, tape, state, now, position)
        return (write(tape, entry, position), state), state

    (tape, _), states = lax.scan(body, (tape, state), (along, _positions(along)))
    return tape, states


def _record_forward(step: TapeStep, kernels, constants, tape, state, along):
    run = cast(Callable[..., tuple[Any, Any]], _record)
    tape, states = run(step, kernels, constants, tape, state, along)
    return (tape, states), (kernels, constants, tape, state, states, along)


def _record_backward(step: TapeStep, saved, wanted):
    kernels, constants, tape, state, states, along = saved
    d_tape, d_states = wanted
    before = jax.tree.map(lambda one, all: jnp.concatenate([one[None], all[:-1]]), state, states)
    floating, join = _floating(constants)

    def body(carry, here):
        d_constants, d_tape, d_state = carry
        now, before, position, d_state_here = here

        def once(floating, tape, before, now, nudges):
            rows: dict[str, list[Array]] = {name: [] for name in kernels}

            def times(name: str, x: Array) -> Array:
                rows[name].append(x)
                product = x @ kernels[name]
                # Zeros, whose gradient is the product's.
                return product if nudges is None else product + nudges[name][len(rows[name]) - 1]

            return step(times, join(floating), tape, before, now, position), rows

        _, rows = jax.eval_shape(partial(once, nudges=None), floating, tape, before, now)
        nudges = {
            name: [jnp.zeros((*x.shape[:-1], kernels[name].shape[1]), x.dtype) for x in all]
            for name, all in rows.items()
        }
        _, back, rows = jax.vjp(once, floating, tape, before, now, nudges, has_aux=True)
        d_entry = jax.tree.map(lambda leaf: leaf[:, position], d_tape)
        d_after = jax.tree.map(jnp.add, d_state, d_state_here)
        more, d_read, d_before, d_now, d_products = back((d_entry, d_after))
        d_constants, d_tape = jax.tree.map(jnp.add, (d_constants, d_tape), (more, d_read))
        return (d_constants, d_tape, d_before), (d_now, rows, d_products)

    nothing = jax.tree.map(jnp.zeros_like, (floating, state))
    (d_floating, _, d_state), (d_along, rows, d_products) = lax.scan(
        body,
        (nothing[0], d_tape, nothing[1]),
        (along, before, _positions(along), d_states),
        reverse=True,
    )
    d_kernels = {
        name: sum(map(_of_kernel, rows[name], d_products[name]), jnp.zeros_like(kernel))
        for name, kernel in kernels.items()
    }
    d_constants = join(d_floating, missing=True)
    return d_kernels, d_constants, jax.tree.map(jnp.zeros_like, tape), d_state, d_along


_record.defvjp(_record_forward, _record_backward)


def _of_kernel(rows: Float[Array, "T B D"], d_product: Float[Array, "T B F"]):
    """A kernel's gradient from what it was multiplied with, in one product."""
    rows, d_product = (x.reshape(-1, x.shape[-1]) for x in (rows, d_product))
    return rows.T @ d_product


def _floating(constants: Any) -> tuple[list[Array], Callable[..., Any]]:
    """The leaves that have gradients, and what puts leaves in their place among the others."""
    leaves, tree = jax.tree.flatten(constants)
    floats = [jnp.issubdtype(jnp.result_type(leaf), jnp.inexact) for leaf in leaves]

    def join(ones: list[Array], missing: bool = False) -> Any:
        rest = iter(ones)
        others = [None if missing else leaf for leaf in leaves]
        return tree.unflatten(
            next(rest) if real else other for real, other in zip(floats, others, strict=True)
        )

    return [leaf for leaf, real in zip(leaves, floats, strict=True) if real], join


def _positions(along: Any) -> Int[Array, " T"]:
    return jnp.arange(jax.tree.leaves(along)[0].shape[0])
