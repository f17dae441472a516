"""Samplers where the answer is known: one picture, and one normal cloud."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attention_jax.decoding.denoise import SAMPLERS, ddim, euler, guided, heun
from attention_jax.functional.noising import cosine

CHANCE = np.random.default_rng(0)
PICTURE = jnp.float32(CHANCE.uniform(-1, 1, (1, 3, 3, 1)))
NOISE = jnp.float32(CHANCE.normal(size=(5, 3, 3, 1)))


def column(values, x):
    return values.reshape(-1, *(1,) * (x.ndim - 1))


@pytest.mark.parametrize("name, steps", [("euler", 1), ("euler", 7), ("ddim", 6)])
def test_one_picture_is_found_from_any_noise(name, steps):
    """Where all pictures are one, the model that knows it is exact, and so is every step.

    But Heun's last one asks at time 0, where nothing is left to tell the noise from.
    """

    def velocity(x, times):
        return (x - PICTURE) / column(times, x)

    def noise(x, times):
        keep, add = cosine(column(times, x))
        return (x - keep * PICTURE) / add

    predict = noise if name == "ddim" else velocity
    found = jax.jit(partial(SAMPLERS[name], predict, steps=steps))(NOISE)
    wanted = np.broadcast_to(PICTURE, NOISE.shape)
    np.testing.assert_allclose(found, wanted, atol=1e-3 if name == "ddim" else 2e-5)


SPREAD = 0.3


def of_a_cloud(x, times):
    """The velocity where pictures are normal with mean 0 and spread s: E[ε - x | xₜ]."""
    t = column(times, x)
    variance = (1 - t) ** 2 * SPREAD**2 + t**2
    return x * (t - (1 - t) * SPREAD**2) / variance


def test_a_cloud_shrinks_to_its_spread_and_heun_does_so_sooner():
    wanted = SPREAD * np.asarray(NOISE)  # the flow of a normal cloud is a scaling
    errors = {
        name: [
            float(np.abs(jax.jit(partial(sampler, of_a_cloud, steps=n))(NOISE) - wanted).max())
            for n in (8, 16)
        ]
        for name, sampler in (("euler", euler), ("heun", heun))
    }
    assert errors["heun"][1] < 0.01 < errors["euler"][1] < 0.2
    assert errors["euler"][1] < errors["euler"][0] * 0.7  # first order halves, second quarters
    assert errors["heun"][1] < errors["heun"][0] * 0.4


def test_guidance_is_between_and_beyond_both_predictions():
    def model(x, times, labels):
        return x + labels.astype(x.dtype).reshape(-1, 1) + times[:, None]

    x, times, labels = jnp.zeros((3, 2)), jnp.float32([0, 0, 0.5]), jnp.int32([1, 2, 3])
    for strength, wanted in ((0, [9, 9, 9.5]), (1, [1, 2, 3.5]), (2, [-7, -5, -2.5])):
        predict = guided(model, labels, none=9, strength=strength)
        np.testing.assert_allclose(predict(x, times)[:, 0], wanted, atol=1e-5)


def test_ddim_stays_within_the_pictures():
    found = ddim(lambda x, times: 3 * x, 10 * NOISE, steps=3)
    assert np.abs(found).max() <= 1


def test_numbers_that_make_no_pictures_are_refused():
    for sampler in SAMPLERS.values():
        with pytest.raises(ValueError, match="steps is 0"):
            sampler(lambda x, times: x, NOISE, steps=0)
    with pytest.raises(ValueError, match="strength is -1"):
        guided(lambda *_: NOISE, jnp.zeros(5, jnp.int32), none=9, strength=-1)
