"""The same folders into Hugging Face's transformers, the same tokens, features and weights out.

It answers from a process of its own (`transformers_peer.py`): from the Python that
ATTENTION_JAX_TORCH_PYTHON names, else from this one where it has torch and transformers.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from flax import nnx

from attention_jax.interop import read_tensors
from attention_jax.interop.huggingface import folder_of, load
from tests.interop.made_folders import FORMS, SENTENCES, write
from tests.interop.test_huggingface import REAL

HARD = [
    "The animal didn't cross the street because it was too tired.",
    "Naïve CAFÉ-owners: 3.14159… 漢字, 🙂 antidisestablishmentarianism!",
    "",
]
SECONDS = ["Was it?", "  spaces\tand\nlines ", "milk"]


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """Folders with texts by name, and what transformers gives for them."""
    python = os.environ.get("ATTENTION_JAX_TORCH_PYTHON") or sys.executable
    if python == sys.executable and importlib.util.find_spec("transformers") is None:
        pytest.skip("no transformers here, and ATTENTION_JAX_TORCH_PYTHON names no Python with it")
    home, questions = tmp_path_factory.mktemp("asked"), {}
    for kind in FORMS:
        write(home / kind, kind)
        questions[kind] = [str(home / kind), SENTENCES, None]
    if Path(REAL).is_dir() or importlib.util.find_spec(REAL) is not None:
        questions["real"] = [str(folder_of(REAL)), HARD, None]
        questions["real pairs"] = [str(folder_of(REAL)), HARD, SECONDS]
    (home / "questions.json").write_text(json.dumps(questions))
    script = Path(__file__).with_name("transformers_peer.py")
    files = home / "questions.json", home / "answers.safetensors"
    variables = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    subprocess.run(
        [python, "-I", script, *files], check=True, timeout=300, env={**os.environ, **variables}
    )
    return questions, read_tensors(files[1])


@pytest.mark.slow
@pytest.mark.parametrize("name", [*FORMS, "real", "real pairs"])
def test_transformers_reads_the_same(name, asked):
    questions, answers = asked
    if name not in questions:
        pytest.skip("all-MiniLM-L6-v2 is not here; see test_huggingface.py")
    folder, texts, pairs = questions[name]
    pretrained = load(folder)
    tokens = pretrained.encode(texts, pairs).tokens
    hidden, _ = pretrained.hidden(texts, pairs)
    for row, text in enumerate(texts):
        wanted = {part: answers[f"{name}/{row}/{part}"] for part in ("tokens", "hidden", "weights")}
        length = len(wanted["tokens"])
        np.testing.assert_array_equal(tokens[row, :length], wanted["tokens"])
        assert (tokens[row, length:] == pretrained.model.config.padding).all()
        assert np.abs(hidden[row, :length] - wanted["hidden"]).max() < 1e-4
        _, weights = pretrained.explain(text, None if pairs is None else pairs[row])
        np.testing.assert_allclose(weights, wanted["weights"], atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("kind", FORMS)
def test_what_transformers_writes_is_read(kind, asked):
    folder = Path(asked[0][kind][0])
    again = folder.with_name(f"{kind}_again")
    assert len(read_tensors(again / "model.safetensors")) > len(
        read_tensors(folder / "model.safetensors")
    )
    shutil.copy(folder / "tokenizer.json", again)
    models = [load(one).model for one in (folder, again)]
    assert models[0].config == models[1].config
    params = (jax.tree.leaves(nnx.state(model, nnx.Param)) for model in models)
    for one, other in zip(*params, strict=True):
        np.testing.assert_array_equal(one, other)
