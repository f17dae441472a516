"""The experiment on generated digits runs, and writes what it found."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.exhaustive
def test_generators(environment, tmp_path):
    command = [sys.executable, "-m", "experiments.generators", "--smoke", "--out", str(tmp_path)]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len((ROOT / "experiments/generators.py").read_text("utf-8").splitlines()) < 80
    *records, scale = json.loads((tmp_path / "records.json").read_text("utf-8"))
    assert [one["way"].partition(",")[0] for one in records] == ["diffusion"] * 2 + ["sagan"] * 2
    assert all(0 <= one["agreement"] <= 1 and one["frechet"] > 0 for one in records)
    assert records[0]["frechet"] != records[2]["frechet"]
    assert 0 < scale["judge_accuracy"] <= 1
    assert "| sagan, as learned |" in done.stdout
