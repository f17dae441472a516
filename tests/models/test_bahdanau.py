"""Bahdanau's model against its rewriting in NumPy, itself and its cache."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attention_jax.models.bahdanau import Bahdanau, BahdanauConfig
from tests.models.attentive_cases import CROSS, TARGET, Made
from tests.models.attentive_oracle import bahdanau, in_float64

SMALL = BahdanauConfig(vocabulary=23, width=8)
VARIANTS = {
    "shared table": SMALL,
    "own sizes": replace(SMALL, embedding=6, alignment=5, readout=7, tied=False),
}


@pytest.fixture(scope="module")
def small():
    return Made(Bahdanau, SMALL)


@pytest.mark.parametrize("name", VARIANTS)
def test_logits_and_weights_are_those_of_the_papers_equations(name, small):
    made = small if VARIANTS[name] == SMALL else Made(Bahdanau, VARIANTS[name])
    params = in_float64(made.params)
    made.agrees_with(lambda *row: bahdanau(params, *row), atol=1e-5)


@pytest.mark.slow
def test_float64_agrees_to_ten_digits():
    with jax.enable_x64(True):
        made = Made(Bahdanau, VARIANTS["own sizes"], np.float64)
        params = in_float64(made.params)
        logits = made.agrees_with(lambda *row: bahdanau(params, *row), atol=1e-10)
        assert logits.dtype == jnp.float64


def test_cached_steps_give_the_logits_of_the_whole_pass(small):
    small.steps_agree_with_the_whole()


def test_rows_of_a_source_change_places_and_the_source_itself_stays(small):
    cache = small.start()
    cache = cache._replace(hidden=np.arange(24).reshape(3, 8))
    moved = small.model.reorder(cache, np.array([1, 0, 2]))
    np.testing.assert_array_equal(moved.hidden, cache.hidden[[1, 0, 2]])
    assert moved.memory is cache.memory


def test_the_step_looks_with_the_state_before_it(small):
    """A token cannot change where its own step looks, only where the next ones do."""
    other = TARGET.copy()
    other[:, 1] = 17
    here, there = (small(target=target, explain=True)[1][CROSS] for target in (TARGET, other))
    np.testing.assert_array_equal(here[:, :, :2], there[:, :, :2])
    assert not np.allclose(here[:2, :, 2:], there[:2, :, 2:])


@pytest.mark.parametrize("name", ["vocabulary", "width", "embedding", "alignment", "readout"])
def test_sizes_below_one_are_refused(name):
    with pytest.raises(ValueError, match=f"{name} is 0; it must be at least 1"):
        replace(SMALL, **{name: 0})


@pytest.mark.parametrize("rate", [-0.1, 1.0])
def test_rates_that_drop_all_or_less_than_nothing_are_refused(rate):
    with pytest.raises(ValueError, match=f"dropout is {rate}; it must be at least 0"):
        replace(SMALL, dropout=rate)


def test_another_kind_is_refused():
    with pytest.raises(ValueError, match="kind is 'luong'; 'bahdanau' would fit"):
        replace(SMALL, kind="luong")
