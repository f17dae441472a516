"""The loss by chunks of the vocabulary against the whole one, and against plain float64."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from attention_jax.comparison import populations
from attention_jax.data.batches import Batch
from attention_jax.experiment import Experiment, programs_of
from attention_jax.models.kinds import KINDS
from attention_jax.models.transformer import Transformer, TransformerConfig
from attention_jax.parallel.layout import Layout
from attention_jax.parallel.mesh import MeshPrograms
from attention_jax.tasks import run
from attention_jax.training.chunked_loss import Head, chunked_cross_entropy
from attention_jax.training.loss import smoothed_cross_entropy
from attention_jax.training.objective import in_chunks, objective_of, translation
from attention_jax.training.optimizer import OptimizerConfig
from attention_jax.training.programs import Programs
from attention_jax.training.step import split
from attention_jax.training.training_config import TrainingConfig

DRAW = np.random.default_rng(0)
ROWS = DRAW.normal(size=(2, 5, 6))
TABLE, BIAS = 3 * DRAW.normal(size=(11, 6)), DRAW.normal(size=11)
LABELS = DRAW.integers(0, 11, (2, 5))
WEIGHTS = np.array([[1, 1, 0.5, 0, 1], [1, 0, 0, 0, 2]], np.float32)


def defined(rows, table, bias, smoothing):
    """Loss, nll and the gradient of loss + nll / 2 by rows, table and bias, in plain float64."""
    logits = rows @ table.T + bias
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    one_hot = np.eye(11)[LABELS]
    targets = (1 - smoothing) * one_hot + smoothing / 11
    loss = -(targets * log_p).sum(-1) * WEIGHTS
    nll = -(one_hot * log_p).sum(-1) * WEIGHTS
    d_logits = (1.5 * np.exp(log_p) - targets - one_hot / 2) * WEIGHTS[..., None]
    d_table = np.einsum("btv,btd->vd", d_logits, rows)
    return loss.sum(), nll.sum(), (d_logits @ table, d_table, d_logits.sum((0, 1)))


# Of 11 tokens: chunks that divide them, that do not, and one that holds them all.
@pytest.mark.parametrize(("chunk", "smoothing"), [(1, 0.3), (4, 0.0), (4, 0.3), (64, 0.3)])
def test_agrees_with_float64_and_so_do_its_gradients(chunk, smoothing):
    def cost(rows, table, bias):
        head = Head(rows, table, bias)
        sums = chunked_cross_entropy(head, LABELS, WEIGHTS, chunk=chunk, smoothing=smoothing)
        return sums.loss + sums.nll / 2, sums

    given = [jnp.asarray(x, jnp.float32) for x in (ROWS, TABLE, BIAS)]
    (_, sums), found = jax.value_and_grad(cost, (0, 1, 2), has_aux=True)(*given)
    loss, nll, wanted = defined(ROWS, TABLE, BIAS, smoothing)
    np.testing.assert_allclose(sums.loss, loss, rtol=1e-5)
    np.testing.assert_allclose(sums.nll, nll, rtol=1e-5)
    assert sums.tokens == WEIGHTS.sum()
    for mine, theirs in zip(found, wanted, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5)


def test_bfloat16_rows_are_summed_in_float32():
    rows, table = jnp.asarray(ROWS, jnp.bfloat16), jnp.asarray(TABLE, jnp.bfloat16)
    exact = defined(*(np.asarray(x, np.float64) for x in (rows, table)), 0.0, 0.1)
    sums = chunked_cross_entropy(Head(rows, table), LABELS, WEIGHTS, chunk=4, smoothing=0.1)
    assert sums.loss.dtype == jnp.float32
    np.testing.assert_allclose(sums.loss, exact[0], rtol=1e-5)  # bfloat16 logits: off by 1e-3

    def cost(rows, table):
        head = Head(rows, table)
        return chunked_cross_entropy(head, LABELS, WEIGHTS, chunk=4, smoothing=0.1).loss

    found = jax.grad(cost, (0, 1))(rows, table)
    assert [x.dtype for x in found] == [jnp.bfloat16, jnp.bfloat16]


def test_what_has_no_weight_has_no_gradient_and_may_have_any_label():
    def cost(rows, labels):
        head = Head(rows, jnp.asarray(TABLE, jnp.float32))
        return chunked_cross_entropy(head, labels, WEIGHTS, chunk=4).loss

    rows = jnp.asarray(ROWS, jnp.float32)
    value, gradient = jax.value_and_grad(cost)(rows, LABELS)
    assert (np.asarray(gradient)[WEIGHTS == 0] == 0).all()
    assert value == cost(rows, np.where(WEIGHTS == 0, -1, LABELS))


def test_logits_as_high_as_float32_goes_give_finite_losses():
    table = jnp.asarray(TABLE * 1e4, jnp.float32)
    head = Head(jnp.asarray(ROWS, jnp.float32), table)
    found = chunked_cross_entropy(head, LABELS, WEIGHTS, chunk=4, smoothing=0.1)
    whole = smoothed_cross_entropy(head.rows @ table.T, LABELS, WEIGHTS, smoothing=0.1)
    np.testing.assert_allclose(found.loss, whole.loss, rtol=1e-6)


def test_no_array_of_all_logits_is_made():
    rows, table = jnp.ones((64, 4)), jnp.ones((512, 4))
    labels, weights = jnp.zeros(64, int), jnp.ones(64)

    def by_chunks(rows, table):
        return chunked_cross_entropy(Head(rows, table), labels, weights, chunk=32).loss

    def whole(rows, table):
        return smoothed_cross_entropy(rows @ table.T, labels, weights).loss

    found = [
        jax.jit(jax.grad(cost, (0, 1))).lower(rows, table).compile().memory_analysis()
        for cost in (by_chunks, whole)
    ]
    logits = 64 * 512 * 4
    assert found[0].temp_size_in_bytes < logits / 2 < logits <= found[1].temp_size_in_bytes


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"chunk": 0}, "chunk is 0; at least 1"),
        ({"smoothing": 1.0}, "smoothing is 1.0"),
        ({"labels": LABELS[:1]}, r"labels \(1, 5\)"),
        ({"head": Head(jnp.ones((2, 5, 4)), jnp.ones((11, 6)))}, r"rows \(2, 5, 4\), table \(11"),
        ({"head": Head(jnp.ones((2, 5, 6)), jnp.ones((11, 6)), jnp.ones(6))}, r"bias \(6,\)"),
    ],
)
def test_refuses_what_does_not_fit(change, message):
    fits = {"head": Head(jnp.ones((2, 5, 6)), jnp.ones((11, 6))), "labels": LABELS, "chunk": 4}
    given = fits | {"weights": WEIGHTS} | change
    with pytest.raises(ValueError, match=message):
        chunked_cross_entropy(given.pop("head"), given.pop("labels"), given.pop("weights"), **given)


# In training.

CONFIG = TransformerConfig(
    vocabulary=13, width=8, encoder_layers=1, decoder_layers=1, heads=2, feed_forward=16
)
TOKENS = DRAW.integers(3, 13, (4, 5)).astype(np.int32)
BATCH = Batch(TOKENS, TOKENS, TOKENS[:, ::-1].copy(), np.ones(TOKENS.shape, np.float32))


@pytest.mark.parametrize(
    "change", [{"tied": False, "norm": "pre"}, pytest.param({}, marks=pytest.mark.slow)]
)
def test_a_model_has_the_loss_and_gradient_that_it_has_from_all_logits(change):
    graph, params = split(Transformer(replace(CONFIG, **change), rngs=nnx.Rngs(0)))

    def gradient(objective, **settings):
        def cost(params):
            model = nnx.merge(graph, params)
            return objective(model, BATCH, rng=jax.random.key(1), smoothing=0.1, **settings).loss

        return jax.value_and_grad(cost)(params)

    jax.tree.map(
        lambda mine, theirs: np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5),
        gradient(in_chunks, chunk=5),
        gradient(translation),
    )


def test_what_a_model_explains_comes_beside():
    model = Transformer(CONFIG, rngs=nnx.Rngs(0))
    sums, seen = in_chunks(model, BATCH, chunk=5, explain=True)
    assert seen.cross.shape == (1, 4, 2, 5, 5)
    np.testing.assert_allclose(sums.nll, translation(model, BATCH).nll, rtol=1e-5)


@pytest.mark.slow
def test_rows_over_devices_give_the_step_of_one():
    settings = {"steps": 4, "smoothing": 0.1, "rng": "rbg", "objective": objective_of(CONFIG, 5)}

    def make_model(rngs):
        return Transformer(CONFIG, rngs=rngs)

    found = []
    layout = {"layout": Layout(data=2), "devices": jax.devices()[:2]}
    for kind, more in ((Programs, {}), (MeshPrograms, layout)):
        programs = kind(make_model, OptimizerConfig(), **settings, **more)
        found.append(programs.step(programs.start(0), BATCH)[1])
    for name in ("loss", "nll", "gradient_norm"):
        np.testing.assert_allclose(*(getattr(metrics, name) for metrics in found), rtol=1e-5)


def test_kinds_without_a_head_are_refused_by_name():
    assert objective_of(KINDS["bahdanau"]()) is translation
    for kind in KINDS.keys() - {"transformer"}:
        with pytest.raises(ValueError, match=f"vocabulary_chunk is 4.*None would fit {kind}"):
            objective_of(KINDS[kind](), 4)


@pytest.mark.parametrize("cut", [{"model": 2}, {"fsdp": 2}, {"data": 2, "sequence": 2}])
def test_models_that_are_cut_are_refused_by_name(cut):
    vocabulary: Any = SimpleNamespace(size=13)
    one = Experiment(model=CONFIG, training=TrainingConfig(vocabulary_chunk=4))
    with pytest.raises(ValueError, match="vocabulary_chunk is 4.*cuts this one: None, or an axis"):
        programs_of(one, vocabulary, Layout(**cut))


def test_what_holds_all_logits_refuses_chunks_by_name():
    training = TrainingConfig(vocabulary_chunk=4)
    task: Any = SimpleNamespace(training=training, kind="language")
    with pytest.raises(ValueError, match="None would fit the task language"):
        run.programs_of(task, Any)
    with pytest.raises(ValueError, match="members of a population hold all logits"):
        populations.check([Experiment(training=training)])


def test_a_config_refuses_chunks_of_nothing():
    with pytest.raises(ValueError, match="vocabulary_chunk is 0; at least 1, or None"):
        TrainingConfig(vocabulary_chunk=0)
