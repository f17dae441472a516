"""Writing down digits: what stands in a batch, what the figures say, and what does not fit."""

import json
from dataclasses import replace

import numpy as np
import pytest
from flax import nnx

from attention_jax.data.spoken_digits import WORDS
from attention_jax.models.places import Place
from attention_jax.tasks import speech
from attention_jax.tasks.run import load, run
from attention_jax.tasks.speech import batch_of, followed, looks, score, searched
from tests.tasks.family import FAMILY

TASK = FAMILY["speech"]


@pytest.fixture(scope="module")
def work():
    return TASK.work()


@pytest.fixture(scope="module")
def clips(work):
    return work.score.keywords["splits"]["test"]


def test_a_batch_asks_for_what_was_said(clips):
    batch = batch_of(clips)
    for row, tokens in enumerate(clips.tokens):
        said = tokens[tokens != 0]
        assert batch.target_in[row, : len(said)].tolist() == [1, *said[:-1]]
        assert not batch.target_in[row, len(said) :].any()
        assert batch.weights[row].tolist() == [1.0] * len(said) + [0.0] * (len(tokens) - len(said))
    assert all(array.dtype in (np.float32, np.int32) for array in batch)


def test_figures_of_a_model_that_knows_nothing_are_fit_for_json(work, clips, tmp_path):
    model = work.make_model(nnx.Rngs(0))
    assert model.config.vocabulary == 13
    found = json.loads(json.dumps(work.score(model, tmp_path)))
    assert found["test_digits"] < 0.6 and found["test_exact"] < 0.5
    assert set(found["following"]) == {"cross layer 1"}
    one = found["following"]["cross layer 1"]
    assert [len(one[name]) for name in ("forward", "inside", "order")] == [2, 2, 2]
    # What knows nothing looks everywhere nearly alike.
    np.testing.assert_allclose(one["inside"], one["uniform"], atol=0.15)
    wrong = (tmp_path / "mistakes.txt").read_text().split()
    assert len(wrong) > 1 and set(wrong) <= set(WORDS)
    weights = looks(model, clips)[Place("cross", 0)]
    assert weights.shape[:3] == (8, 2, 3)
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-5)
    assert set(followed(model, clips)) == set(looks(model, clips))
    assert searched(model, clips, TASK.data).shape == (8, TASK.data.longest)


def test_figures_of_what_is_heard(clips, tmp_path, monkeypatch):
    """With one replaced digit, the edits and the faults are those."""
    heard = clips.tokens.copy()
    heard[0, 0] = 3 + (heard[0, 0] - 2) % 10
    monkeypatch.setattr(speech, "searched", lambda *given: heard)
    monkeypatch.setattr(speech, "followed", lambda *given: {})
    found = score(None, tmp_path, splits={"validation": clips, "test": clips}, data=TASK.data)
    digits = int((clips.tokens > 2).sum())
    assert found["test_digits"] == 1 - 1 / digits and found["test_exact"] == 7 / 8
    assert len((tmp_path / "mistakes.txt").read_text().split("\n")) == 3


@pytest.mark.slow
def test_a_run_is_recorded_and_loaded(tmp_path):
    task = replace(TASK, training=replace(TASK.training, steps=2), name="short")
    record = run(task, tmp_path / "run", quiet=True)
    assert record["steps"] == 2 and "test_digits" in record
    assert load(tmp_path / "run").task == task


def test_a_model_that_cannot_hear_or_write_the_clips_is_refused():
    with pytest.raises(ValueError, match="model.context is 4, but 9 digits in words .* 10 tokens"):
        replace(TASK, data=replace(TASK.data, digits=9))
    with pytest.raises(ValueError, match="model.mels is 8 and data.mels 9"):
        replace(TASK, data=replace(TASK.data, mels=9))
