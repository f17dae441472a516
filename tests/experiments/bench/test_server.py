"""A library's process answers, fails in words, and is missed when it dies."""

import os
import sys

import pytest

from experiments.benchmarks.bench.entry import Contender, Entry
from experiments.benchmarks.bench.pool import Pool
from experiments.benchmarks.bench.process import Ended, Process, Refused, here
from experiments.benchmarks.bench.records import failures, records
from experiments.benchmarks.bench.turns import measure

FAKE = "tests.experiments.bench.fake_library"


@pytest.fixture(scope="module")
def process():
    one = Process(sys.executable, cores=here()[:1])
    yield one
    one.close()


def entry(name, title="a case", python=sys.executable, tolerance=0.0, **case):
    return Entry(FAKE, Contender(name, name, python), case, title, tolerance)


def taken(*entries, rounds=3, seconds=0.0):
    with Pool(os.environ, here()[:1]) as pool:
        return records(measure(entries, pool, rounds=rounds, seconds=seconds), ["wrong"])


def test_it_prepares_runs_and_drops(process):
    found = process.prepare(FAKE, "right", {"mebibytes": 40})
    assert found["label"] == "fake right" and found["look"] == [1.0, 2.0]
    assert found["prepare_s"] >= 0 and found["first_s"] > 0
    if found["peak_mib"] is not None:  # not every system tells
        assert 38 < found["peak_mib"] < 60
    assert len(process.run(FAKE, "right", {"mebibytes": 40}, 4)) == 4
    process.drop()
    with pytest.raises(Refused, match="KeyError"):
        process.run(FAKE, "right", {"mebibytes": 40}, 1)
    assert process.versions["python"] and process.versions["jax"]


def test_seconds_are_those_of_the_calls(process):
    process.prepare(FAKE, "right", {"sleep": 0.01})
    assert all(0.01 <= one < 0.5 for one in process.run(FAKE, "right", {"sleep": 0.01}, 3))


def test_what_is_not_there_is_refused_in_words(process):
    with pytest.raises(
        Refused, match=r"contender is 'left'; of \['right', 'wrong'\] one would fit"
    ):
        process.prepare(FAKE, "left", {})
    with pytest.raises(Refused, match="No module named"):
        process.prepare("tests.experiments.bench.nowhere", "right", {})
    with pytest.raises(Ended, match="/no/python cannot be started: No such file"):
        Process("/no/python", cores=here()[:1])


def test_a_death_is_told_with_the_last_lines(capsys):
    found = taken(entry("right", dies="early"), entry("wrong"))
    assert "ended with code 7" in found[0]["error"]
    assert "this line is its last" in found[0]["error"]
    assert "left out: right, a case" in capsys.readouterr().err
    # The other one shared its process.
    assert "ended with code 7" in found[1]["error"]
    assert len(failures(found)) == 2


def test_a_death_in_the_middle_does_not_hang():
    found = taken(entry("right", dies="late"))
    assert "ended with code 9" in found[0]["error"] and "ms" not in found[0]


def test_turns_give_ratios_and_compare_results():
    found = taken(entry("right", sleep=0.02), entry("wrong", sleep=0.02), entry("left"), rounds=3)
    right, wrong, left = found
    assert right["peer"] == wrong["peer"] == "wrong" and wrong["ratio"] == 1
    assert 0.3 < right["ratio"] < 0.8 and right["calls"] == 3 and len(right["round_ms"]) == 3
    low, high = right["ratio_range"]
    assert low <= high and right["min_ms"] <= right["ms"]
    assert right["agrees"] is False and wrong["agrees"] is True
    assert "left" in left["error"]
    assert failures(found) == [
        "right, a case: the result is not that of wrong",
        f"left, a case: {left['error']}",
    ]


def test_a_case_is_held_against_another_of_the_same_contender():
    half = entry("right", "half", sleep=0.01)
    whole = entry("right", "whole", sleep=0.02, ahead=False)
    beside = Entry(FAKE, half.contender, half.case, half.title, None, beside="whole")
    found = taken(whole, beside)
    assert found[1]["beside"] == "whole" and 0.3 < found[1]["own_ratio"] < 0.8
    assert "agrees" not in found[1] and "own_ratio" not in found[0] and "ratio" not in found[0]
    assert found[0]["agrees_with"] == "right"  # itself: no peer is there
