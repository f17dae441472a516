"""Replay finds what was not finite, where it is."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from attention_jax.data import Batch, Tokenizer
from attention_jax.functional.layers import dropout
from attention_jax.models.transformer import Transformer, TransformerConfig
from attention_jax.training import checkpoint
from attention_jax.training.optimizer import OptimizerConfig
from attention_jax.training.programs import Programs
from attention_jax.training.replay import account, replay

SENTENCES = ["the cat", "a red dog", "the house", "the big cat"]
RECORD = {"step": 7, "loss": "nan", "gradient_norm": "nan"}


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.train(SENTENCES, 300)


@pytest.fixture(scope="module")
def batch(tokenizer):
    ids = [tokenizer.encode(text) for text in SENTENCES]
    found = np.zeros((3, len(ids), 12), np.int32)
    weights = np.zeros(found.shape[1:], np.float32)
    for row, tokens in enumerate(ids):
        found[:2, row, : len(tokens) + 1] = [[*tokens, 2], [*tokens, 2]]
        found[2, row, : len(tokens) + 1] = [1, *tokens]
        weights[row, : len(tokens) + 1] = 1
    return Batch(source=found[0], target_in=found[2], target_out=found[1], weights=weights)


def programs_of(make_model):
    optimizer = OptimizerConfig(warmup=2)
    return Programs(make_model, optimizer, steps=10, smoothing=0.1, rng="rbg")


class Toy(nnx.Module):
    """Logits from a table of what stands before, through a function that may spoil them."""

    def __init__(self, through, dtype, size, rngs):
        table = 0.1 * jax.random.normal(rngs.params(), (size, size)) + 2
        self.table, self.through = nnx.Param(table.astype(dtype)), through

    def __call__(self, source, target_in, *, rng=None):
        return self.through(self.table[target_in], rng)


def toy(through, tokenizer, dtype=jnp.float32):
    return programs_of(lambda rngs: Toy(through, dtype, tokenizer.size, rngs))


@pytest.fixture(scope="module")
def programs(tokenizer):
    """Logits with dropout, and nothing wrong with them."""
    return toy(lambda logits, rng: dropout(logits, 0.5, rng), tokenizer)


@pytest.fixture(scope="module")
def transformer(tokenizer):
    config = TransformerConfig(
        vocabulary=tokenizer.size,
        width=8,
        encoder_layers=1,
        decoder_layers=1,
        heads=2,
        feed_forward=8,
        dropout=0.1,
        tied=False,
    )
    return programs_of(lambda rngs: Transformer(config, rngs=rngs))


def put_aside(folder, state, batch, *, step=7):
    tree = {"state": state, "batch": batch._asdict()}
    checkpoint.write(folder / "bad" / str(step), tree, RECORD | {"step": step})


def replayed(folder, programs, tokenizer, **settings):
    found = replay(folder, programs, tokenizer, smoothing=0.1, rng="rbg", **settings)
    json.dumps(found, allow_nan=False)
    return found, account(found)


def test_the_same_loss_on_the_same_dropout(programs, tokenizer, batch, tmp_path):
    state = jax.device_get(programs.start(3))
    state = state._replace(step=np.int32(6), sound=np.bool_(False))
    put_aside(tmp_path, state, batch)
    found, said = replayed(tmp_path, programs, tokenizer)
    alive = jax.device_put(state._replace(sound=np.bool_(True)), may_alias=False)
    _, metrics = programs.step(alive, batch)
    assert found["loss"] == pytest.approx(float(metrics.loss), rel=1e-6)
    assert found["gradient_norm"] == pytest.approx(float(metrics.gradient_norm), rel=1e-5)
    assert found["finite"] and "finite here" in said and "nan and nan; here" not in said
    assert found["recorded"] == RECORD
    for name in ("parameters", "moments", "gradients", "rows"):
        assert found[name] == []
    put_aside(tmp_path, state._replace(step=np.int32(8)), batch, step=9)
    newest, _ = replayed(tmp_path, programs, tokenizer)
    assert newest["step"] == 9 and newest["loss"] != found["loss"]  # other logits dropped
    assert replayed(tmp_path, programs, tokenizer, step=7)[0] == found


def test_weights_that_were_bad_already_and_who_reads_them(transformer, tokenizer, batch, tmp_path):
    state = jax.device_get(transformer.start(3))
    house, *_ = set(batch.source[2]) - set(batch.source[[0, 1, 3]].flatten())
    table = state.params["source_embedding"]["table"].copy()
    table[house, 2] = np.nan
    state.params["source_embedding"]["table"] = table
    put_aside(tmp_path, state, batch)
    found, said = replayed(tmp_path, transformer, tokenizer)
    leaf = {"name": "source_embedding.table", "bad": 1, "of": table.size}
    assert found["parameters"] == [leaf] and not found["finite"]
    assert f"before this batch: source_embedding.table (1 of {table.size})" in said
    assert {leaf["name"] for leaf in found["gradients"]} > {"source_embedding.table"}
    assert [(row["row"], row["source"]) for row in found["rows"]] == [(2, "the house")]
    assert found["loss"] == "nan" and 0 < found["largest_logit"] < 100
    assert found["bad_logits"] == batch.weights[2].sum() * tokenizer.size
    assert "are not finite" in said.splitlines()[-2]
    assert found["finite_without_dropout"] is False and found["finite_in_float32"] is None


def test_rows_that_spoil_the_loss_are_named(programs, tokenizer, batch, tmp_path):
    state = jax.device_get(programs.start(3))
    weights = batch.weights.copy()
    weights[1, 2], weights[3, 0] = np.nan, np.inf
    source = batch.source.copy()
    source[3, 1] = tokenizer.size
    put_aside(tmp_path, state, batch._replace(weights=weights, source=source))
    found, said = replayed(tmp_path, programs, tokenizer)
    one, other = found["rows"]
    assert one == {"row": 1, "loss": "nan", "source": "a red dog", "target": "a red dog"}
    assert other["row"] == 3 and f"token {tokenizer.size} is not in the" in other["source"]
    assert found["parameters"] == found["moments"] == [] and found["gradients"]
    assert "not finite: 2\n  1: 'a red dog' -> 'a red dog'\n  3: " in said


def test_moments_that_were_bad_already(programs, tokenizer, batch, tmp_path):
    state = jax.device_get(programs.start(3))
    spoil = lambda x: x / np.float32(0) if x.dtype == np.float32 and x.ndim == 2 else x  # noqa: E731
    with np.errstate(all="ignore"):
        state = state._replace(optimizer=jax.tree.map(spoil, state.optimizer))
    put_aside(tmp_path, state, batch)
    found, said = replayed(tmp_path, programs, tokenizer)
    assert found["finite"] and found["parameters"] == []
    assert all(leaf["bad"] == leaf["of"] for leaf in found["moments"]) and found["moments"]
    assert "the optimizer's moments that were not finite" in said


def test_dropout_alone(tokenizer, batch, tmp_path):
    def divide(logits, rng):
        return logits / dropout(jnp.ones_like(logits), 0.5, rng)

    programs = toy(divide, tokenizer)
    put_aside(tmp_path, jax.device_get(programs.start(3)), batch)
    found, said = replayed(tmp_path, programs, tokenizer)
    assert not found["finite"] and found["bad_logits"] > 0 and len(found["rows"]) == 4
    assert found["finite_without_dropout"] is True
    assert "without dropout the loss is finite" in said


def test_a_gradient_alone(tokenizer, batch, tmp_path):
    programs = toy(lambda logits, _: jnp.sqrt(logits - jax.lax.stop_gradient(logits)), tokenizer)
    put_aside(tmp_path, jax.device_get(programs.start(3)), batch)
    found, said = replayed(tmp_path, programs, tokenizer)
    assert isinstance(found["loss"], float) and found["rows"] == [] and not found["finite"]
    (leaf,) = found["gradients"]
    assert leaf["name"] == "table" and 0 < leaf["bad"] <= leaf["of"]
    assert f"gradients that are not finite: table ({leaf['bad']} of" in said


def test_a_norm_alone(tokenizer, batch, tmp_path):
    def steep(logits, _):
        return logits + (logits - jax.lax.stop_gradient(logits)) * 1e25

    programs = toy(steep, tokenizer)
    put_aside(tmp_path, jax.device_get(programs.start(3)), batch)
    found, said = replayed(tmp_path, programs, tokenizer)
    table = np.asarray(programs.start(3).params["table"])
    assert found["largest_parameter"] == {"name": "table", "value": np.abs(table).max()}
    assert f"largest |parameter|: {np.abs(table).max():.3g}, in table" in said
    assert found["gradient_norm"] == "inf" and found["gradients"] == found["rows"] == []
    assert "every gradient is finite, but not their sum or norm" in said


def test_a_dtype_too_narrow(tokenizer, batch, tmp_path):
    programs = toy(lambda logits, _: logits * 2**15, tokenizer, jnp.float16)
    put_aside(tmp_path, jax.device_get(programs.start(3)), batch)
    found, said = replayed(tmp_path, programs, tokenizer)
    assert not found["finite"] and found["finite_without_dropout"] is False
    assert found["finite_in_float32"] is True and "in float32 the loss is finite" in said


def test_text_does_not_steer_the_terminal(programs, tokenizer, batch, tmp_path):
    source, weights = batch.source.copy(), batch.weights.copy()
    hostile = tokenizer.encode("\x1b[2J")
    source[0, : len(hostile)], weights[0] = hostile, np.nan
    put_aside(
        tmp_path, jax.device_get(programs.start(3)), batch._replace(source=source, weights=weights)
    )
    found, said = replayed(tmp_path, programs, tokenizer)
    assert "\x1b" in found["rows"][0]["source"] and "\x1b" not in said and r"\x1b[2J" in said


def test_refuses_what_was_not_put_aside(programs, transformer, tokenizer, batch, tmp_path):
    with pytest.raises(ValueError, match="bad holds no batch: none was put aside"):
        replayed(tmp_path, programs, tokenizer)
    state = jax.device_get(programs.start(3))
    put_aside(tmp_path, state, batch)
    with pytest.raises(ValueError, match="no batch of step 8; there is: 7"):
        replayed(tmp_path, programs, tokenizer, step=8)
    checkpoint.write(tmp_path / "bad" / "8", {"state": state}, RECORD)
    with pytest.raises(ValueError, match="8 holds no batch that was put aside"):
        replayed(tmp_path, programs, tokenizer)
    with pytest.raises(ValueError, match="another model"):
        replayed(tmp_path, transformer, tokenizer, step=7)


def test_no_logit_at_all(tokenizer, batch, tmp_path):
    programs = toy(lambda logits, _: logits / 0, tokenizer)
    put_aside(tmp_path, jax.device_get(programs.start(3)), batch)
    found, said = replayed(tmp_path, programs, tokenizer)
    assert found["largest_logit"] is None and "largest |logit|: none; " in said
