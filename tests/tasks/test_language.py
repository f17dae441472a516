"""Language modelling: what it costs, what it learns, and what it writes."""

import json
import math
from dataclasses import replace

import jax
import numpy as np
import pytest
from flax import nnx

from attention_jax import cli
from attention_jax.data.passages import PassagesConfig
from attention_jax.models.decoder_only import PRESETS, DecoderOnlyConfig
from attention_jax.tasks.language import LanguageTask, read_model
from attention_jax.tasks.language_loss import held_out_figures
from attention_jax.tasks.run import run
from attention_jax.training.optimizer import OptimizerConfig
from attention_jax.training.step import split
from attention_jax.training.training_config import TrainingConfig
from tests.models.decoder_only_oracle import logits as oracle

TEXT = "".join(f"{'abc' * n}.\n\n" for n in (1, 2, 3, 1, 3, 2)) * 40
SMALL = DecoderOnlyConfig(width=16, layers=1, heads=2, feed_forward=24, context=12)
TRAINING = TrainingConfig(
    steps=60,
    smoothing=0.0,
    evaluate_every=60,
    checkpoint_every=60,
    optimizer=OptimizerConfig(peak=0.02, warmup=5),
)


@pytest.fixture
def task(tmp_path):
    (tmp_path / "text.txt").write_text(TEXT, "utf-8")
    data = PassagesConfig(text=tmp_path / "text.txt", rows=4)
    return LanguageTask(data=data, model=SMALL, training=TRAINING, sample_tokens=9)


@pytest.mark.parametrize("packed", [False, True])
def test_figures_are_those_of_texts_one_by_one(task, packed):
    """Against NumPy, window by window or document by document, with no mask and no batch."""
    task = replace(task, data=replace(task.data, packed=packed, limit=300))
    work = task.work()
    graph, params = split(work.make_model(nnx.Rngs(1)))
    config = nnx.merge(graph, params).config
    assert config.vocabulary == 3 + 4 + (not packed)  # a b c . and, between texts, ends of lines
    nll, tokens = 0.0, 0
    for batch in work.validation:
        for row in zip(*batch, strict=True):
            segments = row[3] if packed else (row[2] > 0).astype(int)
            for one in range(1, segments.max() + 1):
                mine = segments == one
                logits, _ = oracle(config, params, row[0][mine])
                logits = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
                nll -= logits[np.arange(mine.sum()), row[1][mine]].sum()
                tokens += mine.sum()
    counted = sum(len(one) for one in read(task).validation)
    found = held_out_figures(
        nnx.merge(graph, params), work.objective, work.validation, characters=counted
    )
    np.testing.assert_allclose(found["perplexity"], math.exp(nll / tokens), rtol=1e-4)
    np.testing.assert_allclose(found["bits_per_character"], nll / math.log(2) / counted, rtol=1e-4)


def read(task):
    from attention_jax.data.passages import read_passages

    return read_passages(task.data)


def test_it_learns_what_comes_next_and_writes_it(task, tmp_path, capsys):
    folder = tmp_path / "run"
    record = run(replace(task, seed=1), folder, quiet=True)
    # After "abc" comes another or the end of a line; all else is sure.
    assert record["loss"] < 0.5 and record["perplexity"] < 1.7
    assert len((folder / "sample.txt").read_text("utf-8")) <= 10
    assert cli.main(["sample", "--run", str(folder), "--prompt", "abca", "--tokens", "2",
                     "--temperature", "0"]) == 0  # fmt: skip
    assert capsys.readouterr().out == "abcabc\n"
    options = ["--tokens", "30", "--count", "2", "--top-k", "3", "--top-p", "0.9", "--min-p", "0.1"]
    assert cli.main(["sample", "--run", str(folder), *options]) == 0
    said = capsys.readouterr().out
    assert set(said) <= set("abc.\n") and len(said) == 62
    for words, complaint in (
        (["--prompt", "xyz"], "'x', which is none of the 5"),
        (["--tokens", "0"], "tokens is 0"),
        (["--temperature", "-1"], "temperature is -1"),
    ):
        assert cli.main(["sample", "--run", str(folder), *words]) == 2
        assert complaint in capsys.readouterr().err
    own, codec, model = read_model(folder)
    assert own == replace(task, seed=1) and codec.size == 8 and model.config.context == 12


@pytest.mark.slow
def test_pieces_are_kept_and_cost_what_their_characters_cost(task, tmp_path):
    data = replace(task.data, tokens="pieces", vocabulary=270, packed=True)
    record = run(replace(task, data=data), tmp_path / "run", quiet=True)
    assert (tmp_path / "run" / "tokenizer.json").exists()
    bits = record["bits_per_character"]
    assert 0 < bits < math.log2(record["perplexity"])  # a piece has several characters
    assert read_model(tmp_path / "run")[1].encode("abc")


def test_the_folder_must_hold_a_language_model(tmp_path, capsys):
    assert cli.main(["sample", "--run", str(tmp_path)]) == 2
    assert "holds no run" in capsys.readouterr().err


def test_impossible_tasks_are_refused(task):
    for change, words in (({"seed": -1}, "seed is -1"), ({"sample_tokens": 0}, "sample_tokens")):
        with pytest.raises(ValueError, match=words):
            replace(task, **change)
    with pytest.raises(ValueError, match="need at least 2001"):
        replace(task, model=replace(SMALL, context=2_000)).work()


def test_the_published_settings_are_what_is_trained_unless_told():
    task = LanguageTask()
    assert task.model == PRESETS["gpt-shakespeare"] and task.data.rows == 12
    assert task.training.steps == 2_000 and task.training.smoothing == 0
    json.dumps(jax.tree.map(str, vars(task)))
