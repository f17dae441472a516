"""One step of training: what it changes, and that it learns."""

import jax
import numpy as np
import optax
import pytest
from flax import nnx

from attention_jax.data.batches import Batch
from attention_jax.models.transformer import Transformer, TransformerConfig
from attention_jax.training.step import (
    initial_state,
    make_eval_step,
    make_train_step,
    split,
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
