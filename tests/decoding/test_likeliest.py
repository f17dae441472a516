"""The largest logits, against NumPy and against `top_k`, equal ones among them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attention_jax.decoding.likeliest import PIECE, largest, likeliest

DRAW = np.random.default_rng(0).normal


def drawn(kind, rows, length):
    logits = DRAW(size=(rows, length)).astype(np.float32)
    if kind == "equal":
        logits = np.round(logits * 2)
    if kind == "flat":
        logits[:] = -1e9
        logits[0, length - 1] = 3
    return logits


@pytest.mark.parametrize("kind", ["any", "equal", "flat"])
@pytest.mark.parametrize("length", [1, 17, 999, 40 * PIECE, 40 * PIECE + 5, 2000])
def test_are_those_of_top_k_in_its_order(kind, length):
    logits = drawn(kind, 5, length)
    for count in {1, min(length, 7)}:
        wanted = jax.lax.top_k(logits, count)
        found = jax.jit(largest, static_argnums=1)(logits, count)
        np.testing.assert_array_equal(found[0], wanted[0])
        np.testing.assert_array_equal(found[1], wanted[1])
    np.testing.assert_array_equal(likeliest(jnp.asarray(logits)), logits.argmax(-1))


def test_long_rows_are_really_cut():
    text = str(jax.make_jaxpr(lambda x: largest(x, 3))(jnp.zeros((2, 40 * PIECE))))
    assert f"2,40,{PIECE}" in text
