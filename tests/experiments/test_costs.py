"""The experiments on scores and on parallelism run, and write what they found."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def smoke(name, environment, out):
    command = [sys.executable, "-m", f"experiments.{name}", "--smoke", "--out", str(out)]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len((ROOT / f"experiments/{name}.py").read_text("utf-8").splitlines()) < 80
    return done.stdout, json.loads((out / "records.json").read_text("utf-8"))


@pytest.mark.slow
@pytest.mark.exhaustive
def test_scores(environment, tmp_path):
    printed, records = smoke("score_functions", environment, tmp_path)
    assert [(one["score"], one["width"]) for one in records] == [("additive", 8), ("dot", 8)]
    additive, dot = records
    assert 0 < additive["variance_start"] < dot["variance_start"]
    assert 0 < dot["evenness_start"] < additive["evenness_start"] <= 1
    assert additive["loss"] != dot["loss"]
    assert "| additive |" in printed
    assert (tmp_path / "variance_end.png").stat().st_size > 5_000


@pytest.mark.exhaustive
@pytest.mark.slow
def test_parallelism(environment, tmp_path):
    printed, records = smoke("parallelism", environment, tmp_path)
    timed = [one for one in records if "train_us" in one]
    chains = {one["model"]: one["chain"] for one in records if "chain" in one}
    assert len(timed) == len(chains) == 4
    assert all(one["train_us"] > 0 and one["write_us"] > 0 for one in timed)
    assert chains["recurrence: LSTM"] > 4
    assert "products and steps, source to target" in printed
    assert (tmp_path / "write_us.png").stat().st_size > 5_000
