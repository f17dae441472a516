"""A member of a population that goes wrong, and what the others notice of it."""

from functools import partial

import jax
import numpy as np
import pytest

from attention_jax.models.transformer import Transformer, TransformerConfig
from attention_jax.training.checkpoint import digest
from attention_jax.training.optimizer import OptimizerConfig
from attention_jax.training.population import PopulationPrograms, Traits
from tests.training.test_step import copying, spoiled

CONFIG = TransformerConfig(
    vocabulary=11,
    width=8,
    encoder_layers=1,
    decoder_layers=1,
    heads=2,
    feed_forward=8,
    dropout=0.1,
)
SEEDS = (3, 5)
LOST = 1


@pytest.fixture(scope="module", params=[1, 2], ids="{} devices".format)
def programs(request):
    """Two members with seeds and rates of their own, on one device or on two."""
    return PopulationPrograms(
        lambda rngs: Transformer(CONFIG, rngs=rngs),
        OptimizerConfig(peak=0.01, warmup=2),
        [Traits(None, rate, seed) for rate, seed in zip((1, 0.5), SEEDS, strict=True)],
        slices=2,
        steps=10,
        smoothing=0.1,
        rng="threefry2x32",
        devices=jax.devices()[: request.param],
    )


def train(programs, batches, spoil=lambda params: params):
    """(states, metrics) of the members after each of the steps; `spoil` changes the lost one's."""
    starts = [jax.device_get(programs.single.start(seed)) for seed in SEEDS]
    starts[LOST] = starts[LOST]._replace(params=spoil(starts[LOST].params))
    state, found = programs.stack(starts), []
    for batch in batches:
        state, metrics = programs.train(state, programs.batch(batch))
        found.append((programs.unstack(state), programs.unstack(metrics)))
    return starts, found


def test_weights_that_are_not_finite_stay_where_they_are(programs):
    batches = [dict.fromkeys(SEEDS, copying())] * 3
    _, sound = train(programs, batches)
    starts, found = train(programs, batches, partial(jax.tree.map, lambda x: x * np.float32("nan")))
    for (states, metrics), (wanted, _) in zip(found, sound, strict=True):
        assert [bool(one.sound) for one in metrics] == [True, False]
        assert np.isnan(metrics[LOST].loss) and np.isfinite(metrics[0].loss)
        assert digest(states[0]) == digest(wanted[0])
        assert digest(states[LOST][:4]) == digest(starts[LOST][:4])


def test_a_bad_batch_stops_its_member_alone(programs):
    good, bad = copying(), spoiled(copying())
    batches = [{SEEDS[0]: good, SEEDS[LOST]: one} for one in (good, bad, good)]
    _, sound = train(programs, [dict.fromkeys(SEEDS, good)] * 3)
    _, found = train(programs, batches)
    assert [[bool(one.sound) for one in metrics] for _, metrics in found] == [
        [True, True],
        [True, False],
        [True, False],
    ]
    for (states, _), (wanted, _) in zip(found, sound, strict=True):
        assert digest(states[0]) == digest(wanted[0])
        assert digest(states[LOST][:4]) == digest(found[0][0][LOST][:4])
    assert np.isfinite(found[2][1][LOST].loss)  # of a batch that is fine, on the state before
