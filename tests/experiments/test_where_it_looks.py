"""The experiment on where models look runs, and writes what it found."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.parametrize("words, kinds", [((), 3), (("--questions",), 7)])
def test_smoke(words, kinds, environment, tmp_path):
    command = [sys.executable, "-m", "experiments.where_it_looks", "--smoke", *words]
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "out")],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    records = json.loads((tmp_path / "out/records.json").read_text())
    assert len(records) == kinds and all(0 < one["inside"] < 1 for one in records)
    assert done.stdout.count("| words, ") == 4
    text = (ROOT / "experiments/where_it_looks.py").read_text("utf-8")
    assert len(text.splitlines()) < 80
