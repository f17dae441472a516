"""Attention to what a model keeps: `attend` without its look for what is not finite."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention_jax as aj
from attention_jax.functional.recall import recall

QUERY, KEY, VALUE = (
    jax.random.normal(jax.random.key(n), (2, length, 4, 8)) for n, length in enumerate((3, 7, 7))
)
MASK = aj.Lengths(jnp.array([5, 0]))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"mask": aj.Causal(4)},
        {"mask": MASK},
        {"score": aj.dot, "bias": jnp.linspace(-2, 2, 21).reshape(1, 1, 3, 7)},
        {"normalize": aj.sigmoid, "mask": MASK},
    ],
    ids=["plain", "causal", "lengths", "bias", "sigmoid"],
)
def test_gives_what_attend_gives(options):
    whole = aj.attend(QUERY, KEY, VALUE, **options, backend="reference")
    np.testing.assert_allclose(recall(QUERY, KEY, VALUE, **options), whole, rtol=1e-6, atol=1e-7)


def test_a_row_with_nothing_to_see_gives_zeros():
    assert not recall(QUERY, KEY, VALUE, mask=MASK)[1].any()


def test_shared_heads_are_those_of_attend():
    key, value = KEY[:, :, :2], VALUE[:, :, :2]
    np.testing.assert_allclose(
        recall(QUERY, key, value), aj.attend(QUERY, key, value), rtol=1e-6, atol=1e-7
    )
