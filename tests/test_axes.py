import pytest
from jax import numpy as jnp

from attention_jax.axes import ALPHABET, align, fit


def test_sizes_of_letters_and_of_the_leading_axes():
    batch, sizes = fit(query=((2, 3, 5, 4, 8), "*B T H K"), key=((2, 3, 7, 2, 8), "*B S G K"))
    assert batch == (2, 3)
    assert sizes == {"T": 5, "H": 4, "K": 8, "S": 7, "G": 2}
    assert set(sizes) < set(ALPHABET)


def test_no_leading_axes():
    assert fit(x=((5, 8), "*B T D")) == ((), {"T": 5, "D": 8})


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ((2, 7, 2, 9), "K was 8"),
        ((3, 7, 2, 8), r"\*B was \[2\]"),
        ((7, 8), "it has 2 axes"),
        ((2, 7, 3, 8), "H is 4 and G is 3, but G must divide H"),
        ((2, 7, 0, 8), "G must divide H"),
    ],
)
def test_a_misfit_names_the_argument_the_shapes_and_what_would_fit(key, why):
    start = r"key has shape .*, wanted \[\*B, S, G, K\] beside query is \[2, 5, 4, 8\]"
    with pytest.raises(ValueError, match=start) as error:
        fit(query=((2, 5, 4, 8), "*B T H K"), key=(key, "*B S G K"))
    assert str(list(key)) in str(error.value)
    with pytest.raises(ValueError, match=why):
        fit(query=((2, 5, 4, 8), "*B T H K"), key=(key, "*B S G K"))


def test_exact_letters_take_no_more_axes():
    with pytest.raises(ValueError, match=r"v has shape \[1, 2, 3\], wanted \[H, K\]"):
        fit(v=((1, 2, 3), "H K"))


def test_align_puts_axes_of_one_in_front():
    assert align("bias", jnp.zeros((5, 7)), (2, 4, 5, 7)).shape == (1, 1, 5, 7)


@pytest.mark.parametrize("shape", [(5, 6), (3, 1, 5, 7), (1, 2, 4, 5, 7)])
def test_align_refuses_what_does_not_broadcast(shape):
    with pytest.raises(ValueError, match=r"bias has shape .* \[\*B, H, T, S\] = \[2, 4, 5, 7\]"):
        align("bias", jnp.zeros(shape), (2, 4, 5, 7))


def test_align_knows_the_usual_slip():
    with pytest.raises(ValueError, match=r"is \[B, 1, T, S\]"):
        align("mask", jnp.zeros((2, 5, 7)), (2, 4, 5, 7))
