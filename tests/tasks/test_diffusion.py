"""The task of making pictures from noise."""

from dataclasses import replace

import jax
import numpy as np
import pytest
from flax import nnx

from attention_jax.data.images import as_floats
from attention_jax.functional.noising import noised
from attention_jax.models.diffusion import Diffusion
from attention_jax.tasks.diffusion import (
    SamplingConfig,
    loss_by_time,
    on_a_grid,
    sampled,
    squared_error,
)
from tests.tasks.generators import DIFFUSION, NOISE


@pytest.fixture(scope="module")
def work():
    return DIFFUSION.work()


@pytest.fixture(scope="module")
def model():
    """One that answers something: a fresh one gives zeros."""
    graph, params = nnx.split(Diffusion(DIFFUSION.model, rngs=nnx.Rngs(0)))
    chance = np.random.default_rng(0)
    return nnx.merge(
        graph, jax.tree.map(lambda x: x + chance.normal(0, 0.2, x.shape).astype(x.dtype), params)
    )


def test_a_batch_has_all_that_chance_does(work):
    batch, other = work.plan[0], work.plan[1]
    assert batch.images.dtype == np.uint8 and batch.noise.shape == batch.images.shape
    # One time of each eighth of the way, in any order.
    np.testing.assert_array_equal(np.sort((batch.times * 8).astype(int)), np.arange(8))
    assert not np.array_equal(batch.times, other.times)
    assert abs(batch.noise.mean()) < 0.05 and abs(batch.noise.std() - 1) < 0.05
    labels = np.concatenate([work.plan[i].labels for i in range(60)])
    assert 0.05 < (labels == 10).mean() < 0.16  # a tenth has none


def test_the_cost_is_the_error_of_those_that_count(work, model):
    batch = work.plan[0]._replace(weights=np.float32([1, 1, 0, 2, 0, 0, 0, 1]))
    found = jax.jit(squared_error)(model, batch)
    pictures = as_floats(batch.images)
    x = (1 - batch.times[:, None, None, None]) * pictures
    x = x + batch.times[:, None, None, None] * batch.noise
    guess = np.asarray(jax.jit(model)(x, batch.times, batch.labels))
    errors = np.square(guess - (batch.noise - pictures)).mean((1, 2, 3))
    np.testing.assert_allclose(found.loss, (errors * batch.weights).sum(), rtol=1e-5)
    assert float(found.tokens) == 5


def test_held_out_times_take_turns_and_losses_are_told_apart(work, model):
    first = work.validation[0]
    np.testing.assert_allclose(first.times[:8], (np.arange(8) + 0.5) / 10, atol=1e-6)
    found = loss_by_time(model, work.validation)
    assert list(found) == [f"{(n + 0.5) / 10:.2f}" for n in range(10)]
    batch = first._replace(weights=np.float32(first.times == first.times[3]))
    alone = jax.jit(squared_error)(model, batch)
    # Only the first batch's share of that time: near, not the same.
    assert 0.5 < found["0.35"] / (float(alone.loss) / float(alone.tokens)) < 2


def test_the_same_noise_every_time():
    from attention_jax.data.images import Pictures

    pictures = Pictures(np.zeros((3, 4, 4, 1), np.uint8), np.zeros(3, np.int32))
    one, other = on_a_grid(pictures), on_a_grid(pictures)
    np.testing.assert_array_equal(one.noise, other.noise)


@pytest.mark.slow
@pytest.mark.parametrize("task", [DIFFUSION, NOISE], ids=["velocity", "noise"])
def test_pictures_are_made_and_depend_on_seed_and_label(task, model):
    model = nnx.merge(nnx.graphdef(nnx.eval_shape(
        lambda: Diffusion(task.model, rngs=nnx.Rngs(0)))), nnx.state(model))  # fmt: skip
    labels = np.int32([1, 2, 3])
    pictures = sampled(model, labels, task.sampling)
    assert pictures.shape == (3, 28, 28, 1) and np.isfinite(pictures).all()
    np.testing.assert_array_equal(pictures, sampled(model, labels, task.sampling))
    assert not np.array_equal(pictures, sampled(model, labels, task.sampling, seed=1))
    assert not np.array_equal(pictures[2], sampled(model, np.int32([1, 2, 4]), task.sampling)[2])


def test_samplers_go_with_what_is_predicted():
    for task, sampler in ((DIFFUSION, "ddim"), (NOISE, "heun")):
        with pytest.raises(ValueError, match=f"sampler is {sampler}"):
            replace(task, sampling=SamplingConfig(sampler))
    with pytest.raises(ValueError, match="steps is 0"):
        SamplingConfig(steps=0)
    with pytest.raises(ValueError, match="guidance is -1"):
        SamplingConfig(guidance=-1)
    with pytest.raises(ValueError, match="unlabelled is 1"):
        replace(DIFFUSION, unlabelled=1.0)


def test_a_model_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"model.side is 14.*--model.side 28"):
        replace(DIFFUSION, model=replace(DIFFUSION.model, side=14)).work()


@pytest.mark.slow
def test_it_learns_one_picture_of_each_kind():
    """With a single picture a kind, what comes out of noise is nearly that picture."""
    import optax

    from attention_jax.tasks.diffusion import Noised
    from attention_jax.training.step import split

    config = replace(
        DIFFUSION.model, side=8, patch=4, classes=2, width=32, feed_forward=64, frequencies=16
    )
    shown = np.full((2, 8, 8, 1), 20, np.uint8)
    shown[0, 2:6], shown[1, :, 2:6] = 235, 235
    graph, params = split(Diffusion(config, rngs=nnx.Rngs(0)))
    optimizer = optax.adam(3e-3)
    moments, chance = optimizer.init(params), np.random.default_rng(0)

    @jax.jit
    def step(params, moments, batch):
        def loss(params):
            return squared_error(nnx.merge(graph, params), batch).loss / 64

        slope = jax.grad(loss)(params)
        updates, moments = optimizer.update(slope, moments, params)
        return optax.apply_updates(params, updates), moments

    for _ in range(400):
        labels = chance.integers(0, 2, 64).astype(np.int32)
        noise = chance.standard_normal((64, 8, 8, 1), np.float32)
        times = chance.random(64, np.float32)
        batch = Noised(shown[labels], labels, times, noise, np.ones(64, np.float32))
        params, moments = step(params, moments, batch)
    sampling = SamplingConfig("heun", steps=12, guidance=1.0)
    found = sampled(nnx.merge(graph, params), np.int32([0, 1, 0, 1]), sampling)
    wanted = as_floats(shown)[[0, 1, 0, 1]]
    assert np.abs(found - wanted).mean() < 0.15
    assert np.abs(found - wanted[::-1]).mean() > 0.4


def test_noise_is_what_a_model_of_noise_is_asked_for(work):
    batch = work.plan[0]
    _, target = noised("noise", as_floats(batch.images), batch.noise, batch.times)
    np.testing.assert_array_equal(target, batch.noise)
