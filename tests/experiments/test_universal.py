"""The experiment on algorithms: short, complete, and it runs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "experiments" / "universal.py"


def test_it_is_short_and_complete():
    text = SCRIPT.read_text("utf-8")
    assert len(text.splitlines()) < 80
    for part in ("Question:", "Source:", "Command:"):
        assert part in text


@pytest.mark.exhaustive
@pytest.mark.slow
def test_smoke(environment, tmp_path):
    words = ["--smoke", "--corpus", "addition-reversed-2-4", "--longest", "10"]
    command = [sys.executable, SCRIPT, *words, "--out", tmp_path]
    done = subprocess.run(
        list(map(str, command)), cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    rows = [line.split(" | ") for line in done.stdout.splitlines() if line.startswith("|")]
    assert rows[0][0] == "| addition-reversed-2-4" and rows[1][0] == "| halting, sinusoidal"
    (out,) = tmp_path.iterdir()
    table = json.loads((out / "table.json").read_text())
    (row,) = table.values()
    assert all(0 <= share <= 1 for name, r in row.items() if name != "parameters" for share in r)
