"""Folders of every kind, both ways: transformers' into ours and ours into transformers.

Transformers answers from a process of its own (`kinds_peer.py`), as in `test_huggingface_peers`.
"""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from flax import nnx

from attention_jax.interop import read_metadata, read_tensors
from attention_jax.interop.huggingface import Marks, load, save, to_the_front
from attention_jax.models.t5_config import T5Config
from tests.interop.made_kinds import made
from tests.interop.peer_cases import CAUSAL, ENCODERS, PICTURES, SEQ2SEQ

pytestmark = pytest.mark.slow
LENGTH = 12
EVERY = CAUSAL | SEQ2SEQ | ENCODERS | PICTURES
UNTIED = T5Config(
    29, 16, 2, 1, 4, 6, 24, activation="gated_gelu", tied=False, scaled=False, padding=0
)
CLOSE = 1e-4


def answers(home, name, questions):
    """What transformers says, and what it found missing or too much."""
    python = os.environ.get("ATTENTION_JAX_TORCH_PYTHON") or sys.executable
    if python == sys.executable and importlib.util.find_spec("transformers") is None:
        pytest.skip("no transformers here, and ATTENTION_JAX_TORCH_PYTHON names no Python with it")
    files = home / f"{name}.json", home / f"{name}.safetensors"
    files[0].write_text(json.dumps(questions))
    script = Path(__file__).with_name("kinds_peer.py")
    variables = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    subprocess.run(
        [python, "-I", script, *files], check=True, timeout=1_500, env={**os.environ, **variables}
    )
    return read_tensors(files[1]), json.loads(read_metadata(files[1])["faults"])


def rows(vocabulary, seed):
    """Tokens and masks of three texts of different lengths; all tokens may stand in them."""
    draw = np.random.default_rng(seed)
    mask = np.arange(9) < np.array([[9], [5], [1]])
    return draw.integers(0, vocabulary, (3, 9)), mask


def question(home, name, architecture, config, seed):
    asked = {"architecture": architecture, "config": config, "folder": str(home / name)}
    draw = np.random.default_rng(seed)
    if name in PICTURES:
        shape = 2, config.get("num_channels", 3), config["image_size"], config["image_size"]
        return asked | {"pixels": draw.normal(size=shape).tolist()}
    if name in ENCODERS and name != "distilbert":
        asked["options"] = {"add_pooling_layer": False}
    tokens, mask = rows(config["vocab_size"], seed)
    if (pad := config.get("pad_token_id", 0 if name == "distilbert" else None)) is not None:
        tokens[tokens == pad] = (pad + 1) % config["vocab_size"]
        tokens[~mask] = pad
    if name in SEQ2SEQ:
        asked["target"] = draw.integers(0, config["vocab_size"], (3, 6)).tolist()
    asked |= {"tokens": tokens.tolist(), "mask": mask.tolist()}
    return asked | {"length": 0 if name in ENCODERS else LENGTH}


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Questions, transformers' answers, and its answers about what was saved here."""
    home = tmp_path_factory.mktemp("kinds")
    cases = enumerate(EVERY.items())
    questions = {name: question(home, name, *case, seed) for seed, (name, case) in cases}
    first, _ = answers(home, "first", questions)
    again = {}
    for name, asked in questions.items():
        pretrained = load(asked["folder"], tokenizer=False)
        kind = json.loads(Path(asked["folder"], "config.json").read_text())["model_type"]
        marks = getattr(pretrained, "marks", None)
        folder = save(home / f"{name} again", pretrained.model, kind=kind, marks=marks)
        again[name] = asked | {"config": None, "folder": str(folder)}
    marks = Marks(start=0, ends=(1,))
    again["t5, untied"] = again["t5"] | {
        "folder": str(save(home / "t5, untied", made(UNTIED), marks=marks)),
        "again": str(home / "t5, untied again"),
    }
    return questions, first, answers(home, "again", again), again["t5, untied"]


def largest(ours, theirs):
    """The largest difference of logits, which are no small numbers."""
    assert ours.shape == theirs.shape and np.abs(theirs).max() > 0.5
    return np.abs(ours - theirs).max()


def same_texts(written, theirs, padding):
    missing = LENGTH - theirs.shape[1]
    theirs = np.pad(theirs, ((0, 0), (0, missing)), constant_values=-1)
    closed = np.cumsum(theirs == -1, axis=1) > 0
    np.testing.assert_array_equal(np.where(closed, padding, theirs), written)


@pytest.mark.parametrize("name", CAUSAL)
def test_a_language_model_of_transformers_is_read(name, both):
    asked, first = both[0][name], both[1]
    pretrained = load(asked["folder"], tokenizer=False)
    model, mask = pretrained.model, np.array(asked["mask"])
    tokens = to_the_front(np.array(asked["tokens"]), mask, model.config.padding)
    logits = np.asarray(nnx.jit(lambda model, tokens: model(tokens[:, :0], tokens))(model, tokens))
    for side in ("left", "right"):
        real = np.sort(mask, 1) if side == "left" else mask
        assert largest(logits[mask], first[f"{name}/{side}/logits"][real]) < CLOSE
    same_texts(pretrained.written(tokens, LENGTH), first[f"{name}/written"], model.config.padding)


@pytest.mark.parametrize("name", SEQ2SEQ)
def test_a_model_with_an_encoder_of_transformers_is_read(name, both):
    asked, first = both[0][name], both[1]
    pretrained = load(asked["folder"], tokenizer=False)
    model, mask = pretrained.model, np.array(asked["mask"])
    tokens = to_the_front(np.array(asked["tokens"]), mask, model.config.padding)
    inputs = tokens, np.array(asked["target"], np.int32)
    logits = nnx.jit(lambda model, *inputs: model(*inputs))(model, *inputs)
    # Where positions count, transformers counts the padding in front too, so that nobody puts any.
    for side in ("right",) if name.startswith("marian") else ("left", "right"):
        assert largest(logits, first[f"{name}/{side}/logits"]) < CLOSE
    same_texts(pretrained.written(tokens, LENGTH), first[f"{name}/written"], model.config.padding)


def test_a_t5_with_a_projection_of_its_own_goes_there_and_back(both):
    (found, faults), asked = both[2:]
    assert not any(faults["t5, untied"].values())
    models = [load(asked[folder], tokenizer=False).model for folder in ("folder", "again")]
    mask = np.array(asked["mask"])
    tokens = to_the_front(np.array(asked["tokens"]), mask, 0)
    inputs = tokens, np.array(asked["target"], np.int32)
    for model in models:
        logits = nnx.jit(lambda model, *inputs: model(*inputs))(model, *inputs)
        assert not model.config.tied and largest(logits, found["t5, untied/left/logits"]) < CLOSE
    written = load(asked["folder"], tokenizer=False).written(tokens, LENGTH)
    same_texts(written, found["t5, untied/written"], 0)


@pytest.mark.parametrize("name", ENCODERS)
def test_an_encoder_of_transformers_is_read(name, both):
    asked, first = both[0][name], both[1]
    model, mask = load(asked["folder"], tokenizer=False).model, np.array(asked["mask"])
    tokens = to_the_front(np.array(asked["tokens"]), mask, model.config.padding)
    features = np.asarray(nnx.jit(lambda model, tokens: model(tokens))(model, tokens))
    # RoBERTa alone counts positions from the first real token on.
    for side in ("left", "right") if name == "roberta" else ("right",):
        real = np.sort(mask, 1) if side == "left" else mask
        assert largest(features[mask], first[f"{name}/{side}/logits"][real]) < CLOSE


@pytest.mark.parametrize("name", PICTURES)
def test_a_model_of_pictures_of_transformers_is_read(name, both):
    asked, first = both[0][name], both[1]
    pretrained = load(asked["folder"])
    pictures = np.moveaxis(np.array(asked["pixels"], np.float32), 1, -1)
    logits = nnx.jit(lambda model, pictures: model(pictures))(pretrained.model, pictures)
    assert largest(logits, first[f"{name}/logits"]) < CLOSE
    assert len(pretrained.labels) == 5
    shown = pretrained.shows(pictures)
    assert [one for one, _ in shown] == [f"LABEL_{n}" for n in np.argmax(logits, -1)]


@pytest.mark.parametrize("name", EVERY)
def test_what_is_saved_here_is_the_same_to_transformers(name, both):
    asked, first, (again, faults), _ = both
    assert not any(faults[name].values()), faults[name]
    parts = [part for part in first if part.startswith(f"{name}/")]
    assert len(parts) == (1 if name in PICTURES else 2 if name in ENCODERS else 3)
    for part in parts:
        seen = ...
        if name in ENCODERS:  # RoBERTa has a position for padding, which no token uses
            mask = np.array(asked[name]["mask"])
            seen = np.sort(mask, 1) if "/left/" in part else mask
        np.testing.assert_array_equal(again[part][seen], first[part][seen])


def test_some_texts_end_by_themselves_and_some_do_not(both):
    ended = [(both[1][f"{name}/written"] == -1).any(1) for name in CAUSAL | SEQ2SEQ]
    assert 0 < np.mean(ended) < 1
