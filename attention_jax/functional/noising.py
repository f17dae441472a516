"""Ways from a picture to noise: xₜ = α(t)·x + σ(t)·ε, for times from 0, the picture, to 1."""

import math

import jax.numpy as jnp
from jaxtyping import Array, Float

OFFSET = 0.008
"""s of the cosine: keeps the first noise from being too small to be noticed"""

SHARE_LEFT = 0.01
"""α(1) of the cosine: whoever solves for the picture divides by it"""


def straight(times: Float[Array, "*B"]) -> tuple[Float[Array, "*B"], Float[Array, "*B"]]:
    """α = 1 - t and σ = t: a line, along which the velocity ε - x is the same at every time.

    Source: Liu et al. 2023, "Flow Straight and Fast", equation 1; Lipman et al. 2023, "Flow
    Matching for Generative Modeling", example II with σ_min = 0. Both count time from the noise.
    """
    return 1 - times, times


def cosine(times: Float[Array, "*B"]) -> tuple[Float[Array, "*B"], Float[Array, "*B"]]:
    """α = cos φ and σ = sin φ, φ growing with t from near 0 to near π/2: variances sum to one.

    The last bit of the way is left out, so that α ends at `SHARE_LEFT` and not at 0; the source
    clips its steps there instead.

    Source: Nichol and Dhariwal 2021, "Improved DDPM", equation 17.
    """
    end = math.acos(SHARE_LEFT)
    angles = end * (times + OFFSET) / (1 + OFFSET)
    return jnp.cos(angles), jnp.sin(angles)


PATHS = {"velocity": straight, "noise": cosine}
"""By what a model is asked for along the way: ε - x, or ε."""


def noised(
    predicts: str,
    pictures: Float[Array, "B *P"],
    noise: Float[Array, "B *P"],
    times: Float[Array, " B"],
) -> tuple[Float[Array, "B *P"], Float[Array, "B *P"]]:
    """Pictures on their way to noise, and what a model is to find in them.

    Args:
      predicts: "velocity" (ε - x, along the straight way) or "noise" (ε, along the cosine).
      pictures: x, one a row.
      noise: ε, standard normal, of the same shape.
      times: t of each row, from 0 to 1.

    Returns:
      xₜ, and the target of the same shape.

    Raises:
      ValueError: the way is not known, or shapes do not fit.

    Source: Ho et al. 2020, equations 4 and 14 (noise); Lipman et al. 2023, equation 23 (velocity).
    """
    if predicts not in PATHS:
        raise ValueError(f"predicts is {predicts!r}; {' or '.join(PATHS)} would fit")
    if pictures.shape != noise.shape or times.shape != pictures.shape[:1]:
        raise ValueError(
            f"noised: pictures {list(pictures.shape)}, noise {list(noise.shape)} and times "
            f"{list(times.shape)}; noise like pictures, and a time for each row, would fit"
        )
    column = times.reshape(-1, *(1,) * (pictures.ndim - 1))
    keep, add = PATHS[predicts](column)
    return keep * pictures + add * noise, noise - pictures if predicts == "velocity" else noise
