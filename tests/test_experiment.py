import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import pytest
from flax import nnx

from attention_jax import configs, experiment, trained
from attention_jax.experiment import (
    Experiment,
    prepare,
    read_config,
    read_result,
    resume,
    run,
)
from attention_jax.trained import evaluate, load
from attention_jax.training import checkpoint
from attention_jax.training.checkpoint import digest
from attention_jax.training.folder import claimed
from attention_jax.training.manifest import Damaged
from tests.tiny_run import tiny, write_corpus


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    return tiny(write_corpus(tmp_path_factory.mktemp("corpus")))


@pytest.fixture(scope="module")
def prepared(one):
    return prepare(one.data)


@pytest.fixture(scope="module")
def finished(one, prepared, tmp_path_factory):
    """(folder, record) of an uninterrupted run."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    return folder, run(one, folder, quiet=True, prepared=prepared)


def test_the_record_holds_what_reports_read(one, finished):
    folder, record = finished
    assert json.loads((folder / "result.json").read_text("utf-8")) == record
    assert (record["name"], record["heads"], record["seed"]) == ("tiny", 2, 3)
    assert set(record["test"]) == {"test"}
    for scores in (record, record["test"]["test"]):
        assert 1 < scores["perplexity"] < 290
        assert 0 <= scores["exact_match"] <= 1
        assert 0 <= scores["bleu"]["score"] <= 100 and scores["bleu"]["signature"]
        assert 0 <= scores["chrf"]["score"] <= 100
    # One for the start, one for training, one for evaluation, one for decoding.
    assert record["programs"] <= 4
    for name in ("parameters", "steps", "best_step", "tokens_per_second", "train_seconds"):
        assert record[name] > 0
    assert record["memory_bytes"] > 0 and record["compile_seconds"] >= 0


def test_the_folder_tells_everything(one, finished):
    folder, _ = finished
    assert read_config(folder) == one
    environment = json.loads((folder / "environment.json").read_text("utf-8"))
    assert environment["packages"]["jax"] and environment["backend"] == "cpu"
    for name in ("tokenizer.json", "metrics.jsonl", "checkpoints", "mean"):
        assert (folder / name).exists()


def test_a_finished_run_is_not_run_again(one, finished, monkeypatch):
    monkeypatch.setattr(experiment, "fit", None)
    assert run(one, finished[0]) == finished[1]


def test_load_gives_all_three_kinds_of_parameters(one, finished):
    found = {}
    for which in ("best", "last", "mean"):
        loaded, tokenizer, graph, params = load(finished[0], which)
        assert loaded == one
        model = nnx.merge(graph, params)
        assert model.config.vocabulary == tokenizer.size
        found[which] = digest(params)
    assert found["best"] == found["last"] != found["mean"]
    with pytest.raises(ValueError, match="which is 'first'"):
        load(finished[0], "first")


def test_evaluate_repeats_the_record(finished):
    scores = evaluate(finished[0], split="test")
    wanted = finished[1]["test"]["test"]
    for name in ("loss", "exact_match", "bleu", "chrf", "pairs", "dropped"):
        assert scores["test"][name] == wanted[name]
    with pytest.raises(ValueError, match="no split 'tst'; held out are validation, test"):
        evaluate(finished[0], split="tst")


def test_translations_keep_lines_and_order(finished):
    translator = trained.translator(finished[0], beams=2, rows=4)
    lines = ["the cat", "", "the big dog sees", "cat", "dog", "house"]
    found = translator.translate(lines)
    assert len(found) == 6 and found[1] == ""
    assert translator.translate(lines[::-1]) == found[::-1]


def test_seeds_share_programs(one, prepared, finished, tmp_path):
    other = run(replace(one, seed=8), tmp_path / "run", quiet=True, prepared=prepared)
    assert other["programs"] <= 1  # the search for translations belongs to its parameters
    assert other["compile_seconds"] == 0
    assert other["loss"] != finished[1]["loss"]


def test_killed_at_any_moment_it_ends_with_the_same_bits(one, prepared, finished, tmp_path):
    one = replace(one, training=replace(one.training, steps=24))
    folder = tmp_path / "run"
    script = (
        "import sys; from pathlib import Path; from attention_jax.experiment import run\n"
        "from tests.tiny_run import tiny\n"
        "run(tiny(Path(sys.argv[1])), sys.argv[2])"
    )
    command = [sys.executable, "-c", script, one.data.corpus, str(folder)]
    root = Path(__file__).parents[1]
    environment = os.environ | {"PYTHONPATH": str(root), "JAX_PLATFORMS": "cpu"}
    with open(tmp_path / "said", "wb") as said:
        process = subprocess.Popen(
            command, cwd=root, env=environment, stdout=said, stderr=subprocess.STDOUT
        )
        try:
            until = time.monotonic() + 120
            while not checkpoint.finished(folder / "checkpoints") and process.poll() is None:
                assert time.monotonic() < until
                time.sleep(0.005)
            time.sleep(random.random() * 0.3)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
    assert process.returncode == -signal.SIGKILL, (tmp_path / "said").read_text("utf-8")
    assert checkpoint.finished(folder / "checkpoints")
    record = run(one, folder, quiet=True, prepared=prepared)
    for which in ("best", "last", "mean"):
        assert digest(load(folder, which)[3]) == digest(load(finished[0], which)[3])
    assert record["loss"] == finished[1]["loss"]
    assert record["test"]["test"]["bleu"] == finished[1]["test"]["test"]["bleu"]


def test_resume_goes_on_from_the_folder_alone(one, prepared, tmp_path):
    partial = run(one, tmp_path / "run", quiet=True, prepared=prepared, stop_after=7)
    assert partial == {"name": "tiny", "seed": 3, "steps": 7}
    assert resume(tmp_path / "run", quiet=True)["steps"] == 24


def test_other_runs_folders_are_refused(one, finished, tmp_path):
    other = replace(one, model=replace(one.model, heads=4))
    with pytest.raises(ValueError, match="another run: model.heads is 2 there and 4 here"):
        run(other, finished[0])
    moved = replace(one, data=replace(one.data, cache=tmp_path))
    assert run(moved, finished[0]) == finished[1]


def test_folders_that_are_no_run_are_refused(one, tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(ValueError, match="not empty and holds no run"):
        run(one, tmp_path)
    with pytest.raises(ValueError, match="holds no run: there is no config.json"):
        load(tmp_path)
    (tmp_path / "config.json").write_text('{"model": {"head": 8}}')
    with pytest.raises(ValueError, match="model.head is no field; the nearest is heads"):
        resume(tmp_path)


def test_files_that_would_break_the_reader_are_refused(one, tmp_path):
    (tmp_path / "config.json").write_text("[" * 200_000)
    with pytest.raises(ValueError, match="config.json: .*recursion"):
        resume(tmp_path)
    nobody = replace(one.data, corpus="~nosuchuser/x")
    with pytest.raises(ValueError, match="nosuchuser"):
        prepare(nobody)


def test_a_run_without_checkpoints_cannot_be_used(one, prepared, finished, tmp_path):
    shutil.copy(finished[0] / "config.json", tmp_path / "config.json")
    with pytest.raises(ValueError, match="no tokenizer.json: its training has not begun"):
        load(tmp_path)
    shutil.copy(finished[0] / "tokenizer.json", tmp_path / "tokenizer.json")
    for which, message in (("best", "no checkpoint yet"), ("mean", "no mean yet")):
        with pytest.raises(ValueError, match=message):
            load(tmp_path, which)


def test_two_processes_cannot_share_a_folder(one, finished):
    mine = configs.to_json(one)
    with (
        claimed(finished[0], mine, lambda: mine),
        pytest.raises(ValueError, match="another process is running"),
    ):
        run(one, finished[0])


def test_refused_data_leave_no_folder_and_corrected_data_fit(one, prepared, tmp_path):
    bad = shutil.copytree(one.data.corpus, tmp_path / "corpus")
    other = replace(one, data=replace(one.data, corpus=str(bad)))
    (bad / "train.es").rename(tmp_path / "train.es")
    with pytest.raises(ValueError, match="has no train.es"):
        run(other, tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()
    partial = run(one, tmp_path / "run", quiet=True, prepared=prepared, stop_after=1)
    assert partial["steps"] == 1


def test_a_damaged_result_is_named(one, finished, tmp_path):
    for name in ("config.json", "tokenizer.json"):
        shutil.copy(finished[0] / name, tmp_path / name)
    (tmp_path / "result.json").write_text('{"name": "ti')
    with pytest.raises(ValueError, match="result.json is damaged: .*delete it"):
        run(one, tmp_path)


def test_damaged_parameters_of_a_finished_run_can_be_made_again(one, prepared, finished, tmp_path):
    folder = shutil.copytree(finished[0], tmp_path / "run")
    wanted = {which: digest(load(folder, which)[3]) for which in ("best", "last", "mean")}
    best = read_result(folder)["best_step"]
    for place in (folder / "mean", folder / "checkpoints" / str(best)):
        manifest = place / "manifest" / "data.json"
        manifest.write_text(manifest.read_text("utf-8").replace("e", "f", 1), "utf-8")
    for which in ("best", "mean"):
        with pytest.raises(Damaged, match="delete .*result.json, and .*train --run .* makes it"):
            load(folder, which)
    (folder / "result.json").unlink()
    run(one, folder, quiet=True, prepared=prepared)
    assert {which: digest(load(folder, which)[3]) for which in wanted} == wanted


def test_too_small_a_disk_is_noticed_before_the_start(one, prepared, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(2, 1, 1_000))
    with pytest.raises(OSError, match="0 MB left; the checkpoints may need"):
        run(one, tmp_path / "run", quiet=True, prepared=prepared)
    assert not (tmp_path / "run").exists()


def test_a_disk_that_fills_up_leaves_a_run_to_go_on_with(
    one, prepared, finished, tmp_path, monkeypatch
):
    save, calls = checkpoint.Checkpoints.save, []

    def fails_at_the_second(self, step, *arguments, **options):
        calls.append(step)
        if len(calls) == 2:
            monkeypatch.setattr(self._orbax, "save_checkpointables_async", full)
        save(self, step, *arguments, **options)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint.Checkpoints, "save", fails_at_the_second)
        with pytest.raises(OSError, match="the disk is full.*last good one is kept"):
            run(one, tmp_path / "run", quiet=True, prepared=prepared)
    assert checkpoint.finished(tmp_path / "run" / "checkpoints") == [calls[0]]
    assert run(one, tmp_path / "run", quiet=True, prepared=prepared)["loss"] == finished[1]["loss"]


def test_prepared_must_be_of_the_same_data(one, prepared, tmp_path):
    other = replace(one, data=replace(one.data, max_length=12))
    with pytest.raises(ValueError, match="another data config"):
        run(other, tmp_path / "run", prepared=prepared)


def test_configs_survive_json():
    text = json.dumps(configs.to_json(Experiment()))
    assert configs.from_json(Experiment, json.loads(text)) == Experiment()
    with pytest.raises(ValueError, match="seed is -1"):
        Experiment(seed=-1)
