"""The Universal Transformer against NumPy and itself; what it shares with others: `test_family`."""

from dataclasses import replace

import jax
import numpy as np
import pytest
from flax import nnx

from attention_jax.data.batches import Batch
from attention_jax.models.places import Place
from attention_jax.models.universal import Universal, UniversalConfig
from attention_jax.training.objective import objective_of, penalised, translation
from attention_jax.training.step import mean_loss, split
from tests.models.family import LABELS, SOURCE, TARGET
from tests.models.universal_oracle import universal

PLAIN = UniversalConfig(
    vocabulary=23, width=16, encoder_steps=3, decoder_steps=2, heads=4, feed_forward=24, dropout=0.0
)
ACT = replace(PLAIN, halting="act", decoder_steps=4, time_penalty=0.5)
LENGTHS = (5, 5), (3, 5), (7, 3)  # of SOURCE and TARGET


def build(config, seed=0):
    return Universal(config, rngs=nnx.Rngs(seed))


def undecided(model):
    """The same model, whose positions halt at different steps."""
    for halting in (model.encoder_halting, model.decoder_halting):
        kernel = halting.gate.kernel
        kernel[...] = 3 * jax.random.normal(jax.random.key(7), kernel[...].shape)
        halting.gate.bias[...] = halting.gate.bias[...] - 1.5
    return model


@pytest.fixture(scope="module")
def halting():
    return undecided(build(ACT))


def logits_of(model):
    return model(SOURCE, TARGET)


def ponder_of(model):
    return model.ponder(SOURCE, TARGET)


def explained(model):
    return model(SOURCE, TARGET, explain=True)


def test_it_is_the_paper():
    model = build(PLAIN)
    found, params = logits_of(model), split(model)[1]
    for row, (read, written) in enumerate(LENGTHS):
        wanted, *_ = universal(PLAIN, params, SOURCE[row, :read], TARGET[row, :written])
        np.testing.assert_allclose(found[row, :written], wanted, atol=1e-4)


def test_halting_is_the_paper(halting):
    logits, ponder = logits_of(halting), ponder_of(halting)
    params, seen = split(halting)[1], set()
    for row, (read, written) in enumerate(LENGTHS):
        wanted, *sides = universal(ACT, params, SOURCE[row, :read], TARGET[row, :written])
        np.testing.assert_allclose(logits[row, :written], wanted, atol=1e-4)
        for found, (steps, remainder), length in zip(ponder, sides, (read, written), strict=True):
            np.testing.assert_array_equal(found.steps[row, :length], steps)
            np.testing.assert_allclose(found.remainder[row, :length], remainder, atol=1e-5)
            seen |= set(steps)
    assert len(seen) > 2  # positions differ


def test_cached_steps_are_exact_where_positions_halt_apart(halting):
    whole, cache = logits_of(halting), halting.start(SOURCE, TARGET.shape[1])
    assert len(cache.keys) == 4 and len(cache.cross_keys) == 1
    for at in range(TARGET.shape[1]):
        logits, cache = halting.step(cache, TARGET[:, at])
        np.testing.assert_allclose(logits, whole[:, at], atol=2e-5)


def test_depth_costs_no_parameters():
    def count(config):
        return sum(leaf.size for leaf in jax.tree.leaves(split(build(config))[1]))

    assert count(PLAIN) == count(replace(PLAIN, encoder_steps=6, decoder_steps=5))
    assert count(ACT) == count(PLAIN) + 2 * (PLAIN.width + 1)


def test_depth_changes_what_is_computed():
    one, more = (logits_of(build(replace(PLAIN, encoder_steps=n))) for n in (1, 3))
    assert not np.allclose(one, more, atol=1e-2)


def test_every_step_is_a_place():
    _, found = explained(build(ACT))
    assert set(found) == set(ACT.places()) and len(ACT.places()) == 3 + 4 + 4
    assert not np.allclose(found[Place("encoder", 0)], found[Place("encoder", 1)], atol=1e-3)
    assert len(ACT.every_head()) == 4 * len(ACT.places())


@pytest.mark.slow
def test_a_gate_on_one_step_leaves_the_steps_before_it_alone(halting):
    def gate(place, outputs):
        return outputs * (place != Place("encoder", 1))

    whole, plain = explained(halting)
    logits, gated = halting(SOURCE, TARGET, explain=True, heads=gate)
    for step in (0, 1):
        place = Place("encoder", step)
        np.testing.assert_array_equal(gated[place], plain[place])
    assert not np.allclose(logits, whole, atol=1e-4)


def loss(model, batch, objective):
    graph, params = split(model)
    return mean_loss(graph, smoothing=0.0, objective=objective)(params, batch, None)


def test_the_loss_counts_the_time_of_what_counts(halting):
    batch = Batch(SOURCE, TARGET, LABELS, np.float32(LABELS != 0))
    batch.weights[1] = 0  # neither side of this row counts
    (mean, sums), (plain, bare) = (loss(halting, batch, f) for f in (penalised, translation))
    ponder = ponder_of(halting)
    costs = [
        np.where((SOURCE != 0) & [[True], [False], [True]], ponder.encoder.cost, 0).sum(),
        (ponder.decoder.cost * batch.weights).sum(),
    ]
    np.testing.assert_allclose(mean - plain, 0.5 * sum(costs) / batch.weights.sum(), rtol=1e-4)
    assert sums.nll == bare.nll and sums.tokens == bare.tokens
    assert objective_of(ACT) is penalised and objective_of(PLAIN) is translation


@pytest.mark.slow
def test_training_by_the_penalty_shortens_the_time(halting):
    """Each step against its gradient, by what is paid for time alone."""
    graph, params = split(halting)
    weights = np.float32(LABELS != 0)

    @jax.jit
    def slope(params):
        return jax.grad(
            lambda params: nnx.merge(graph, params).penalised(SOURCE, TARGET, weights)[1]
        )(params)

    def spent(params):
        found = nnx.merge(graph, params).ponder(SOURCE, TARGET)
        return float(sum((one.cost).sum() for one in found))

    before = spent(params)
    for _ in range(5):
        params = jax.tree.map(lambda p, g: p - 0.02 * g, params, slope(params))
    assert spent(params) < before - 1


@pytest.mark.slow
def test_what_is_asked_of_a_call_can_be_asked_with_the_penalty(halting):
    weights = np.float32(LABELS != 0)
    (logits, found), _ = halting.penalised(SOURCE, TARGET, weights, explain=True)
    np.testing.assert_array_equal(logits, logits_of(halting))
    assert set(found) == set(ACT.places())
    assert build(PLAIN).penalised(SOURCE, TARGET, weights)[1] == 0


def test_a_model_that_does_not_halt_has_no_ponder_time():
    with pytest.raises(ValueError, match="halting is 'none'.*encoder_steps, 3.*'act' would fit"):
        build(PLAIN).ponder(SOURCE, TARGET)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"encoder_steps": 0}, "encoder_steps is 0; it must be at least 1"),
        ({"width": 15, "heads": 3, "positions": "none"}, "width is 15; .* even"),
        ({"heads": 5}, "heads is 5, which does not divide width, 16"),
        ({"epsilon": 0.0}, "epsilon is 0.0; above 0 and less than 1"),
        ({"time_penalty": -0.5}, "time_penalty is -0.5"),
        ({"head_size": 3, "positions": "rotary"}, "positions is 'rotary'.* even head_size"),
        ({"halting": "soon"}, "halting is 'soon'; one of"),
    ],
)
def test_impossible_sizes_are_refused(change, words):
    with pytest.raises(ValueError, match=words):
        replace(PLAIN, **change)
