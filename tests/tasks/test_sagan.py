"""The task of two players."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from jax import lax

from attention_jax.data.images import as_floats
from attention_jax.tasks.sagan import both_hinges, sampled, two_rates
from attention_jax.training.optimizer import make_optimizer
from attention_jax.training.step import split
from tests.tasks.generators import SAGAN, TRAINING


@pytest.fixture(scope="module")
def work():
    return SAGAN.work()


@pytest.fixture(scope="module")
def players(work):
    """Structure and parameters that attend: the fresh γ is zero."""
    graph, params = split(work.make_model(nnx.Rngs(0)))
    for name in params:
        params[name]["attention"]["gamma"] += 0.7
    return graph, params


def test_a_batch_has_all_that_chance_does(work):
    batch = work.plan[0]
    assert batch.latents.shape == (8, 4) and batch.images.shape == (8, 28, 28, 1)
    wanted = np.concatenate([work.plan[i].wanted for i in range(60)])
    np.testing.assert_array_equal(np.unique(wanted), np.arange(10))
    assert len(np.unique(np.concatenate([work.plan[i].latents for i in range(9)]))) == 9 * 32


@pytest.mark.exhaustive
@pytest.mark.slow
def test_one_gradient_is_that_of_each_player_alone(work, players):
    graph, params = players
    batch = work.plan[0]._replace(weights=np.float32([1, 1, 0, 2, 0, 0, 0, 1]))

    def tells(params, made):
        model = nnx.merge(graph, params)
        real = model.judge(as_floats(batch.images), batch.labels)
        fake = model.judge(made, batch.wanted)
        hinge = jnp.maximum(0, 1 - real) + jnp.maximum(0, 1 + fake)
        return (hinge * batch.weights).sum()

    def fools(params):
        model = nnx.merge(graph, params)
        return -(
            model.judge(model(batch.latents, batch.wanted), batch.wanted) * batch.weights
        ).sum()

    @jax.jit
    def slopes(params):
        def both(params):
            sums = both_hinges(nnx.merge(graph, params), batch)
            return sums.loss, sums

        made = lax.stop_gradient(nnx.merge(graph, params)(batch.latents, batch.wanted))
        alone = jax.grad(tells)(params, made), jax.grad(fools)(params)
        values = tells(params, made), fools(params)
        return jax.grad(both, has_aux=True)(params), alone, values

    (slope, sums), (discriminator, generator), (hinge, fooled) = slopes(params)
    np.testing.assert_allclose(sums.loss, hinge + fooled, rtol=1e-5)
    np.testing.assert_allclose(sums.nll, hinge, rtol=1e-5)
    assert float(sums.tokens) == 5
    for name, wanted in (("discriminator", discriminator), ("generator", generator)):
        leaves = zip(*map(jax.tree.leaves, (slope[name], wanted[name])), strict=True)
        for one, other in leaves:
            np.testing.assert_allclose(one, other, atol=1e-4, err_msg=name)
        assert float(optax.tree.norm(slope[name])) > 1e-3


def test_the_generator_goes_at_a_rate_of_its_own():
    params = {name: jnp.ones(3) for name in ("generator", "discriminator")}
    plain, slowed = make_optimizer(TRAINING.optimizer, 8), two_rates(TRAINING, 0.25)
    (one, _), (other, _) = (
        each.update(params, each.init(params), params) for each in (plain, slowed)
    )
    np.testing.assert_array_equal(other["discriminator"], one["discriminator"])
    np.testing.assert_array_equal(other["generator"], 0.25 * one["generator"])
    assert one["generator"].all()


@pytest.mark.slow
def test_pictures_depend_on_seed_and_label(players):
    graph, params = players
    model = nnx.merge(graph, params)
    labels = np.int32([1, 2, 3])
    pictures = sampled(model, labels)
    np.testing.assert_array_equal(pictures, sampled(model, labels))
    assert not np.array_equal(pictures, sampled(model, labels, seed=1))
    assert not np.array_equal(pictures[2], sampled(model, np.int32([1, 2, 4]))[2])
