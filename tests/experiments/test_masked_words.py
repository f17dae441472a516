"""The experiment with hidden words runs from its command."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.exhaustive
@pytest.mark.slow
def test_it_runs(environment, tmp_path):
    program = ROOT / "experiments" / "masked_words.py"
    assert len(program.read_text("utf-8").splitlines()) < 80
    done = subprocess.run(
        [sys.executable, program, "--smoke", "--out", tmp_path / "out"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=1_200,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    last = json.loads(done.stdout.splitlines()[-1])
    assert last["labels"] == 400 and set(last) >= {"nothing", "hidden words", "naive_bayes"}
    beside = json.loads((tmp_path / "out" / "beside" / "result.json").read_text())
    assert 0 <= beside["test"]["told_beside_translation"] <= 1
