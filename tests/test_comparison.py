"""Many runs side by side, from a list of experiments to a report, on the smallest models."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from attention_jax.comparison import main, sample_translations
from attention_jax.training.allocator import WARM, warmed
from attention_jax.workers import Workers, default_workers
from tests.tiny_run import tiny, write_corpus

SENTENCE = "the red cat"
ROOT = Path(__file__).parents[1]


def grid(corpus, heads=(1, 2), seeds=(0,)):
    base = tiny(corpus, steps=6, checkpoint_every=6, evaluate_every=3)
    return [
        replace(base, name=f"h{count}-s{seed}", seed=seed, model=replace(base.model, heads=count))
        for seed in seeds
        for count in heads
    ]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    base = tmp_path_factory.mktemp("comparison")
    experiments = grid(write_corpus(base / "corpus"))
    arguments = ["--out", str(base / "out"), "--workers", "2"]
    folder = main(
        {"default": experiments}, title="<Heads>", sentence=SENTENCE, folder="", arguments=arguments
    )
    return base / "out", folder, experiments


def test_report_holds_every_run(finished):
    _, folder, experiments = finished
    records = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    found = {(record["heads"], record["seed"]) for record in records}
    assert found == {(one.model.heads, one.seed) for one in experiments}
    page = (folder / "index.html").read_text("utf-8")
    assert "&lt;Heads&gt;" in page and "<Heads>" not in page
    assert "Preliminary" not in (folder / "report.md").read_text("utf-8")


def test_runs_of_a_seed_share_everything_but_the_heads(finished):
    out, _, _ = finished
    lines = [(out / "runs" / name / "metrics.jsonl").read_text() for name in ("h1-s0", "h2-s0")]
    first = [json.loads(text.splitlines()[0]) for text in lines]
    assert first[0]["step"] == first[1]["step"]
    configs = [
        json.loads((out / "runs" / n / "config.json").read_text()) for n in ("h1-s0", "h2-s0")
    ]
    for config in configs:
        del config["name"], config["model"]["heads"]
    assert configs[0] == configs[1]


def test_attention_maps_are_on_the_page(finished):
    _, folder, _ = finished
    assert sorted(path.stem for path in folder.glob("*.png"))
    assert any("cross" in path.stem or "attention" in path.stem for path in folder.glob("*.png"))


def test_samples_are_the_same_test_sentences_for_all(finished):
    out, _, _ = finished
    folders = {heads: out / "runs" / f"h{heads}-s0" for heads in (1, 2)}
    samples = sample_translations(folders, SENTENCE, most=4)
    sources = [[source for source, _, _ in samples[heads]] for heads in (1, 2)]
    assert sources[0] == sources[1] and len(set(sources[0])) == 4


def test_a_finished_comparison_is_not_run_again(finished, capsys):
    out, _, experiments = finished
    before = (out / "runs" / "h1-s0" / "result.json").stat().st_mtime_ns
    places = {out / "runs" / one.name: one for one in experiments[:1]}
    with Workers(out, 1) as workers:
        assert [record["heads"] for record in workers.run(places)] == [1]
    assert (out / "runs" / "h1-s0" / "result.json").stat().st_mtime_ns == before


def test_a_failing_run_is_named(tmp_path):
    experiment = grid(tmp_path / "nowhere")[0]
    places = {tmp_path / "out" / "runs" / "h1-s0": experiment}
    with (
        pytest.raises(ValueError, match="h1-s0: .*nowhere"),
        Workers(tmp_path / "out", 1) as workers,
    ):
        list(workers.run(places))


def test_workers_end_with_their_parent():
    script = (
        "import sys, time, threading, attention_jax.workers as w; "
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


@pytest.mark.slow
def test_head_counts_smoke(tmp_path):
    environment = {**os.environ, "ATTENTION_JAX_CACHE": str(tmp_path / "cache")}
    command = [sys.executable, "-m", "experiments.head_counts", "--smoke", "--out", tmp_path / "o"]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "o-smoke" / "report" / "index.html").exists()
