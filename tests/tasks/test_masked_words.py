"""Masked words: what the figures say of a model that knows all, and what begins with a run."""

from dataclasses import replace

import jax
import numpy as np
import pytest
from flax import nnx

from attention_jax.data.labelled_text import LabelledTextConfig
from attention_jax.data.masked_text import MaskedTextConfig, read_masked_text
from attention_jax.data.tagged_text import TaggedTextConfig
from attention_jax.models.encoder_only_config import EncoderOnlyConfig
from attention_jax.tasks import masked_words_score
from attention_jax.tasks.masked_words import MaskedWordsTask
from attention_jax.tasks.run import load, run
from attention_jax.tasks.sentences import SentencesTask
from attention_jax.tasks.tags import TagsTask, f1
from attention_jax.training.optimizer import OptimizerConfig
from attention_jax.training.step import split
from attention_jax.training.training_config import TrainingConfig

ENCODER = EncoderOnlyConfig(
    width=16, layers=1, heads=2, feed_forward=24, context=40, epsilon=1e-6, dropout=0.0
)
RATE = OptimizerConfig(peak=0.01, warmup=10, schedule="cosine")
TRAINING = TrainingConfig(
    steps=60,
    smoothing=0.0,
    log_every=60,
    evaluate_every=60,
    checkpoint_every=60,
    optimizer=RATE,
)
COLOURS = (("red", "rot"), ("blue", "blau"), ("green", "gruen"), ("old", "alt"))


@pytest.fixture
def text(tmp_path):
    """Two languages that translate word by word."""
    return translated(tmp_path, 200)


def translated(folder, sentences):
    draw = np.random.default_rng(0)
    for split_name, count in (("train", sentences), ("val", 24), ("test", 24)):
        chosen = [[COLOURS[n] for n in draw.integers(0, 4, 5)] for _ in range(count)]
        for side, ending in enumerate(("en", "de")):
            lines = (" ".join(pair[side] for pair in one) for one in chosen)
            (folder / f"{split_name}.{ending}").write_text("\n".join(lines) + "\n")
    return MaskedTextConfig(str(folder), other="de", vocabulary=320, max_length=20, rows=32)


def test_hidden_words_are_scored_alone_and_beside_their_translation(text, monkeypatch):
    found = read_masked_text(text)
    task = MaskedWordsTask(data=text, model=ENCODER)
    model = nnx.jit(lambda: task.work().make_model(nnx.Rngs(0)))()
    seen = []

    def knows(model, hidden):
        """Reads every word off the translation, if there is one."""
        seen.append(hidden)
        second = hidden.types == 1
        tokens = {found.tokenizer.encode(a)[0]: found.tokenizer.encode(b)[0] for b, a in COLOURS}
        told = np.zeros(len(hidden.tokens), int)
        for row, place in enumerate(hidden.places[:, 0]):
            there = np.flatnonzero(
                second[row] & (hidden.positions[row] == hidden.positions[row, place])
            )
            told[row] = tokens.get(int(hidden.tokens[row, there[0]]), 0) if len(there) else 0
        return told

    assert all(len(found.tokenizer.encode(word)) == 1 for pair in COLOURS for word in pair)
    monkeypatch.setattr(masked_words_score, "told", knows)
    figures = masked_words_score.score(found, model)["test"]
    assert figures["hidden_words"] == 3 * 24
    assert figures["told"] == 0 and figures["told_beside_translation"] == 1
    assert set(figures["told_by_counts"]) == {"most_frequent", "left", "right", "chain", "both"}
    assert figures["translation_found"]["among"] == 24
    for one in seen:
        assert ((one.tokens == found.mask).sum(1) == 1).all()


@pytest.mark.slow
def test_a_word_is_read_off_its_translation(tmp_path):
    """Where to look is learned after a plateau; at three times the rate 500 steps are too few."""
    text = translated(tmp_path, 400)
    task = MaskedWordsTask(
        data=replace(text, share=0.3),
        model=replace(ENCODER, width=32, feed_forward=64),
        training=replace(TRAINING, steps=1_200, optimizer=replace(RATE, peak=0.003)),
    )
    figures = run(task, tmp_path / "run", quiet=True)["test"]
    assert figures["told"] < 0.45  # one of four, drawn
    assert figures["told_beside_translation"] > 0.9


@pytest.mark.parametrize(
    ("task", "data"),
    [
        (SentencesTask, LabelledTextConfig(limit=64, vocabulary=300, max_length=40)),
        pytest.param(
            TagsTask,
            TaggedTextConfig(limit=64, vocabulary=300, max_length=40),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_run_begins_with_the_encoder_and_the_tokens_of_another(task, data, text, tmp_path):
    from attention_jax.tasks.run import programs_of

    first = MaskedWordsTask(
        data=replace(text, other=None), model=ENCODER, training=replace(TRAINING, steps=2)
    )
    run(first, tmp_path / "first", quiet=True)
    mine = task(data=replace(data, max_length=40), model=ENCODER, begin=tmp_path / "first")
    work = mine.work()
    fresh = jax.device_get(programs_of(mine, work).start(3))
    begun = work.begin(fresh)
    trained = split(load(tmp_path / "first").model)[1]
    jax.tree.map(np.testing.assert_array_equal, begun.params["encoder"], trained["encoder"])
    assert set(begun.params) == set(fresh.params) > {"encoder"}
    wide = task(data=data, model=replace(ENCODER, width=32), begin=tmp_path / "first")
    with pytest.raises(ValueError, match="model.width is 32, and 16 in the run that begin names"):
        wide.work().begin(fresh)
    with pytest.raises(ValueError, match="which is no run of masked words"):
        task(data=data, model=ENCODER, begin=tmp_path / "nowhere").work()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"context": 8}, "at least data.max_length, 32"),
        ({"padding": 3}, "model.padding is 3"),
        ({"types": 1}, "model.types is 1; 2 languages"),
    ],
)
def test_encoders_that_cannot_read_the_text_are_refused(change, words):
    with pytest.raises(ValueError, match=words):
        MaskedWordsTask(data=MaskedTextConfig(other="de"), model=replace(ENCODER, **change))


def test_f1_by_hand():
    gold = [("B-PER", "I-PER", "O", "B-PLACE")]
    assert f1(gold, gold) == 1
    # One of two names is right, and one of the two told.
    assert f1(gold, [("B-PER", "O", "O", "B-PLACE")]) == 0.5
    assert f1(gold, [("B-PER", "O", "O", "B-PLACE")], "PLACE") == 1
    assert f1(gold, [("O", "O", "O", "O")]) == 0
