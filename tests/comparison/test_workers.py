"""Processes side by side."""

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from attention_jax.comparison.workers import Workers, default_workers
from attention_jax.training.allocator import WARM, warmed
from attention_jax.training.checkpoint import finished
from attention_jax.training.signals import SAVED
from tests.comparison.grid import variants
from tests.tiny_run import tiny

ROOT = Path(__file__).parents[2]


def test_a_failing_run_is_named(tmp_path):
    experiment = tiny(tmp_path / "nowhere")
    places = {tmp_path / "out" / "runs" / "h1-s0": experiment}
    with (
        pytest.raises(ValueError, match="h1-s0: .*nowhere"),
        Workers(tmp_path / "out", 1) as workers,
    ):
        list(workers.run(places))


def test_seeds_of_a_variant_share_a_worker_unless_one_would_idle(corpus, tmp_path, monkeypatch):
    shares = {}
    monkeypatch.setattr(
        Workers, "_start", lambda self, index, mine: shares.update({index: len(mine)})
    )
    one = tiny(corpus)
    for heads, wanted in (((1, 2), {0: 2, 1: 2}), ((1,), {0: 1, 1: 1})):
        runs = [replace(v, seed=seed) for seed in (0, 1) for v in variants(one, heads)]
        places = {tmp_path / str(number): run for number, run in enumerate(runs)}
        workers = Workers(tmp_path, 2)
        workers.answers.put((0, json.dumps({"folder": "x", "error": "enough"})))
        with pytest.raises(ValueError, match="x: enough"):
            list(workers.run(places))
        assert shares == wanted


def test_what_is_left_has_saved_its_last_step(corpus, tmp_path):
    folder = tmp_path / "out" / "runs" / "one"
    one = tiny(corpus, steps=100_000, log_every=1, evaluate_every=10**6, checkpoint_every=10**6)
    workers = Workers(tmp_path / "out", 1)

    def when_it_trains():
        until = time.monotonic() + 120
        while time.monotonic() < until:
            lines = folder / "metrics.jsonl"
            if lines.exists() and lines.stat().st_size > 500:
                break
            time.sleep(0.05)
        workers.answers.put((0, json.dumps({"folder": str(folder), "error": "enough"})))

    threading.Thread(target=when_it_trains, daemon=True).start()
    with pytest.raises(ValueError, match="enough"), workers:
        list(workers.run({folder: one}))
    assert workers.processes[0].returncode == SAVED
    step = json.loads((folder / "metrics.jsonl").read_bytes().splitlines()[-1])["step"]
    assert finished(folder / "checkpoints") == [step]
    said = (tmp_path / "out" / "worker-0.log").read_text("utf-8")
    assert f"step {step:,} of 100,000, which is saved" in said and "Traceback" not in said


def test_workers_end_with_their_parent():
    script = (
        "import sys, time, threading, attention_jax.comparison.workers as w; "
        "threading.Thread(target=w._end_with_parent, daemon=True).start(); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, cwd=ROOT)
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(timeout=30) == 1


def test_one_worker_for_a_core_unless_told():
    assert 1 <= default_workers() <= 8


def test_warm_environment_keeps_what_is_set(monkeypatch):
    monkeypatch.setenv("MALLOC_ARENA_MAX", "3")
    found = warmed()
    assert found["MALLOC_ARENA_MAX"] == "3"
    assert set(WARM) <= set(found) and found["PATH"] == os.environ["PATH"]
