"""What makes one layer deep: its steps, their coordinates, and where each position stops."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from attention_jax.functional.halting import Pondered, ponder, unbegun
from attention_jax.functional.masks import Mask
from attention_jax.functional.positions import sinusoidal
from attention_jax.models.places import Place
from attention_jax.models.transformer_layers import Pass
from attention_jax.models.universal_config import UniversalConfig
from attention_jax.modules import Dense, MultiHeadAttention


class Ponder(NamedTuple):
    """How long each position of both sides was thought about."""

    encoder: Pondered
    """of source positions; what padding shows means nothing"""
    decoder: Pondered
    """of target positions"""


@dataclass
class DeepPass(Pass):
    """A pass in which the one layer is that of the step that it is at."""

    step: int = 0

    def read(self, attention: MultiHeadAttention, place: Place, x, source, mask: Mask):
        """See `Pass.read`."""
        return super().read(attention, place._replace(layer=self.step), x, source, mask)


class Halting(nnx.Module):
    """The probability of each position to halt; at first about 0.73 for all.

    Source: Graves 2016, equation 5, and section 3 for the bias, which starts at 1.
    """

    def __init__(self, config: UniversalConfig, rngs: nnx.Rngs):
        self.gate = Dense(config.width, 1, letters="D P", rngs=rngs)
        self.gate.bias = nnx.Param(jnp.ones(1), letters="P")
        self.epsilon = config.epsilon

    def __call__(self, so_far: Pondered, state: Float[Array, "B T D"], last: bool) -> Pondered:
        """One step further."""
        chance = jax.nn.sigmoid(self.gate(state)[..., 0])
        return ponder(so_far, chance, state, epsilon=self.epsilon, last=last)


def deepen(
    x: Float[Array, "B T D"],
    layer: Callable[[Array, int], Array],
    steps: int,
    places: Float[Array, "T D"] | None,
    halting: Halting | None,
) -> tuple[Float[Array, "B T D"], Pondered | None]:
    """The layer applied again and again, to rows that are told before each step where they are.

    A position that has halted stays as it is, and is so what others read in the steps after. It is
    computed on all the same: shapes are fixed, so halting says what counts and saves no time.

    Args:
      x: the embedded tokens.
      layer: from rows and the number of the step to rows.
      steps: how many; with halting, at most.
      places: added before each step; None where only the time is.
      halting: says which positions stop; None: none before the end.

    Returns:
      The last states, or with halting the means of each position's states, and how long it took.

    Source: Dehghani et al. 2018, equations 4 and 6 to 8, and section 2.2.
    """
    times = sinusoidal(steps, x.shape[-1], dtype=x.dtype)
    so_far = None if halting is None else unbegun(x)
    for step in range(steps):
        coordinates = times[step][None] if places is None else places + times[step][None]
        y = layer(x + coordinates[None], step)
        if so_far is None or halting is None:
            x = y
            continue
        x = jnp.where(so_far.running[..., None], y, x)
        so_far = halting(so_far, y, step == steps - 1)
    return x if so_far is None else so_far.mean, so_far
