"""One step of training: what it changes, and that it learns."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from attention_jax.data.batches import Batch
from attention_jax.models.transformer import Transformer, TransformerConfig
from attention_jax.training.checkpoint import digest
from attention_jax.training.optimizer import OptimizerConfig, make_optimizer
from attention_jax.training.step import (
    initial_state,
    make_eval_step,
    make_train_step,
    split,
    train_step,
)

CONFIG = TransformerConfig(
    vocabulary=11,
    width=16,
    encoder_layers=1,
    decoder_layers=1,
    heads=2,
    feed_forward=32,
    dropout=0.1,
)
OPTIMIZER = optax.adam(1e-2)


def make_model(rngs):
    return Transformer(CONFIG, rngs=rngs)


def copying(rows=8, length=6, padding=0):
    """Batches whose target is the source."""
    ids = np.random.default_rng(0).integers(3, 11, (rows, length)).astype(np.int32)
    weights = np.ones(ids.shape, np.float32)
    if padding:
        ids[:, -padding:], weights[:, -padding:] = 0, 0
    start = np.ones((rows, 1), np.int32)
    return Batch(ids, np.concatenate([start, ids[:, :-1]], 1), ids, weights)


@pytest.fixture(scope="module")
def programs():
    graph, _ = split(nnx.eval_shape(lambda: make_model(nnx.Rngs(0))))
    start = jax.jit(lambda seed: initial_state(make_model, OPTIMIZER, seed))
    return start, make_train_step(graph, OPTIMIZER, smoothing=0.1), make_eval_step(graph)


def test_a_bfloat16_step_keeps_all_that_lasts_in_float32():
    graph, _ = split(nnx.eval_shape(lambda: make_model(nnx.Rngs(0))))
    states = {}
    for compute in ("float32", "bfloat16"):
        step = train_step(graph, OPTIMIZER, smoothing=0.1, rng="rbg", compute=compute)
        state = initial_state(make_model, OPTIMIZER, 0)
        states[compute] = jax.eval_shape(step, state, copying())
        text = str(jax.make_jaxpr(step)(state, copying()))
        assert ("bf16[" in text) == (compute == "bfloat16")
    assert states["bfloat16"] == states["float32"]
    floats = {x.dtype for x in jax.tree.leaves(states["bfloat16"]) if x.dtype.kind == "f"}
    assert floats == {np.dtype("float32")}


def test_training_lowers_the_loss(programs):
    start, train, evaluate = programs
    batch, state = copying(), start(0)
    before = evaluate(state.params, batch)
    for _ in range(60):
        state, metrics = train(state, batch)
    after = evaluate(state.params, batch)
    assert int(state.step) == 60
    assert after.nll / after.tokens < 0.5 * before.nll / before.tokens
    assert np.isfinite(metrics.gradient_norm)


def test_a_seed_decides_everything(programs):
    start, train, _ = programs
    one, same, other = (train(start(seed), copying())[0].params for seed in (3, 3, 4))
    jax.tree.map(np.testing.assert_array_equal, one, same)
    table = "source_embedding"
    assert not np.allclose(one[table]["table"], other[table]["table"])


def test_padding_does_not_count(programs):
    start, _, evaluate = programs
    params = start(0).params
    padded = copying(padding=2)
    short = Batch(*(leaf[:, :-2] for leaf in padded))
    one, other = evaluate(params, padded), evaluate(params, short)
    np.testing.assert_allclose(one.nll, other.nll, rtol=1e-5)
    assert one.tokens == other.tokens == 8 * 4


def test_a_batch_of_padding_has_no_loss_and_no_nan(programs):
    start, train, _ = programs
    batch = copying()
    empty = Batch(*(np.zeros_like(leaf) for leaf in batch))
    state, metrics = train(start(0), empty)
    assert metrics.loss == metrics.tokens == metrics.gradient_norm == 0
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state.params))


class Root(nnx.Module):
    """Its logits hold a square root, of 0 where the source holds a 3: finite, but with no slope."""

    def __init__(self, rngs):
        self.table = nnx.Param(jax.random.normal(rngs.params(), (11, 11)))
        self.factor = nnx.Param(jnp.ones(()))

    def __call__(self, source, target_in, *, rng=None):
        return self.table[target_in] + jnp.sqrt(self.factor[...] * (source.min() - 3))


def without_threes():
    batch = copying()
    return batch._replace(source=np.maximum(batch.source, 4))


def spoiled(batch):
    weights = batch.weights.copy()
    weights[3, 2] = np.nan
    return batch._replace(weights=weights)


@pytest.mark.parametrize("config", [{}, {"clip": None, "weight_decay": 0.1}, {"accumulate": 2}])
@pytest.mark.parametrize(
    ("bad", "culprits"),
    [(spoiled(without_threes()), {"loss", "gradient_norm"}), (copying(), {"gradient_norm"})],
    ids=["loss", "gradient"],
)
def test_what_is_not_finite_changes_no_bit(bad, culprits, config):
    optimizer = make_optimizer(OptimizerConfig(peak=0.01, warmup=2, **config), 10)
    graph, _ = split(nnx.eval_shape(lambda: Root(nnx.Rngs(0))))
    train = jax.jit(train_step(graph, optimizer, smoothing=0.1, rng="rbg"))
    good = without_threes()
    state, metrics = train(initial_state(Root, optimizer, 5), good)
    assert metrics.sound and state.sound
    before = state
    state, metrics = train(state, bad)
    found = {name for name in ("loss", "gradient_norm") if not np.isfinite(getattr(metrics, name))}
    assert found == culprits
    assert not metrics.sound and not state.sound
    state, metrics = train(state, good)  # the host has not looked yet
    assert np.isfinite(metrics.loss) and not metrics.sound
    assert digest(state[:4]) == digest(before[:4])
    # It has, and leaves the batch out: as if the next one had come in its place.
    going_on = {"sound": jnp.ones((), bool), "step": before.step + 1}
    after, metrics = train(state._replace(**going_on), good)
    wanted, _ = train(before._replace(**going_on), good)
    assert metrics.sound and digest(after) == digest(wanted) != digest(before)


def test_only_the_guard_keeps_it_out(programs):
    start, guarded, _ = programs
    graph, _ = split(nnx.eval_shape(lambda: make_model(nnx.Rngs(0))))
    bare = jax.jit(train_step(graph, OPTIMIZER, smoothing=0.1, rng="rbg", guarded=False))
    found = []
    for step in (guarded, bare):
        state = start(5)
        for _ in range(4):
            state, _ = step(state, copying())
        found.append((digest(state), step(state, spoiled(copying()))[0].params))
    (one, kept), (other, lost) = found
    assert one == other  # a guarded step that is sound gives the bits of a bare one
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(kept))
    assert not any(np.isfinite(leaf).all() for leaf in jax.tree.leaves(lost))
