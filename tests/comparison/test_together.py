import json
import math
from dataclasses import replace

import jax
import pytest

from attention_jax.comparison import together
from attention_jax.comparison.together import Taken, Way, _shares, decide, measure
from attention_jax.experiment import prepare
from tests.tiny_run import tiny, write_corpus


@pytest.fixture(scope="module")
def members(tmp_path_factory):
    one = tiny(write_corpus(tmp_path_factory.mktemp("corpus")))
    base = replace(one, model=replace(one.model, dropout=0.0))
    return [
        replace(base, name=f"s{seed}-h{heads}", seed=seed, model=replace(base.model, heads=heads))
        for seed in (0, 1)
        for heads in (1, 2)
    ]


@pytest.fixture(scope="module")
def prepared(members):
    return prepare(members[0].data)


def taking(monkeypatch, one, other):
    """Lets the two ways take so many seconds a step."""

    def taken(members, prepared, ways, *, rounds, steps):
        assert ways == {"together": Way(True, 1), "apart": Way(False, 2)}
        return {"together": Taken(one, 3.0), "apart": Taken(other, 4.0)}

    monkeypatch.setattr(together, "measure", taken)


@pytest.mark.parametrize(
    ("one", "other", "ratio"), [([2.0, 9.0, 3.0], [2.0, 2.0, 2.0], 1.5), ([1.0], [4.0], 0.25)]
)
def test_medians_decide_and_are_recorded(
    members, prepared, monkeypatch, tmp_path, one, other, ratio
):
    taking(monkeypatch, one, other)
    record = tmp_path / "report" / "together.json"
    found = decide(members, prepared, workers=2, record=record)
    assert (found.together, found.ratio, found.members, found.workers) == (ratio < 1, ratio, 4, 2)
    assert f"{ratio:.2f} times as long" in found.reason and "in 2 processes" in found.reason
    kept = json.loads(record.read_text("utf-8"))
    assert kept["ratio"] == ratio and kept["environment"]["packages"]["jax"] == jax.__version__


def test_what_is_no_population_goes_apart_without_a_measurement(members, prepared, monkeypatch):
    monkeypatch.setattr(together, "measure", None)
    other = replace(members[1], training=replace(members[1].training, smoothing=0.2))
    found = decide([members[0], other], prepared, workers=2)
    assert (found.together, found.ratio) == (False, None)
    assert found.reason.startswith("apart: training.smoothing is 0.2")


def test_processes_get_whole_head_counts_where_there_are_enough(members):
    assert _shares(members, 2) == [members[::2], members[1::2]]
    assert [len(share) for share in _shares(members, 3)] == [2, 1, 1]
    assert _shares(members, 1) == [members]


@pytest.mark.slow
def test_both_ways_take_the_same_steps(members, prepared):
    """What is timed trains, and trains the same: step by step, member by member."""
    one, other = together._together(members, prepared), together._apart(members, prepared)
    for number in range(3):
        found, wanted = one(number), other(number)
        losses = jax.device_get(found.loss).reshape(-1)
        assert losses == pytest.approx([float(step.loss) for step in wanted], rel=1e-5)
    assert math.isfinite(losses[0])


@pytest.mark.slow
def test_measures_in_fresh_processes_in_turn(members, prepared):
    said = []
    ways = {"one": Way(True, 1), "two": Way(False, 2)}
    found = measure(members, prepared, ways, rounds=2, steps=2, between=said.append)
    assert said == ["one", "two"] * 3 + [""]
    for taken in found.values():
        assert len(taken.seconds) == 2 and min(taken.seconds) > 0 and taken.compile_seconds > 0


@pytest.mark.slow
def test_a_process_that_ends_says_why(members, prepared, monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "nowhere")
    with pytest.raises(ValueError, match="a process of the measurement ended: .*nowhere"):
        measure(members, prepared, {"one": Way(True, 1)}, rounds=1, steps=1)
