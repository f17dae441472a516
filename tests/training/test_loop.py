import json
import math
from dataclasses import replace

import jax
import numpy as np
import pytest

from attention_jax.data import BatchPlan
from attention_jax.experiment import _programs, prepare, programs_of
from attention_jax.training import checkpoint, loop
from attention_jax.training.checkpoint import digest
from attention_jax.training.loop import Diverged, TrainingConfig, fit
from attention_jax.training.optimizer import OptimizerConfig
from attention_jax.training.signals import Signals
from tests.tiny_run import tiny, write_corpus

TIMES = ("tokens_per_second", "compile_seconds")


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """(config, train): the tiny experiment, ready to be trained into a folder."""
    experiment = tiny(write_corpus(tmp_path_factory.mktemp("corpus")))
    prepared = prepare(experiment.data)
    _programs.cache_clear()  # other tests may have compiled them already
    programs = programs_of(experiment, prepared.tokenizer)
    validation = prepared.held_out()["validation"]

    def train(
        folder, config=experiment.training, *, seed=3, stop_after=None, spoil=None, signals=None
    ):
        plan = BatchPlan(prepared.examples("train"), tokens=128, shapes=1, seed=seed)
        if spoil is not None:
            spoil(plan)
        return fit(
            programs,
            config,
            plan,
            validation,
            folder,
            seed=seed,
            quiet=True,
            stop_after=stop_after,
            signals=signals,
        )

    return experiment.training, train, programs


@pytest.fixture(scope="module")
def whole(parts, tmp_path_factory):
    """(folder, what fit returned) of an uninterrupted run."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, parts[1](folder)


def metrics(folder):
    lines = map(json.loads, (folder / "metrics.jsonl").read_text("utf-8").splitlines())
    return [{name: line[name] for name in line if name not in TIMES} for line in lines]


def bits(folder, programs):
    last = folder / "checkpoints" / str(checkpoint.finished(folder / "checkpoints")[-1])
    mean = checkpoint.read(folder / "mean", programs.structs.params)
    return digest(checkpoint.read(last, programs.structs).state), digest(mean.state)


def test_it_learns_and_tells(parts, whole):
    folder, fitted = whole
    assert fitted.step == 24 and fitted.finished
    assert fitted.best_step == 24
    assert fitted.best_loss < math.log(290) - 1
    assert fitted.tokens > 0 and fitted.tokens_per_second > 0
    assert fitted.peak_bytes > 1e6 and fitted.peak_of in ("device", "process")
    lines = metrics(folder)
    assert [line["step"] for line in lines if line["split"] == "train"] == [5, 10, 15, 20, 24]
    assert [line["step"] for line in lines if line["split"] == "validation"] == [8, 16, 24]
    assert lines[-1]["loss"] == fitted.best_loss
    assert lines[-1]["perplexity"] == pytest.approx(math.exp(fitted.best_loss))
    assert checkpoint.finished(folder / "checkpoints") == [12, 18, 24]


def test_one_program_a_shape_and_none_by_chance(whole):
    # One for the start, one for training, one for evaluation.
    assert whole[1].programs == 3
    assert whole[1].compile_seconds > 0


def test_a_second_run_compiles_nothing(parts, tmp_path):
    fitted = parts[1](tmp_path, seed=4, stop_after=3)
    assert fitted.programs == 0
    assert not fitted.finished


def test_the_mean_is_that_of_the_last_checkpoints(parts, whole):
    folder, programs = whole[0], parts[2]
    trees = [
        checkpoint.read(folder / "checkpoints" / step, programs.structs.params, at="params").state
        for step in ("12", "18", "24")
    ]
    found = checkpoint.read(folder / "mean", programs.structs.params)
    assert found.record == {"steps": [12, 18, 24]}
    assert digest(found.state) == digest(checkpoint.mean(trees))


@pytest.mark.parametrize("stop", [1, 7, 18])
def test_a_stopped_run_ends_with_the_same_bits(parts, whole, tmp_path, stop):
    config, train, programs = parts
    assert train(tmp_path, stop_after=stop).step == stop
    fitted = train(tmp_path)
    assert fitted.finished
    assert bits(tmp_path, programs) == bits(whole[0], programs)
    assert metrics(tmp_path) == metrics(whole[0])
    assert (fitted.best_loss, fitted.tokens) == (whole[1].best_loss, whole[1].tokens)


class AskedAt(Signals):
    """Asked to stop when looked at for the nth time."""

    def __init__(self, times):
        self.left = times
        super().__init__()

    @property
    def asked(self):
        self.left -= 1
        return 15 if self.left < 0 else None

    @asked.setter
    def asked(self, _):
        pass


def test_asked_to_stop_at_any_look_it_saves_and_ends_with_the_same_bits(parts, whole, tmp_path):
    reached = []
    for times in range(0, 27, 3):
        fitted = parts[1](tmp_path, signals=AskedAt(times % 7))
        steps = checkpoint.finished(tmp_path / "checkpoints")
        assert fitted.step == max(steps, default=0)  # the very step that was finished
        reached.append(fitted.step)
    assert not fitted.finished and reached == sorted(reached) and reached[-1] > 8
    assert parts[1](tmp_path).finished
    assert bits(tmp_path, parts[2]) == bits(whole[0], parts[2])
    assert metrics(tmp_path) == metrics(whole[0])


def test_a_finished_run_is_left_alone(parts, whole):
    before = bits(whole[0], parts[2]), metrics(whole[0])
    again = parts[1](whole[0])
    assert again.finished and again.step == 24
    assert (bits(whole[0], parts[2]), metrics(whole[0])) == before


def test_patience_ends_a_run_early_also_across_a_stop(parts, tmp_path, monkeypatch):
    losses = {2: 5.0, 4: 4.0, 6: 4.5, 8: float("nan"), 10: 1.0}
    current = {}
    monkeypatch.setattr(type(parts[2]), "loss", lambda *_, **__: losses[current["progress"].step])
    begin = loop._begin

    def remember(*arguments):
        state, current["progress"] = begin(*arguments)
        return state, current["progress"]

    monkeypatch.setattr(loop, "_begin", remember)
    config = replace(parts[0], evaluate_every=2, patience=2, average=1, keep=1)
    assert not parts[1](tmp_path, config, stop_after=7).finished
    fitted = parts[1](tmp_path, config)
    assert (fitted.step, fitted.finished) == (8, True)
    assert (fitted.best_step, fitted.best_loss) == (4, 4.0)
    assert checkpoint.finished(tmp_path / "checkpoints") == [4, 6, 8]


def spoiler(*places):
    """Makes the weights of these batches NaN."""

    def spoil(plan):
        good = type(plan).__getitem__

        class Spoiled(type(plan)):
            def __getitem__(self, index):
                batch = good(self, index)
                factor = np.float32(np.nan if index in places else 1)
                return batch._replace(weights=batch.weights * factor)

        plan.__class__ = Spoiled

    return spoil


def test_a_loss_that_is_no_number_ends_the_run_with_advice(parts, tmp_path):
    config, train, programs = parts
    with pytest.raises(Diverged, match="loss is nan at step 4, .* replay .*; a lower"):
        train(tmp_path, spoil=spoiler(3))
    kept = checkpoint.read(tmp_path / "bad" / "4", programs.structs, at="state")
    assert kept.record == {"step": 4, "loss": "nan", "gradient_norm": "nan"}
    assert int(kept.state.step) == 3 and kept.state.sound
    assert train(tmp_path / "before", stop_after=3).step == 3
    before = checkpoint.read(tmp_path / "before" / "checkpoints" / "3", programs.structs)
    assert digest(kept.state) == digest(before.state)
    assert checkpoint.finished(tmp_path / "checkpoints") == []


def test_batches_that_give_no_number_can_be_left_out(parts, tmp_path):
    config, train, programs = parts
    folders = []
    for limit, every in ((2, 5), (3, 1)):  # whenever they are noticed, the bits are the same
        folder = tmp_path / str(every)
        folders.append(folder)
        own = replace(config, skip_limit=limit, log_every=every)
        fitted = train(folder, own, spoil=spoiler(3, 7))
        assert fitted.finished and fitted.step == 24
        left = [line["step"] for line in metrics(folder) if line["split"] == "skipped"]
        assert left == [4, 8]
        assert sorted(path.name for path in (folder / "bad").iterdir()) == ["4", "8"]
    assert bits(folders[0], programs) == bits(folders[1], programs)
    last = checkpoint.read(folders[0] / "checkpoints" / "24", programs.structs)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(last.state.params))
    assert last.record["skipped"] == 2 and int(last.state.step) == 24


def test_left_out_batches_are_bounded_also_across_a_stop(parts, tmp_path):
    config = replace(parts[0], skip_limit=1)
    assert parts[1](tmp_path, config, spoil=spoiler(3, 9), stop_after=6).step == 6
    with pytest.raises(Diverged, match="nan at step 10 after 1 batches left out"):
        parts[1](tmp_path, config, spoil=spoiler(3, 9))


def test_another_models_checkpoints_are_refused(parts, whole):
    programs = parts[2]
    kernel = next(iter(checkpoint.flatten(programs.structs.params)))
    wider = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((*leaf.shape, 1), leaf.dtype), programs.structs
    )
    with pytest.raises(ValueError, match=f"another model: .*{kernel}"):
        checkpoint.read(whole[0] / "checkpoints" / "24", wider)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"steps": 0}, "steps is 0"),
        ({"average": 4}, "average is 4, more than keep, 3"),
        ({"smoothing": 1.0}, "smoothing is 1.0"),
        ({"patience": 0}, "patience is 0"),
        ({"rng": "philox"}, "rng is 'philox'"),
        ({"log_every": 0}, "log_every is 0"),
        ({"skip_limit": -1}, "skip_limit is -1"),
        ({"grace": 0.0}, "grace is 0.0"),
        ({"grace": math.inf}, "grace is inf"),
    ],
)
def test_refuses_what_is_no_run(fields, message):
    with pytest.raises(ValueError, match=message):
        TrainingConfig(**fields)


def test_defaults_are_a_run():
    assert TrainingConfig().optimizer == OptimizerConfig()
