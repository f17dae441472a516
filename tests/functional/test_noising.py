"""Ways from pictures to noise."""

import jax.numpy as jnp
import numpy as np
import pytest

from attention_jax.functional.noising import SHARE_LEFT, cosine, noised, straight

TIMES = np.linspace(0, 1, 11, dtype=np.float32)


def test_both_ways_begin_at_the_picture_and_end_in_noise():
    for way, first, last in ((straight, 1, 0), (cosine, 0.9998, SHARE_LEFT)):
        keep, add = way(jnp.asarray(TIMES))
        np.testing.assert_allclose([keep[0], keep[-1]], [first, last], atol=2e-4)
        assert (np.diff(keep) < 0).all() and (np.diff(add) > 0).all()
    keep, add = cosine(jnp.asarray(TIMES))
    np.testing.assert_allclose(keep**2 + add**2, 1, atol=1e-6)


def test_the_cosine_is_that_of_the_source():
    """ᾱ(t) = f(t)/f(0), but for the bit at the end and the division by f(0), which is near 1."""
    f = np.cos((TIMES + 0.008) / 1.008 * np.pi / 2) ** 2
    np.testing.assert_allclose(np.asarray(cosine(jnp.asarray(TIMES))[0]) ** 2, f, atol=0.011)


def test_the_target_is_where_the_way_leads():
    chance = np.random.default_rng(0)
    picture, noise = (jnp.float32(chance.normal(size=(2, 3, 3, 1))) for _ in range(2))
    times = jnp.float32([0.25, 0.8])
    x, velocity = noised("velocity", picture, noise, times)
    later, _ = noised("velocity", picture, noise, times + 0.1)
    np.testing.assert_allclose(later, x + 0.1 * velocity, atol=1e-5)
    np.testing.assert_allclose(x[0], 0.75 * picture[0] + 0.25 * noise[0], atol=1e-6)
    x, target = noised("noise", picture, noise, times)
    np.testing.assert_array_equal(target, noise)
    keep, add = cosine(times)
    np.testing.assert_allclose(x[1], keep[1] * picture[1] + add[1] * noise[1], atol=1e-6)


def test_what_does_not_fit_is_refused():
    x = jnp.zeros((2, 4))
    with pytest.raises(ValueError, match="predicts is 'score'"):
        noised("score", x, x, jnp.zeros(2))
    with pytest.raises(ValueError, match=r"times \[3\]"):
        noised("noise", x, x, jnp.zeros(3))
