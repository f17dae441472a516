"""Whole runs on several devices: recorded, stopped, and gone on with on other devices."""

import json
from dataclasses import replace

import jax
import numpy as np
import pytest

from attention_jax.data import BatchPlan
from attention_jax.experiment import prepare, programs_of, run
from attention_jax.models.decoder_only import DecoderOnlyConfig
from attention_jax.models.universal import UniversalConfig
from attention_jax.parallel.layout import Layout
from attention_jax.training import checkpoint
from attention_jax.training.loop import fit
from tests.tiny_run import tiny, write_corpus


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    corpus = write_corpus(tmp_path_factory.mktemp("corpus"))
    return tiny(corpus, steps=12, rng="threefry2x32")


def bits(folder):
    steps = checkpoint.finished(folder / "checkpoints")
    manifests = [
        checkpoint.read_manifest(folder / "checkpoints" / str(step)).leaves for step in steps
    ]
    return steps, manifests


@pytest.mark.slow
def test_a_run_goes_on_with_the_same_bits_on_the_same_mesh(experiment, tmp_path):
    mesh = "data=2,fsdp=2,model=2"
    whole = run(experiment, tmp_path / "whole", quiet=True, mesh=mesh)
    run(experiment, tmp_path / "parts", quiet=True, mesh=mesh, stop_after=7)
    parts = run(experiment, tmp_path / "parts", quiet=True, mesh=mesh)
    assert bits(tmp_path / "whole") == bits(tmp_path / "parts")
    assert parts["loss"] == whole["loss"] and whole["mesh"] == mesh
    recorded = json.loads((tmp_path / "whole" / "environment.json").read_text("utf-8"))
    assert recorded["mesh"] == mesh


@pytest.mark.slow
def test_a_run_goes_on_on_any_other_devices(experiment, tmp_path):
    alone = run(experiment, tmp_path / "alone", quiet=True)
    folder = tmp_path / "moved"
    run(experiment, folder, quiet=True, mesh="fsdp=8", stop_after=4)
    run(experiment, folder, quiet=True, mesh="sequence=4,model=2", stop_after=8)
    moved = run(experiment, folder, quiet=True, mesh="single")
    # Dropout is the same on every mesh: threefry's numbers go by their place in the whole.
    assert moved["loss"] == pytest.approx(alone["loss"], rel=1e-3)
    assert (moved["mesh"], moved["tokens"]) == ("single", alone["tokens"])


def test_devices_that_do_not_fit_leave_nothing_behind(experiment, tmp_path):
    for mesh, message in (
        ("data=3", "takes 3 devices, and there are 8"),
        ("model=8", "2 heads or key/value heads cannot be cut into 8 parts"),
    ):
        with pytest.raises(ValueError, match=message):
            run(experiment, tmp_path / "run", quiet=True, mesh=mesh)
        assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "how", [pytest.param("replicate", marks=pytest.mark.exhaustive), Layout(data=2, fsdp=4)]
)
def test_a_batch_that_gives_no_number_is_left_out_on_many_devices(experiment, tmp_path, how):
    class Spoiled(BatchPlan):
        def share(self, index, *parts, **options):
            batch = super().share(index, *parts, **options)
            factor = np.float32(np.nan if index == 4 else 1)
            return batch._replace(weights=batch.weights * factor)

    prepared = prepare(experiment.data)
    programs = programs_of(experiment, prepared.tokenizer, how)
    plan = Spoiled(prepared.examples("train"), tokens=128, shapes=1, seed=3)
    config = replace(experiment.training, skip_limit=1)
    validation = prepared.held_out()["validation"]
    fitted = fit(programs, config, plan, validation, tmp_path, seed=3, quiet=True)
    assert (fitted.step, fitted.finished) == (12, True)
    kept = checkpoint.read(tmp_path / "bad" / "5", programs.structs, at="state")
    assert kept.record["loss"] == "nan" and int(kept.state.step) == 4
    last = checkpoint.read(tmp_path / "checkpoints" / "12", programs.structs)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(last.state.params))
    assert last.record["skipped"] == 1 and int(last.state.step) == 12


def test_one_sequence_trains_on_a_mesh_and_what_cannot_is_refused(experiment):
    sizes = {"width": 16, "layers": 1, "heads": 2, "feed_forward": 32, "context": 40}
    one = replace(experiment, model=DecoderOnlyConfig(**sizes, dropout=0.0))
    prepared = prepare(one.data)
    batch, losses = prepared.plan(0)[0], []
    for how in ("single", Layout(data=4, model=2)):
        programs = programs_of(one, prepared.tokenizer, how)
        state = programs.start(0)
        for _ in range(2):
            state, metrics = programs.step(state, batch)
        losses.append(float(metrics.loss))
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    other = replace(one, model=UniversalConfig(width=16, heads=2))
    with pytest.raises(ValueError, match="single or replicate would fit universal"):
        programs_of(other, prepared.tokenizer, Layout(data=8))
