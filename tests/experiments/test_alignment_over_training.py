"""The experiment on alignment runs, and writes what it found."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.exhaustive
def test_smoke(environment, tmp_path):
    command = [sys.executable, "-m", "experiments.alignment_over_training", "--smoke"]
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "out")],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (tmp_path / "out/errors.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4, 6, 8] * 2
    assert all(0 < line["best head"] <= 1 for line in lines)
    assert (tmp_path / "out/errors.png").stat().st_size > 10_000
