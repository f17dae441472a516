"""Adaptive computation time: how often a position is computed again is up to what it holds.

After each step n a position halts with probability p_n. It stops at the first step N by which these
sum to 1 - ε, or at the last one there may be; what it then gives is the mean of its states, by p_1
to p_{N-1} and the remainder R = 1 - Σ p. Its ponder cost N + R has a gradient through R alone:

    so_far = unbegun(state)
    for step in range(steps):
        state = ...
        so_far = ponder(so_far, chance, state, last=step == steps - 1)
    so_far.mean, so_far.cost
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from attention_jax.axes import fit


class Pondered(NamedTuple):
    """How far each position has come; probabilities and counts are in float32 at least."""

    mean: Float[Array, "*B T D"]
    """of its states so far, each weighed by the probability to halt there"""
    chance: Float[Array, "*B T"]
    """the sum of those probabilities, but for the remainder"""
    remainder: Float[Array, "*B T"]
    """R, what was left for the step at which it stopped; 0 until then"""
    steps: Float[Array, "*B T"]
    """N, how many it took"""
    running: Bool[Array, "*B T"]
    """whether it goes on"""

    @property
    def cost(self) -> Float[Array, "*B T"]:
        """The ponder cost N + R."""
        return self.steps + self.remainder


def unbegun(state: Float[Array, "*B T D"]) -> Pondered:
    """Before the first step of states of this shape."""
    wide = jnp.promote_types(state.dtype, jnp.float32)
    none = jnp.zeros(state.shape[:-1], wide)
    return Pondered(jnp.zeros_like(state), none, none, none, jnp.ones(none.shape, bool))


def ponder(
    so_far: Pondered,
    chance: Float[Array, "*B T"],
    state: Float[Array, "*B T D"],
    *,
    epsilon: float = 0.01,
    last: bool = False,
) -> Pondered:
    """One step further; positions that have stopped stay as they are.

    Args:
      so_far: of the steps before.
      chance: p_n of each position, from 0 to 1.
      state: what each position is after this step.
      epsilon: ε, above 0, so that a single step can do.
      last: all stop here.

    Raises:
      ValueError: shapes do not fit, or ε is not between 0 and 1.

    Source: Graves 2016, "Adaptive Computation Time for Recurrent Neural Networks", equations 5 to
    13; by position: Dehghani et al. 2018, section 2.2.
    """
    if not 0 < epsilon < 1:
        raise ValueError(f"epsilon is {epsilon}; more than 0 and less than 1 would fit")
    fit(
        state=(state.shape, "*B T D"),
        chance=(chance.shape, "*B T"),
        so_far=(so_far.mean.shape, "*B T D"),
    )
    chance = chance.astype(so_far.chance.dtype)
    left, running = 1 - so_far.chance, so_far.running
    stops = running & (last | (so_far.chance + chance >= 1 - epsilon))
    goes = running & ~stops
    share = jnp.where(stops, left, chance)[..., None].astype(state.dtype)
    return Pondered(
        so_far.mean + jnp.where(running[..., None], share * state, 0),
        so_far.chance + jnp.where(goes, chance, 0),
        jnp.where(stops, left, so_far.remainder),
        so_far.steps + running,
        goes,
    )
