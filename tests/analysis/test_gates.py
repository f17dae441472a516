import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attention_jax.analysis import ablation
from attention_jax.analysis.gates import (
    START,
    curve,
    open_probability,
    prune_with_gates,
    sampled,
    settled,
)
from attention_jax.experiment import Experiment
from attention_jax.models.places import Place
from attention_jax.training.training_config import TrainingConfig
from tests.analysis.hand_built import batch_of_the_task, hand_built

EXPERIMENT = Experiment(training=TrainingConfig(smoothing=0.0, rng="threefry2x32"))


class Task:
    """Stands in for `Prepared`: endless batches of the hand-built model's task."""

    def plan(self, seed):
        return self

    def __getitem__(self, index):
        return batch_of_the_task(seed=index)


@pytest.mark.parametrize("log_alpha", [-3.0, 0.0, 1.5])
@pytest.mark.parametrize("temperature", [2 / 3, 0.5])
def test_gates_are_open_as_often_as_the_formula_says(log_alpha, temperature):
    drawn = sampled(jnp.full(20_000, log_alpha), jax.random.key(0), temperature=temperature)
    assert drawn.min() == 0 and drawn.max() == 1
    wanted = float(open_probability(jnp.asarray(log_alpha), temperature=temperature))
    assert float(jnp.mean(drawn > 0)) == pytest.approx(wanted, abs=0.01)


def test_the_noise_is_that_of_the_paper(monkeypatch):
    # With u = 0.6 and log α = 0.3: s = sigmoid((log 1.5 + 0.3) / β), stretched.
    noise = np.log(0.6) - np.log(0.4)
    monkeypatch.setattr(jax.random, "logistic", lambda *_: jnp.asarray(noise))
    wanted = 1.2 / (1 + np.exp(-(noise + 0.3) * 1.5)) - 0.1
    found = sampled(jnp.asarray(0.3), jax.random.key(0))
    assert 0 < wanted < 1 and float(found) == pytest.approx(wanted, rel=1e-6)


def test_settled_gates_reach_both_ends():
    found = settled(jnp.array([-2.5, 0.0, START]))
    assert found.tolist() == [0.0, pytest.approx(0.5), 1.0]


def test_gates_can_be_learned_by_gradient():
    slope = jax.grad(lambda a: sampled(a, jax.random.key(3)).sum())(jnp.zeros(50))
    assert (slope >= 0).all() and (slope > 0).any()
    assert jax.grad(open_probability)(0.0) > 0


def test_heads_that_do_nothing_are_closed_and_those_that_work_stay():
    config, graph, params, batch, named = hand_built()
    settings = {"steps": 60, "gate_rate": 0.2, "rate": 1e-6}
    found = prune_with_gates(EXPERIMENT, graph, params, Task(), strength=0.02, **settings)
    assert {named["useless"], named["first"]} <= set(found.removed)
    assert not {named["previous"], named["reader"]} & set(found.removed)
    assert ablation.loss(graph, found.params, [batch]) < 0.1
    # What is in the parameters is what the gates do.
    kernel = found.params["decoder"][0]["cross"]["output"]["kernel"].reshape(4, 16, 64)
    for head, gate in enumerate(found.gates[Place("cross", 0)]):
        assert (np.abs(kernel[head]).max() == 0) == (gate == 0) or head > 0  # others write nothing
    assert jax.tree.all(jax.tree.map(np.array_equal, params, hand_built()[2]))

    points = curve(
        EXPERIMENT, graph, params, Task(), [0.0, 0.02], [batch],
        score=lambda graph, params: 7.0, **{"steps": 60},
    )  # fmt: skip
    assert [one["strength"] for one in points] == [0.0, 0.02]
    assert points[0]["left"] > points[1]["left"] >= 2
    assert all(one["left"] == sum(one["by_part"].values()) and one["score"] == 7 for one in points)


def test_impossible_numbers_are_refused():
    _, graph, params, _, _ = hand_built()
    with pytest.raises(ValueError, match="strength is -1"):
        prune_with_gates(EXPERIMENT, graph, params, Task(), strength=-1, steps=1)
    with pytest.raises(ValueError, match="steps is 0"):
        prune_with_gates(EXPERIMENT, graph, params, Task(), strength=0, steps=0)
