"""Adaptive computation time against a loop in plain Python over its definition."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attention_jax.functional.halting import ponder, unbegun

STEPS = 4


def pondered(chances, states, epsilon):
    so_far = unbegun(states[0])
    for step, (chance, state) in enumerate(zip(chances, states, strict=True)):
        so_far = ponder(so_far, chance, state, epsilon=epsilon, last=step == STEPS - 1)
    return so_far


def by_definition(chances, states, epsilon):
    """One position: its mean state, N and R, in float64."""
    last = next((n for n in range(STEPS) if sum(chances[: n + 1]) >= 1 - epsilon), STEPS - 1)
    remainder = 1 - sum(chances[:last])
    shares = [*chances[:last], remainder]
    return sum(p * s for p, s in zip(shares, states, strict=False)), last + 1, remainder


@pytest.mark.parametrize("epsilon", [0.01, 0.3])
def test_it_is_the_definition(epsilon):
    rng = np.random.default_rng(0)
    chances, states = rng.uniform(0, 0.8, (STEPS, 3, 5)), rng.normal(size=(STEPS, 3, 5, 2))
    chances[0, 0, 0], chances[:, 0, 1] = 0.999, 0.01  # one step, and all of them
    found = pondered(jnp.float32(chances), jnp.float32(states), epsilon)
    for at in np.ndindex(3, 5):
        here = (slice(None), *at)
        mean, steps, remainder = by_definition(chances[here], states[here], epsilon)
        assert found.steps[at] == steps
        np.testing.assert_allclose(found.mean[at], mean, atol=1e-5)
        np.testing.assert_allclose(found.remainder[at], remainder, atol=1e-6)
        np.testing.assert_allclose(found.cost[at], steps + remainder, atol=1e-6)
    assert {1, 2, STEPS} <= set(np.asarray(found.steps).ravel().tolist())
    assert not found.running.any()


def test_the_cost_has_a_gradient_through_the_remainder_alone():
    """Each step before the last lowers it by as much as its probability grows."""
    states = jnp.zeros((STEPS, 1, 1))

    def cost(chances):
        return pondered(chances[:, None], states, 0.01).cost.sum()

    gradient = jax.grad(cost)(jnp.float32([0.2, 0.3, 0.6, 0.1]))  # stops at the third
    np.testing.assert_array_equal(gradient, [-1, -1, 0, 0])


def test_a_position_that_has_stopped_takes_nothing_in():
    states = jnp.ones((STEPS, 2, 3)).at[2:, 0].set(jnp.nan)
    chances = jnp.float32([[0.5, 0.1]] * STEPS)

    def total(states):
        return pondered(chances, states, 0.01).mean.sum()

    value, gradient = jax.value_and_grad(total)(states)
    assert np.isfinite(value) and np.isfinite(gradient).all()
    np.testing.assert_array_equal(gradient[2:, 0], 0)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_chances_are_added_up_in_float32(dtype):
    state = jnp.ones((2, 3), dtype)
    found = ponder(unbegun(state), jnp.full(2, 0.25, dtype), state)
    assert found.mean.dtype == dtype and found.chance.dtype == found.cost.dtype == jnp.float32


@pytest.mark.parametrize("epsilon", [0.0, 1.0])
def test_an_epsilon_that_cannot_be(epsilon):
    with pytest.raises(ValueError, match=f"epsilon is {epsilon}; more than 0"):
        ponder(unbegun(jnp.ones((2, 3))), jnp.ones(2), jnp.ones((2, 3)), epsilon=epsilon)


def test_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match="chance has shape"):
        ponder(unbegun(jnp.ones((2, 3))), jnp.ones(3), jnp.ones((2, 3)))
