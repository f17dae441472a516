"""A run of every kind of model: stopped and resumed, used, and shown."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from attention_jax import cli
from attention_jax.experiment import prepare, run
from attention_jax.trained import load, translator
from attention_jax.training.checkpoint import digest
from attention_jax.views.gather import read_run
from tests.models.family import FAMILY, KINDS, in_turn
from tests.tiny_run import tiny, write_corpus

SENTENCE = "the red cat sees a house"
OTHERS = [kind for kind in KINDS if kind != "transformer"]  # whose runs most tests are of


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    corpus = write_corpus(tmp_path_factory.mktemp("corpus"))
    return tiny(corpus, steps=8, log_every=4, evaluate_every=4, checkpoint_every=3)


@pytest.fixture(scope="module")
def prepared(experiment):
    return prepare(experiment.data)


# Models of one base class are alike in a run: CI does one of them.
ALIKE = ("t5", "summarise")


@pytest.fixture(
    scope="module", params=in_turn(OTHERS, ("luong",), [k for k in OTHERS if k not in ALIKE])
)
def finished(request, experiment, prepared, tmp_path_factory):
    """A run without a stop."""
    sizes = {"positions": 16} if request.param == "convolutional" else {}
    model = replace(FAMILY[request.param], dropout=0.1, **sizes)
    one = replace(experiment, name=request.param, model=model)
    folder = tmp_path_factory.mktemp(request.param) / "run"
    record = run(one, folder, quiet=True, prepared=prepared)
    return SimpleNamespace(kind=request.param, one=one, folder=folder, record=record)


def test_a_stopped_run_goes_on_with_the_same_bits(finished, prepared, tmp_path):
    partial = run(finished.one, tmp_path / "run", quiet=True, prepared=prepared, stop_after=5)
    assert partial["steps"] == 5
    record = run(finished.one, tmp_path / "run", quiet=True, prepared=prepared)
    for which in ("best", "last", "mean"):
        assert digest(load(tmp_path / "run", which)[3]) == digest(load(finished.folder, which)[3])
    for name in ("steps", "loss", "test"):
        assert _untimed(record[name]) == _untimed(finished.record[name])


def test_lines_keep_their_translations_in_any_company(finished):
    written = translator(finished.folder, rows=8)
    lines = [SENTENCE, "", "the big dog", "cat"]
    found = written.translate(lines)
    assert found[1] == "" and written.translate(lines[::-1]) == found[::-1]


def test_show_tells_what_a_run_attends_to(finished, tmp_path, capsys):
    page = tmp_path / "page.html"
    code = cli.main(["show", "--run", str(finished.folder), SENTENCE, "--out", str(page)])
    said, complaint = capsys.readouterr()
    if finished.kind == "rnn_seq2seq":
        assert code == 2 and not page.exists()
        assert complaint.count("\n") == 1 and "attends to nothing" in complaint
        return
    assert code == 0 and said.startswith("run: ") and SENTENCE in page.read_text("utf-8")
    [reading] = read_run(finished.folder, SENTENCE)
    whole = ("marian", "t5", "universal")
    own = dict.fromkeys((*whole, "intra_attention"), ["encoder", "decoder", "cross"]) | {
        "decoder_only": ["encoder", "decoder"],
        "summarise": ["encoder", "decoder"],
    }
    parts = own.get(finished.kind, ["cross"])
    assert [attention.name for attention in reading.attentions] == parts
    for attention in reading.attentions:
        model = finished.one.model
        layers = getattr(model, "layers", 1) if finished.kind == "decoder_only" else 1
        layers = len(getattr(model, "sights", [None] * layers))
        layers = getattr(model, "decoder_layers", layers)
        if finished.kind in whole:
            layers = sum(place.part == attention.name for place in model.places())
        assert len(attention.weights) == layers
        for weights in attention.weights:
            rows = 1 if attention.name == "cross" else slice(1, None)
            np.testing.assert_allclose(weights[:, rows].sum(-1), 1, atol=1e-5)


def _untimed(scores):
    """What a clock has no part in."""
    if not isinstance(scores, dict):
        return scores
    return {name: _untimed(of) for name, of in scores.items() if "second" not in name}
