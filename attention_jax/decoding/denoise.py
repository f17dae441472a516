"""From noise to pictures: what a diffusion model's predictions are followed by.

All of them are pure functions to be called inside `jax.jit`. `predict(x, times)` takes rows and a
time for each, and gives what the model was trained for.
"""

from collections.abc import Callable

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from attention_jax.functional.noising import cosine

Predict = Callable[[Float[Array, "B *P"], Float[Array, " B"]], Float[Array, "B *P"]]


def guided(
    model: Callable[..., Array], labels: Int[Array, " B"], *, none: int, strength: float
) -> Predict:
    """A model's predictions, pushed away from those without a label and towards those with one.

    Args:
      model: called as (x, times, labels).
      labels: what each row shall show.
      none: the label that means none.
      strength: w of none + w·(label - none): 0 ignores the labels, 1 is the model as it is, and
        more makes pictures clearer and more alike.

    Raises:
      ValueError: the strength is negative.

    Source: Ho and Salimans 2022, "Classifier-Free Diffusion Guidance", equation 6, with their w one
      less.
    """
    if strength < 0:
        raise ValueError(f"strength is {strength}; a number from 0 up would fit")
    if strength == 1:
        return lambda x, times: model(x, times, labels)

    def predict(x, times):
        both = jnp.concatenate([labels, jnp.full_like(labels, none)])
        found = model(jnp.concatenate([x, x]), jnp.concatenate([times, times]), both)
        with_label, without = jnp.split(found, 2)
        return without + strength * (with_label - without)

    return predict


def euler(predict: Predict, noise: Float[Array, "B *P"], *, steps: int) -> Float[Array, "B *P"]:
    """Pictures by following velocities from time 1 to 0 in straight pieces.

    Args:
      predict: gives velocities, dx/dt.
      noise: where to start from, at time 1.
      steps: pieces of equal length; one prediction each.

    Raises:
      ValueError: steps is below 1.

    Source: Liu et al. 2023, section 2.1.
    """

    def step(x, times):
        now, then = times
        return x + (then - now) * predict(x, _all(now, x)), None

    return lax.scan(step, noise, _times(steps))[0]


def heun(predict: Predict, noise: Float[Array, "B *P"], *, steps: int) -> Float[Array, "B *P"]:
    """The same with the mean of the velocities at both ends of each piece: two predictions a step.

    Args:
      predict: as in `euler`.
      noise: as in `euler`.
      steps: as in `euler`.

    Raises:
      ValueError: steps is below 1.

    Source: Karras et al. 2022, "Elucidating the Design Space", algorithm 1.
    """

    def step(x, times):
        now, then = times
        first = predict(x, _all(now, x))
        there = x + (then - now) * first
        second = predict(there, _all(then, x))
        return x + (then - now) * (first + second) / 2, None

    return lax.scan(step, noise, _times(steps))[0]


def ddim(predict: Predict, noise: Float[Array, "B *P"], *, steps: int) -> Float[Array, "B *P"]:
    """Pictures from predictions of the noise, along the cosine, without any further chance.

    Each step solves for the picture, clips it to [-1, 1], and goes back to less noise than before.

    Args:
      predict: gives the noise.
      noise: as in `euler`.
      steps: one prediction each.

    Raises:
      ValueError: steps is below 1.

    Source: Song et al. 2021, "Denoising Diffusion Implicit Models", equation 12 with σ = 0; Ho et
      al. 2020, in their code (clipping).
    """

    def step(x, times):
        (keep, add), (next_keep, next_add) = (cosine(time) for time in times)
        found = predict(x, _all(times[0], x))
        picture = jnp.clip((x - add * found) / keep, -1, 1)
        return next_keep * picture + next_add * (x - keep * picture) / add, picture

    return lax.scan(step, noise, _times(steps))[1][-1]


SAMPLERS = {"euler": euler, "heun": heun, "ddim": ddim}
"""`ddim` for models that predict noise, the others for velocities."""


def _times(steps: int) -> tuple[Float[Array, " steps"], Float[Array, " steps"]]:
    """From when to when each step goes."""
    if steps < 1:
        raise ValueError(f"steps is {steps}; it must be at least 1")
    times = jnp.linspace(1.0, 0.0, steps + 1, dtype=jnp.float32)
    return times[:-1], times[1:]


def _all(time: Float[Array, ""], x: Float[Array, "B *P"]) -> Float[Array, " B"]:
    return jnp.full(x.shape[0], time, x.dtype)
