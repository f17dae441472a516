"""The experiments on speech and on long texts run, and write what they found."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def said(name, environment, *words):
    file = ROOT / f"experiments/{name}.py"
    assert len(file.read_text("utf-8").splitlines()) < 80
    done = subprocess.run(
        [sys.executable, str(file), *words],
        cwd=ROOT,
        env=environment | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.exhaustive
def test_speech_attention(environment, tmp_path):
    found = said("speech_attention", environment, "--smoke", "--out", str(tmp_path))
    assert set(json.loads(found.splitlines()[0])) > {"test_digits", "test_exact"}
    assert found.count("| 0 | cross layer ") == 4
    assert (tmp_path / "seed0/attention.png").stat().st_size > 10_000


@pytest.mark.slow
@pytest.mark.exhaustive
def test_long_inputs(environment, tmp_path):
    found = said("long_inputs", environment, "--smoke", "--out", str(tmp_path))
    rows = [json.loads(line) for line in found.splitlines() if line.startswith("{")]
    assert [row["model"] for row in rows] == ["full", "local", "local + compressed"]
    assert all(0 <= row["rouge_l"] <= 100 for row in rows)
    assert "| full, all weights kept |" in found
    records = json.loads((tmp_path / "records.json").read_text())
    assert len(records) == 4 and all(one["megabytes"] > 0 for one in records)
