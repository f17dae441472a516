"""A run of every task: stopped and gone on with, used, and shown."""

import json
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from attention_jax import cli
from attention_jax.analysis.task_heads import describe
from attention_jax.models.places import Head
from attention_jax.tasks.run import load, read_task, run
from attention_jax.training.checkpoint import digest
from attention_jax.training.step import split
from tests.models.family import in_turn
from tests.tasks.family import FAMILY, QUICK, SLOW

TIMES = ("seconds", "bytes", "peak_of")


@pytest.fixture(scope="module", params=in_turn(FAMILY, QUICK, SLOW))
def finished(request, tmp_path_factory):
    """A run without a stop."""
    folder = tmp_path_factory.mktemp(request.param) / "run"
    task = FAMILY[request.param]
    return SimpleNamespace(task=task, folder=folder, record=run(task, folder, quiet=True))


def test_a_stopped_run_goes_on_with_the_same_bits(finished, tmp_path):
    partial = run(finished.task, tmp_path / "run", quiet=True, stop_after=5)
    assert partial["steps"] == 5
    record = run(finished.task, tmp_path / "run", quiet=True)
    ends = [digest(split(load(folder).model)[1]) for folder in (finished.folder, tmp_path / "run")]
    assert ends[0] == ends[1]
    assert _untimed(record) == _untimed(finished.record)


def test_the_folder_tells_all(finished):
    record = json.loads((finished.folder / "result.json").read_text())
    assert record == finished.record
    assert np.isfinite(record["loss"])
    assert record["kind"] == finished.task.kind
    assert read_task(finished.folder) == finished.task
    loaded = load(finished.folder)
    assert loaded.task == finished.task
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(split(loaded.model)[1]))
    text = (finished.folder / "metrics.jsonl").read_text("utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    assert f"{loaded.work.unit}_per_second" in lines[0]
    assert ("perplexity" in lines[0]) == loaded.work.likelihood


def test_a_finished_run_is_not_run_again_nor_by_another(finished, capsys):
    folder, kind = str(finished.folder), finished.task.kind
    assert cli.main(["learn", "--run", folder, "--quiet"]) == 0
    assert json.loads(capsys.readouterr().out) == finished.record
    assert cli.main(["learn", kind, "--run", folder, "--seed", "9"]) == 2
    assert "seed" in capsys.readouterr().err


def test_show_writes_its_page(finished, tmp_path, capsys):
    page = tmp_path / "page.html"
    assert cli.main(["show", "--run", str(finished.folder), "--out", str(page)]) == 0
    assert str(page) in capsys.readouterr().out
    text = page.read_text("utf-8")
    assert text.startswith("<!DOCTYPE html>") and len(text) > 10_000


def _untimed(found):
    return {
        k: v
        for k, v in found.items()
        if not any(time in k for time in TIMES) and not k.endswith("_per_second")
    }


def test_heads_are_described_and_silenced(finished):
    loaded = load(finished.folder)
    found = describe(loaded, batches=1)
    heads = [Head(one["part"], one["layer"], one["head"]) for one in found["heads"]]
    assert heads == loaded.model.config.every_head()
    for one in found["heads"]:
        assert 0 <= one["entropy"] < 10 and 0 < one["confidence"] <= 1.001
    gates = {str(head.place): np.ones(loaded.model.config.heads_at(head.place)) for head in heads}
    gates[str(heads[0].place)][heads[0].head] = 0

    def silenced(place, outputs):
        return outputs * gates[str(place)].reshape(1, 1, -1, 1).astype(np.float32)

    batch, cost = loaded.work.validation[0], loaded.work.objective
    sums = cost(loaded.model, batch, heads=silenced)
    without = float(sums.nll) / float(np.sum(batch.weights, dtype=np.float64))
    assert found["heads"][0]["loss_without"] == pytest.approx(without - found["loss"], abs=1e-5)
    with pytest.raises(ValueError, match="batches is 0"):
        describe(loaded, batches=0)
