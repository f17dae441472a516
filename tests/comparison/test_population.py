"""A population is its members' single runs, but for rounding: numbers, folders, kills."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

from attention_jax.comparison.populations import Population, check, run_together
from attention_jax.experiment import prepare, programs_of, run
from attention_jax.models.bahdanau import BahdanauConfig
from attention_jax.training import checkpoint
from attention_jax.training.ledger import Diverged
from attention_jax.training.loop import fit
from attention_jax.training.population_loop import common_step
from attention_jax.training.restore import Found
from tests.tiny_run import tiny, write_corpus

STEPS = 20
NEAR = 1e-5
"""relative, of losses after 20 steps; parameters, near one in size, are as near absolutely"""
GRID = [(seed, heads, peak) for heads, peak in ((1, 0.01), (4, 0.005)) for seed in (3, 5)]
NAMES = [f"s{seed}-h{heads}" for seed, heads, _ in GRID]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    corpus = write_corpus(tmp_path_factory.mktemp("corpus"))
    kept = {"checkpoint_every": 6, "keep": 2, "average": 2}
    return tiny(corpus, steps=STEPS, rng="threefry2x32", **kept)


@pytest.fixture(scope="module")
def members(base):
    found = []
    for name, (seed, heads, peak) in zip(NAMES, GRID, strict=True):
        # Adam divides by the gradient's size: at the usual eps a gradient of nothing but rounding
        # becomes a whole step, and one flipped sign is seen.
        optimizer = replace(base.training.optimizer, peak=peak, eps=1e-5)
        training = replace(base.training, optimizer=optimizer)
        model = replace(base.model, heads=heads)
        found.append(replace(base, name=name, seed=seed, model=model, training=training))
    return found


@pytest.fixture(scope="module")
def prepared(base):
    return prepare(base.data)


@pytest.fixture(scope="module")
def together(members, prepared, tmp_path_factory):
    """(population on two devices, folder of its runs, what fit returned)."""
    folder = tmp_path_factory.mktemp("together")
    population = Population(members, prepared, devices=jax.devices()[:2])
    return population, folder, population.fit([folder / name for name in NAMES], quiet=True)


@pytest.fixture(scope="module")
def alone(members, prepared, tmp_path_factory):
    """(folder of the same runs, each on its own, what fit returned of each)."""
    folder, found = tmp_path_factory.mktemp("alone"), []
    for one in members:
        programs, place = programs_of(one, prepared.tokenizer), folder / one.name
        validation, plan = prepared.held_out()["validation"], prepared.plan(one.seed)
        found.append(
            fit(programs, one.training, plan, validation, place, seed=one.seed, quiet=True)
        )
    return folder, found


def lines(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def same_run(folder, other, structs):
    """Lines, checkpoints, records and means agree; numbers up to rounding, times not at all."""
    for here, there in zip(lines(folder), lines(other), strict=True):
        assert (here["step"], here["split"]) == (there["step"], there["split"])
        for name in {*here} & {"loss", "perplexity", "gradient_norm", "learning_rate"}:
            # A perplexity is e to the loss: what is a part in 1e5 of the loss is more of it.
            rel = 10 * NEAR if name == "perplexity" else NEAR
            assert here[name] == pytest.approx(there[name], rel=rel), name
    steps = checkpoint.finished(other / "checkpoints")
    assert checkpoint.finished(folder / "checkpoints") == steps
    for step in steps:
        here, there = (
            checkpoint.read(place / "checkpoints" / str(step), structs) for place in (folder, other)
        )
        for name in ("step", "position", "best_step", "bad", "finished", "tokens"):
            assert here.record[name] == there.record[name], name
        near(here.state.params, there.state.params)
        np.testing.assert_array_equal(here.state.rng, there.state.rng)
        assert here.state.step == there.state.step == step
    here, there = (checkpoint.read(place / "mean", structs.params) for place in (folder, other))
    assert here.record == there.record
    near(here.state, there.state)


def near(one, other):
    for here, there in zip(*map(jax.tree.leaves, (one, other)), strict=True):
        np.testing.assert_allclose(here, there, rtol=0, atol=NEAR)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_member_is_its_single_run(together, alone, name):
    """Heads x seeds x rates with dropout, two members on each of two devices."""
    population, folder, fitted = together
    assert len(population.programs.devices) == 2
    same_run(folder / name, alone[0] / name, population.programs.single.structs)
    found, wanted = (every[NAMES.index(name)] for every in (fitted, alone[1]))
    assert (found.step, found.finished, found.tokens) == (STEPS, True, wanted.tokens)
    assert found.best_step == wanted.best_step
    assert found.best_loss == pytest.approx(wanted.best_loss, rel=NEAR)


@pytest.mark.slow
def test_members_differ(together):
    """So that their agreement with single runs says something."""
    ends = [lines(together[1] / name)[-1]["loss"] for name in NAMES]
    assert len({round(loss, 3) for loss in ends}) == len(ends)


def common(population, folders):
    structs = population.programs.single.structs
    return common_step([Found(folder, structs) for folder in folders])


@pytest.mark.slow
def test_killed_it_goes_on_from_the_last_sound_step_of_all(together, alone, tmp_path, capfd):
    population, folders = together[0], [tmp_path / name for name in NAMES]
    stopped = population.fit(folders, quiet=True, stop_after=14)
    assert [(found.step, found.finished) for found in stopped] == [(14, False)] * 4
    shutil.rmtree(folders[2] / "checkpoints" / "14")  # as if killed before this one was written
    assert common(population, folders) == 12
    spoilt = next((folders[1] / "checkpoints" / "12" / "manifest").glob("*.json"))
    spoilt.write_text(spoilt.read_text("utf-8").replace("1", "2", 1), "utf-8")
    fitted = population.fit(folders, quiet=True)
    assert all(found.finished for found in fitted)
    assert "going on from step 8" in capfd.readouterr().err
    for name in NAMES:
        same_run(tmp_path / name, alone[0] / name, population.programs.single.structs)


@pytest.mark.slow
def test_a_member_goes_on_alone(together, alone, members, prepared, tmp_path):
    population, folders = together[0], [tmp_path / name for name in NAMES]
    population.fit(folders, quiet=True, stop_after=7)
    one, place = members[3], folders[3]
    programs, plan = programs_of(one, prepared.tokenizer), prepared.plan(one.seed)
    validation = prepared.held_out()["validation"]
    fit(programs, one.training, plan, validation, place, seed=one.seed, quiet=True)
    same_run(place, alone[0] / one.name, population.programs.single.structs)
    # It is finished, and what it had in common with the others has gone; they have their own.
    assert (common(population, folders), common(population, folders[:3])) == (0, 7)


@pytest.mark.slow
def test_a_member_whose_loss_is_no_number_leaves_the_others_alone(
    together, alone, tmp_path, monkeypatch
):
    programs, start = together[0].programs, together[0].programs.single.start

    def spoilt(seed):
        state = start(seed)
        if seed == 5:
            state = state._replace(params=jax.tree.map(lambda leaf: leaf * np.nan, state.params))
        return state

    monkeypatch.setattr(programs.single, "start", spoilt)
    fitted = together[0].fit([tmp_path / name for name in NAMES], quiet=True)
    for name, (seed, _, _), found in zip(NAMES, GRID, fitted, strict=True):
        if seed == 5:
            assert isinstance(found, Diverged) and f"{name}: the loss is nan at step 1" in str(
                found
            )
        else:
            same_run(tmp_path / name, alone[0] / name, programs.single.structs)


@pytest.mark.slow
def test_run_together_leaves_runs_that_only_want_scores(members, prepared, tmp_path, monkeypatch):
    """On one device, without dropout, where any generator will do."""
    monkeypatch.setattr(jax, "local_devices", lambda: jax.devices()[:1])
    brief = {"training": {"steps": 6, "rng": "rbg"}, "model": {"dropout": 0.0}}
    places = {tmp_path / one.name: change(one, **brief) for one in members[:2]}
    records = dict(run_together(places, prepared, quiet=True))
    assert list(records) == list(places)
    for folder, one in places.items():
        assert (records[folder]["steps"], records[folder]["seed"]) == (6, one.seed)
        for name in ("config", "tokenizer", "environment", "result"):
            assert (folder / f"{name}.json").exists()
        assert json.loads((folder / "environment.json").read_text())["together"] == 2
    folder, one = next(iter(places.items()))
    wanted = run(one, tmp_path / "alone", quiet=True, prepared=prepared)
    for name in ("loss", "best_step", "tokens", "parameters"):
        assert records[folder][name] == pytest.approx(wanted[name], rel=NEAR), name
    monkeypatch.setattr(Population, "fit", None)
    assert dict(run_together(places, prepared, quiet=True)) == records


def change(one, **parts):
    """The experiment with fields of its parts replaced."""
    return replace(one, **{name: replace(getattr(one, name), **f) for name, f in parts.items()})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ([{}, {"training": {"smoothing": 0.2}}], "training.smoothing is 0.2 in s3-h1 and 0.1"),
        ([{}, {"model": {"width": 32}}], "model.width is 32"),
        ([{}, {"data": {"batch_tokens": 64}}], "data.batch_tokens is 64"),
        ([{"model": {"heads": 8}}, {"model": {"heads": 1}}, {"model": {"heads": 16}}], None),
        ([{"training": {"rng": "rbg"}}] * 2, "rng is 'rbg' with dropout 0.1; .*threefry2x32"),
        ([{"model": {"head_size": 4}}, {"model": {"heads": 2, "head_size": 4}}], "model.head_size"),
        ([{"training": {"embeddings": Path("v")}}] * 2, "training.embeddings is v; members"),
    ],
)
def test_names_the_field_that_makes_it_no_population(members, changes, message):
    chosen = [change(members[0], **parts) for parts in changes]
    if message is None:
        check(chosen)
        return
    with pytest.raises(ValueError, match=message):
        check(chosen)


def test_only_transformers_train_together(members):
    with pytest.raises(ValueError, match="model.kind is bahdanau; populations are of Transformers"):
        check([replace(one, model=BahdanauConfig(width=16)) for one in members[:2]])


def test_refuses_seeds_with_many_shapes_and_head_counts_that_do_not_divide(members):
    many = [change(one, data={"shapes": 3}) for one in members]
    check([many[0], many[2]])  # of one seed
    with pytest.raises(ValueError, match="data.shapes is 3 with several seeds"):
        check(many)
    wide = [change(members[0], model={"width": 24, "heads": heads}) for heads in (2, 3)]
    with pytest.raises(ValueError, match="model.heads is 2 in one member and 3 in another"):
        check(wide)
    optimizer = replace(members[0].training.optimizer, initial=0.001)
    risen = [change(one, training={"optimizer": optimizer}) for one in members[:2]]
    check(risen)
    other = replace(optimizer, peak=0.02)
    with pytest.raises(ValueError, match="optimizer.initial is 0.001, but members differ in the"):
        check([risen[0], change(members[0], training={"optimizer": other})])
    with pytest.raises(ValueError, match="members is empty"):
        check([])
