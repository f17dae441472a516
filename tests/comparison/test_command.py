"""What a command line asks for becomes runs, or one line that says why not."""

import json
import sys
from types import SimpleNamespace

import pytest

from attention_jax.comparison import command, populations, together
from attention_jax.comparison.command import main
from attention_jax.comparison.plan import lasting
from tests.comparison.grid import SENTENCE, SIZES, plan, variants
from tests.tiny_run import tiny, write_corpus


def test_every_field_is_an_option_and_the_rest_follows(corpus):
    words = ["--training.steps", 400, "--data.max-length", 12, "--model.width", 32, "--heads", 4, 1]
    found = plan(corpus, *words, "--seeds", 2)
    assert [one.name for one in found.experiments] == [
        "4-heads-s0",
        "1-head-s0",
        "4-heads-s1",
        "1-head-s1",
    ]
    one = found.experiments[-1]
    assert (one.seed, one.model.heads, one.model.width) == (1, 1, 32)
    assert (one.training.steps, one.training.evaluate_every, one.decoding.max_length) == (
        400,
        50,
        12,
    )
    # What is given is never changed.
    one = plan(
        corpus, *words, "--training.evaluate-every", 7, "--decoding.max-length", 9
    ).experiments[0]
    assert (one.training.evaluate_every, one.decoding.max_length) == (7, 9)


def test_sizes_seeds_and_sentences(corpus, tmp_path):
    found = plan(corpus, "--smoke", "--seeds", 3, 1)
    assert found.size == "smoke" and found.sentence == SENTENCE
    assert [(one.seed, one.training.steps) for one in found.experiments] == [(3, 2), (1, 2)]
    assert plan(corpus, "--smoke", "--training.steps", 6).experiments[0].training.steps == 6
    # Of another text the base's sentence is none.
    assert plan(corpus, "--data.corpus", write_corpus(tmp_path / "mine")).sentence is None
    assert plan(corpus, "--data.corpus", "x", "--sentence", "mine").sentence == "mine"
    assert plan(corpus, "--model.preset", "base").experiments[0].model.width == 512
    assert plan(corpus, "--model.preset=tiny").experiments[0].model.width == 128


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("--heads", "3"),
            "heads is 3, which does not divide width, 16; head counts that fit: 1, 2",
        ),
        (("--model.heads", "4"), "--model.heads is what the variants differ in; --heads would fit"),
        (("--seeds", "0"), "seeds is 0; 3, or 0 1 2, would fit"),
        (("--seeds", "-1", "2"), "seeds is -1 2; 3, or 0 1 2, would fit"),
        (("--heads",), "heads is empty; 1 2 would fit"),
        (("--model.widht", "32"), "perhaps you meant --model.width"),
        (("--smoke", "--default"), "both --default and --smoke; one of them would fit"),
    ],
)
def test_what_does_not_fit_is_said_in_a_line(corpus, words, said, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["heads.py", *words])
    with pytest.raises(SystemExit) as ended:
        main(variants, tiny(corpus), SIZES, option="heads", title="", folder="nowhere")
    told = capsys.readouterr().err
    assert ended.value.code == 2 and told.count("\n") == 1 and said in told


def test_proportions_of_a_longer_training(corpus):
    training = lasting(tiny(corpus).training, 10_000)
    assert (training.evaluate_every, training.log_every) == (1_250, 500)
    assert (training.checkpoint_every, training.optimizer.warmup) == (2_000, 10)


@pytest.mark.parametrize(
    ("asked", "measured", "wanted"),
    [
        ("no", None, "apart"),
        ("yes", None, "together"),
        ("measure", True, "together"),
        ("measure", False, "apart"),
    ],
)
def test_runs_go_together_or_apart_as_asked(asked, measured, wanted, tmp_path, monkeypatch):
    def decide(members, prepared, *, workers, record):
        record.write_text(json.dumps({"together": measured}))
        return SimpleNamespace(reason="measured")

    monkeypatch.setattr(command, "prepare", lambda data: None)
    monkeypatch.setattr(together, "decide", decide)
    monkeypatch.setattr(populations, "run_together", lambda places: iter(["together"]))
    monkeypatch.setattr(command.Workers, "run", lambda self, places: iter(["apart"]))
    for _ in range(2):  # the second time the decision stands
        with command._running({tmp_path: tiny(tmp_path)}, tmp_path, 1, asked) as running:
            assert list(running) == [wanted]
