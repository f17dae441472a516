"""The experiment on a Vision Transformer's heads runs, and counts what is told wrong."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.exhaustive
@pytest.mark.slow
def test_smoke(environment, tmp_path):
    command = [sys.executable, "-m", "experiments.vision_heads", "--smoke", "--out", str(tmp_path)]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    rows = dict(re.findall(r"^\| ([^|]+) \| ([\d.]+) \|", done.stdout, re.MULTILINE))
    errors = {name: float(error) for name, error in rows.items()}
    # The whole model makes the mistakes that its run was judged by.
    assert errors["nothing"] == errors["2"]
    assert len(errors) == 2 + 1 + 4 + 2 and all(0 < error < 100 for error in errors.values())
    assert len({errors["nothing"], *errors.values()}) > 3
    assert len((ROOT / "experiments/vision_heads.py").read_text("utf-8").splitlines()) < 80
