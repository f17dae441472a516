import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attention_jax.training.optimizer import (
    SCHEDULES,
    OptimizerConfig,
    _rate,
    learning_rate,
    make_optimizer,
)


def rates(steps=100, **fields):
    config = OptimizerConfig(**fields)
    return [learning_rate(config, steps, step) for step in range(steps)]


def test_all_schedules_rise_in_a_line_to_the_peak():
    for schedule in SCHEDULES:
        found = rates(schedule=schedule, peak=0.4, warmup=4, initial=0.0)
        np.testing.assert_allclose(found[:4], [0.1, 0.2, 0.3, 0.4], rtol=1e-12)
        assert max(found) == pytest.approx(0.4)


def test_warmup_starts_from_the_initial_rate():
    found = rates(schedule="constant", peak=1.0, warmup=10, initial=0.5)
    assert found[0] == pytest.approx(0.55)
    assert found[9:] == [1.0] * 91


def test_inverse_square_root_is_that_of_the_paper():
    width, warmup = 512, 40
    found = rates(peak=(width * warmup) ** -0.5, warmup=warmup)
    for step in (0, 10, 39, 40, 99):
        number = step + 1
        assert found[step] == pytest.approx(
            width**-0.5 * min(number**-0.5, number * warmup**-1.5), rel=1e-6
        )


def test_cosine_ends_at_the_final_rate():
    found = rates(schedule="cosine", peak=1.0, warmup=10, final=0.1)
    assert found[-1] == pytest.approx(0.1)
    assert found[54] == pytest.approx(0.55)
    assert all(one >= other for one, other in zip(found[9:], found[10:], strict=False))


def test_the_host_logs_what_the_step_uses():
    for schedule in SCHEDULES:
        config = OptimizerConfig(schedule=schedule, warmup=5)
        counts = jnp.arange(30)
        traced = jax.jit(jax.vmap(lambda count, c=config: _rate(c, 30, count, jnp)))(counts)
        host = [learning_rate(config, 30, step) for step in range(30)]
        np.testing.assert_allclose(traced, host, rtol=1e-6, atol=1e-9)


def test_accumulated_batches_count_as_one():
    fields = {"schedule": "constant", "warmup": 0, "peak": 0.1, "clip": None, "eps": 1e-8}
    params = {"w": jnp.ones((2, 2))}
    one, two = {"w": jnp.full((2, 2), 1.0)}, {"w": jnp.full((2, 2), 3.0)}
    both = make_optimizer(OptimizerConfig(**fields), 10)
    halves = make_optimizer(OptimizerConfig(**fields, accumulate=2), 10)
    wanted, _ = both.update(jax.tree.map(lambda a, b: (a + b) / 2, one, two), both.init(params))
    first, state = halves.update(one, halves.init(params), params)
    second, _ = halves.update(two, state, params)
    assert not np.any(first["w"])
    np.testing.assert_allclose(second["w"], wanted["w"], rtol=1e-6)
    assert learning_rate(OptimizerConfig(warmup=4, peak=0.4, accumulate=2), 10, 3) == (
        pytest.approx(0.2)
    )


def test_weight_decay_leaves_vectors_alone():
    config = OptimizerConfig(schedule="constant", warmup=0, weight_decay=0.5)
    optimizer = make_optimizer(config, 10)
    params = {"bias": jnp.ones(3), "kernel": jnp.ones((3, 3))}
    nothing = jax.tree.map(jnp.zeros_like, params)
    updates, _ = optimizer.update(nothing, optimizer.init(params), params)
    assert not np.any(updates["bias"])
    np.testing.assert_allclose(updates["kernel"], -0.5 * config.peak, rtol=1e-6)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"schedule": "noam"}, "inverse_square_root"),
        ({"peak": 0.0}, "peak is 0.0"),
        ({"peak": float("nan")}, "peak is nan"),
        ({"warmup": -1}, "warmup is -1"),
        ({"initial": 1.0}, "initial is 1.0"),
        ({"b2": 1.0}, "b2 is 1.0"),
        ({"eps": 0.0}, "eps is 0.0"),
        ({"clip": 0.0}, "clip is 0.0"),
        ({"weight_decay": -1.0}, "weight_decay is -1.0"),
        ({"accumulate": 0}, "accumulate is 0"),
    ],
)
def test_refuses_what_cannot_train(fields, message):
    with pytest.raises(ValueError, match=message):
        OptimizerConfig(**fields)
