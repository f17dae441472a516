"""What every task promises of one batch: see `family`."""

import functools
from dataclasses import replace
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from attention_jax import configs
from attention_jax.models.places import Place
from attention_jax.tasks.kinds import TASKS
from attention_jax.tasks.run import programs_of
from attention_jax.training.step import mean_loss, split
from tests.models.family import bits, in_turn
from tests.tasks.family import FAMILY, QUICK, SLOW

EACH = in_turn(FAMILY, QUICK)


@functools.cache
def prepare(kind):
    """A task's data, a model that has learned nothing and rests nowhere, and its compiled cost."""
    task = FAMILY[kind]
    if hasattr(task.model, "dropout"):  # with it devices draw their own
        task = replace(task, model=replace(task.model, dropout=0.0))
    work = task.work()
    graph, params = split(work.make_model(nnx.Rngs(0)))
    # What papers start at zero hides all that stands behind it.
    noise, leaves = np.random.default_rng(0), jax.tree.leaves(params)
    moved = [leaf + 0.1 * noise.normal(size=leaf.shape).astype(leaf.dtype) for leaf in leaves]
    # Of NumPy: a step uses up what is on the device.
    params = jax.tree.unflatten(jax.tree.structure(params), [np.asarray(leaf) for leaf in moved])
    config = nnx.merge(graph, params).config

    def cost(params, batch, gates):
        def gated(place, outputs):
            return outputs * gates[str(place)].reshape(1, 1, -1, 1).astype(outputs.dtype)

        model = nnx.merge(graph, params)
        return work.objective(
            model, batch, heads=gated, explain=lambda place, weights: weights.sum(-1)
        )

    def plain(params, batch):
        return work.objective(nnx.merge(graph, params), batch)

    ones = {str(place): np.ones(config.heads_at(place), np.float32) for place in config.places()}
    return SimpleNamespace(
        task=task,
        work=work,
        graph=graph,
        params=params,
        ones=ones,
        config=config,
        batch=jax.tree.map(jnp.asarray, work.plan[0]),
        cost=jax.jit(cost),
        plain=jax.jit(plain),
    )


def test_all_are_here():
    assert set(FAMILY) == set(TASKS)


@pytest.mark.parametrize("kind", FAMILY)
def test_the_config_survives_json(kind):
    task = FAMILY[kind]
    assert task.kind == kind
    assert configs.from_json(TASKS[kind], configs.to_json(task)) == task


@pytest.mark.parametrize("kind", EACH)
def test_batches_are_a_pure_function_of_seed_and_number(kind):
    one, again = (FAMILY[kind].work().plan for _ in range(2))
    for index in (3, 0):
        for mine, other in zip(one[index], again[index], strict=True):
            np.testing.assert_array_equal(bits(mine), bits(other))
    blank = one.blanks[0]
    assert [(leaf.shape, leaf.dtype) for leaf in blank] == [
        (leaf.shape, leaf.dtype) for leaf in one[0]
    ]


@pytest.mark.parametrize("kind", EACH)
def test_a_row_of_no_weight_costs_nothing(kind, optimized):
    run = prepare(kind)
    weights = run.batch.weights.at[-1].set(0)
    silent = run.batch._replace(weights=weights)
    empty = jax.tree.map(lambda leaf: leaf.at[-1].set(0), silent)
    found, _ = run.cost(run.params, silent, run.ones)
    wanted, _ = run.cost(run.params, empty, run.ones)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(bits(one), bits(other))
    full = run.cost(run.params, run.batch, run.ones)[0]
    assert float(full.tokens) > float(found.tokens) > 0
    assert float(full.loss) != float(found.loss)


@pytest.mark.parametrize("kind", EACH)
def test_every_head_counts_and_can_be_silenced(kind):
    run = prepare(kind)
    plain = run.plain(run.params, run.batch)
    whole, sums = run.cost(run.params, run.batch, run.ones)
    np.testing.assert_allclose(float(whole.loss), float(plain.loss), rtol=1e-6)
    assert set(map(str, sums)) == set(run.ones)
    assert all(isinstance(place, Place) for place in sums)
    for head in run.config.every_head():
        gates = {name: np.array(gate) for name, gate in run.ones.items()}
        gates[str(head.place)][head.head] = 0
        without, _ = run.cost(run.params, run.batch, gates)
        assert float(without.loss) != float(whole.loss), head


@pytest.mark.parametrize("kind", EACH)
def test_weights_sum_to_one_or_zero(kind):
    run = prepare(kind)
    for place, total in run.cost(run.params, run.batch, run.ones)[1].items():
        total = np.asarray(total)
        assert (np.isclose(total, 1, atol=1e-5) | (total == 0)).all(), place
        assert (total > 0.5).any(), place


@pytest.mark.parametrize("mesh", [pytest.param("replicate", marks=pytest.mark.slow), "data=8"])
@pytest.mark.parametrize("kind", in_turn(FAMILY, QUICK, SLOW))
def test_eight_devices_give_the_step_of_one(kind, mesh):
    from attention_jax.parallel.engines import engine

    run = prepare(kind)
    alone = programs_of(run.task, run.work)
    spread = programs_of(run.task, run.work, engine(mesh))
    assert spread.devices == 8
    batch, held_out = run.work.plan[0], run.work.validation[:1]
    states = []
    for programs in (alone, spread):
        state = jax.device_get(programs.whole(programs.start(3)))
        state = programs.place(state._replace(params=run.params))
        state, metrics = programs.step(state, batch)
        params = programs.whole(state.params)
        states.append((jax.device_get(params), metrics, programs.loss(state.params, held_out)))
    (one, before, loss), (other, after, spread_loss) = states
    for name in ("loss", "nll", "tokens", "gradient_norm"):
        mine, theirs = (float(getattr(found, name)) for found in (before, after))
        np.testing.assert_allclose(mine, theirs, rtol=2e-5, err_msg=name)
    assert bool(after.sound)
    np.testing.assert_allclose(loss, spread_loss, rtol=2e-5)
    for mine, theirs in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-4)


@pytest.mark.slow
def test_the_gradient_is_that_of_the_mean_over_what_counts():
    """What every engine divides by: two halves of a batch, weighted, are the whole."""
    run = prepare(QUICK[0])
    loss = mean_loss(run.graph, smoothing=0.0, objective=run.work.objective)
    half = len(run.batch.weights) // 2
    parts = [
        jax.tree.map(lambda leaf, s=s: leaf[s], run.batch)
        for s in (slice(None, half), slice(half, None))
    ]
    gradients = [jax.grad(loss, has_aux=True)(run.params, part, None)[0] for part in parts]
    counts = [float(part.weights.sum()) for part in parts]
    whole = jax.grad(loss, has_aux=True)(run.params, run.batch, None)[0]
    mixed = jax.tree.map(
        lambda *leaves: sum(c * leaf for c, leaf in zip(counts, leaves, strict=True)) / sum(counts),
        *gradients,
    )
    for one, other in zip(jax.tree.leaves(whole), jax.tree.leaves(mixed), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
