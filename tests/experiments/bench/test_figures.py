"""Figures, tables and comparisons, with numbers made by hand."""

import json

import pytest

from experiments.benchmarks.bench.earlier import append, differences, read
from experiments.benchmarks.bench.figures import agree, figures, ratio
from experiments.benchmarks.bench.table import long, wide

ROUNDS = [[1.0, 3.0, 2.0], [4.0, 4.0], [1.0]]


def test_figures_are_medians_of_rounds():
    assert figures(ROUNDS) == {
        "ms": 2000.0, "min_ms": 1000.0, "spread": 4.0, "round_ms": [2000.0, 4000.0, 1000.0],
        "calls": 6,
    }  # fmt: skip
    assert figures(ROUNDS[:2])["spread"] is None


def test_a_ratio_is_of_medians_and_has_that_of_each_round():
    found = ratio(ROUNDS, [[1.0], [1.0], [4.0]])
    assert found == {"ratio": 2.0, "ratio_range": [0.25, 4.0]}


@pytest.mark.parametrize("numbers, others, tolerance, same", [
    ([1.0, 100.0], [1.0, 100.0], 0.0, True),
    ([1.0, 100.0], [1.0, 100.1], 0.0, False),
    ([1.0, 100.0], [1.05, 100.05], 1e-3, True),  # .05 is little beside 100
    ([1.0, 100.0], [1.5, 100.0], 1e-3, False),
    ([1.0], [1.0, 1.0], 1.0, False),
    ([float("nan")], [float("nan")], 1.0, False),
    ([float("inf")], [float("inf")], 1.0, False),
])  # fmt: skip
def test_results_agree(numbers, others, tolerance, same):
    assert agree(numbers, others, tolerance) is same


def record(contender="ours", ms=10.0, spread: float | None = 1.1, **more):
    return {
        "bench": "b", "title": "t", "case": {"n": 1}, "contender": contender, "label": "x 1.0",
        "on": "cpu",
        "versions": {"x": "1.0"}, "device": "cpu", "cores": [0], "clock": "wall",
        "allocator": "as it is", "when": "2026-11-01", "ms": ms, "min_ms": ms, "spread": spread,
        "peak_mib": 3.4, "prepare_s": 0.5, "first_s": 0.25,
    } | more  # fmt: skip


def test_a_run_that_differs_by_more_than_the_spread_is_told():
    (line,) = differences([record(ms=13.4)], [record()])
    assert line == (
        "ours, t: 13.40 ms differs from the run of 2026-11-01, 10.00 ms, by 1.34, "
        "more than the spread, 1.10"
    )
    assert differences([record(ms=7.0)], [record()])  # faster is different too
    assert not differences([record(ms=10.9)], [record()])
    assert not differences([record(ms=13.4, spread=1.5)], [record()])
    assert not differences([record(ms=13.4)], [record(spread=None)])
    # The last one counts.
    assert not differences([record(ms=13.4)], [record(), record(ms=13.0)])


@pytest.mark.parametrize("other", [
    {"versions": {"x": "1.1"}}, {"device": "other"}, {"on": "gpu"}, {"cores": [0, 1]},
    {"case": {"n": 2}}, {"allocator": {"MALLOC_ARENA_MAX": "1"}}, {"contender": "theirs"},
    {"clock": "cpu"},
])  # fmt: skip
def test_only_like_is_held_against_like(other):
    assert not differences([record(ms=99.0)], [record(**other)])


def test_records_go_behind_those_of_the_file(tmp_path):
    file = tmp_path / "made" / "figures.jsonl"
    append(file, [record()])
    append(file, [record(ms=2.0)])
    assert [one["ms"] for one in read(file)] == [10.0, 2.0]
    file.write_text(json.dumps(record()) + "\n[1]\n")
    with pytest.raises(ValueError, match="line 2 is no record"):
        read(file)


MEASURED = [
    record("torch", 20.0, peer="torch", ratio=1.0, ratio_range=[1.0, 1.0]),
    record("attention_jax", 1234.5, peer="torch", ratio=0.5, ratio_range=[0.4, 0.6]),
    record("flax", title="u", own_ratio=1.5, spread=None, peak_mib=None),
    {"title": "u", "contender": "torch", "error": "gone"},
]


def test_a_wide_table_has_a_row_for_each_case():
    assert wide(MEASURED).splitlines() == [
        "| case | peer, ms | torch | attention_jax | flax | torch, MiB | attention_jax, MiB |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        "| t | torch: 20.00 | 1 | 0.50 |  | 3 | 3 |",
        "| u |  | failed |  | 10.00 ms [1.50] |  |  |",
    ]


def test_a_long_table_has_a_row_for_each_contender():
    heads, _, torch, ours, flax, failed = long(MEASURED).splitlines()
    assert heads.count("|") == torch.count("|") == failed.count("|") == 11
    assert ours == (
        "| t | attention_jax | 1,234 | 1,234 | 1.10 | 0.50 | 0.40 to 0.60 | 3 | 0.5 | 0.25 |"
    )
    assert flax == "| u | flax | 10.00 | 10.00 |  |  |  |  | 0.5 | 0.25 |"
    assert "failed" in failed
