import numpy as np
import pytest

from attention_jax.analysis.head_counts import compare, curve, read
from attention_jax.analysis.statistics import paired_difference

PLAN = [(heads, seed) for heads in (1, 2, 4, 8) for seed in (0, 1, 2)]


def record(heads, seed, loss, **other):
    scores = {"loss": loss, "exact_match": 1 - loss, "bleu": {"score": 100 * (1 - loss)}}
    test = {"test": {**scores, "loss": loss + 0.01}, "test_long": scores}
    return {
        "name": f"h{heads}s{seed}", "heads": heads, "seed": seed, "parameters": 1000, **scores,
        "test": test, "tokens_per_second": 5000.0, "memory_bytes": 2**30, **other,
    }  # fmt: skip


def runs(means, noise=0.001, plan=PLAN):
    rng = np.random.default_rng(0)
    seeds = {seed: rng.normal() * 0.05 for seed in (0, 1, 2)}
    return [record(h, s, means[h] + seeds[s] + noise * rng.normal()) for h, s in plan]


def test_rows_hold_means_spreads_and_paired_differences():
    records = runs({1: 0.6, 2: 0.5, 4: 0.4, 8: 0.45})
    found = compare(records, expected=PLAN)
    assert [row.heads for row in found.rows] == [1, 2, 4, 8]
    assert (found.primary.name, found.best, found.pairs, found.missing) == ("test_loss", 4, 6, ())
    losses = {
        heads: {r["seed"]: r["test"]["test"]["loss"] for r in records if r["heads"] == heads}
        for heads in (1, 4)
    }
    cell = found.rows[0].cells["test_loss"]
    assert cell.summary is not None and cell.summary.mean == pytest.approx(
        np.mean(list(losses[1].values()))
    )
    assert cell.summary.deviation == pytest.approx(np.std(list(losses[1].values()), ddof=1))
    assert cell.difference == paired_difference(losses[1], losses[4], comparisons=6)
    assert found.rows[2].cells["test_loss"].difference is None
    assert found.rows[0].cells["test_long_bleu"].summary is not None


def test_a_metric_that_no_run_has_is_no_column():
    names = [metric.name for metric in compare(runs({1: 0.5, 2: 0.5, 4: 0.5, 8: 0.5})).metrics]
    assert "test_bleu" in names and "memory" in names
    assert "test_chrf" not in names and "train_seconds" not in names


def test_higher_may_be_better():
    found = compare(runs({1: 0.6, 2: 0.5, 4: 0.4, 8: 0.45}), primary="test_exact")
    assert found.best == 4


def test_without_test_splits_validation_decides():
    records = [{**run, "test": {}} for run in runs({1: 0.6, 2: 0.5, 4: 0.4, 8: 0.45})]
    assert compare(records).primary.name == "validation_loss"


def test_missing_and_failed_runs_are_named():
    records = runs({1: 0.6, 2: 0.5, 4: 0.4, 8: 0.45}, plan=PLAN[:5])
    records[0]["test"]["test"]["loss"] = float("nan")
    found = compare(records, expected=PLAN)
    assert found.missing == tuple(PLAN[5:])
    assert found.failed == ((1, 0),)
    assert found.shared == (1,)
    assert found.pairs == 6


def test_the_best_is_picked_on_seeds_that_all_share():
    # Head count 1 has an easy seed that 2 lacks; on the shared seed it is worse.
    records = [record(1, 0, 0.9), record(1, 1, 0.1), record(2, 0, 0.8)]
    assert compare(records).best == 2


def test_no_shared_seed_no_best():
    found = compare([record(1, 0, 0.9), record(2, 1, 0.8)])
    assert found.best is None
    assert all(row.cells["test_loss"].difference is None for row in found.rows)


def test_nothing_at_all():
    found = compare([], expected=PLAN)
    assert found.rows == () and len(found.missing) == 12


@pytest.mark.parametrize(
    ("records", "words"),
    [
        ([record(1, 0, 0.5), record(1, 0, 0.6)], "two records of heads=1, seed=0"),
        ([{"name": "odd", "seed": 0}], "heads=None in the record 'odd'"),
    ],
)
def test_records_that_do_not_fit_are_refused(records, words):
    with pytest.raises(ValueError, match=words):
        compare(records)


def test_an_unknown_metric_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match="found primary='nonsense'; one of validation_loss"):
        compare([record(1, 0, 0.5)], primary="nonsense")


def test_read_takes_scores_and_leaves_what_is_not_there():
    metric = {m.name: m for m in compare([record(1, 0, 0.5)]).metrics}["test_bleu"]
    assert read(record(1, 0, 0.5), metric) == pytest.approx(50)
    assert read({"test": {"test": {"bleu": 12.5}}}, metric) == 12.5
    assert read({"test": {"test": {"bleu": None}}}, metric) is None
    assert read({"test": None}, metric) is None


def test_curve_keeps_one_split():
    lines = [
        {"step": 1, "split": "train", "loss": 9.0},
        {"step": 2, "split": "validation", "loss": 3.0},
        {"step": 4, "split": "validation", "loss": 2.0, "perplexity": 7.4},
    ]
    assert curve(lines) == [(2, 3.0), (4, 2.0)]
