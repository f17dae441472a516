"""The experiment on word vectors runs, and says what it found."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from attention_jax.training.word_vectors import read_word_vectors

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.exhaustive
def test_smoke(environment, tmp_path):
    command = [sys.executable, "-m", "experiments.word_vectors", "--smoke"]
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "out")],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert len([line for line in said if ": " in line and line[0] == " "]) > 8
    found = [json.loads(line) for line in said if line.startswith("{")]
    assert {(one["model"], one["pairs"]) for one in found} == {
        (model, pairs) for model in ("bahdanau", "transformer") for pairs in (2_000, None)
    }
    assert {one["step"] for one in found} == {2, 4, 6, 8}
    assert all(one["mean"] == one["vectors"]["0"] - one["chance"]["0"] != 0 for one in found)
    assert read_word_vectors(tmp_path / "out/vectors.safetensors").vectors.shape[1] == 64
