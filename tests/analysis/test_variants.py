import numpy as np
import pytest

from attention_jax.analysis.statistics import paired_difference
from attention_jax.analysis.variants import compare, curve, read

LABELS = ("1 head", "2 heads", "4 heads", "8 heads")
PLAN = [(variant, seed) for variant in LABELS for seed in (0, 1, 2)]
CLEAR = dict(zip(LABELS, (0.6, 0.5, 0.4, 0.45), strict=True))


def record(variant, seed, loss, **other):
    scores = {"loss": loss, "exact_match": 1 - loss, "bleu": {"score": 100 * (1 - loss)}}
    test = {"test": {**scores, "loss": loss + 0.01}, "test_long": scores}
    return {
        "name": f"{variant}-{seed}", "variant": variant, "seed": seed, "parameters": 1000, **scores,
        "test": test, "tokens_per_second": 5000.0, "memory_bytes": 2**30, **other,
    }  # fmt: skip


def runs(means, noise=0.001, plan=PLAN):
    rng = np.random.default_rng(0)
    seeds = {seed: rng.normal() * 0.05 for seed in (0, 1, 2)}
    return [record(v, s, means[v] + seeds[s] + noise * rng.normal()) for v, s in plan]


def test_rows_hold_means_spreads_and_paired_differences():
    records = runs(CLEAR)
    found = compare(records, expected=PLAN)
    assert [row.variant for row in found.rows] == list(LABELS)
    assert (found.primary.name, found.pairs, found.missing) == ("test_loss", 6, ())
    assert found.best == "4 heads"
    losses = {
        one: {r["seed"]: r["test"]["test"]["loss"] for r in records if r["variant"] == one}
        for one in ("1 head", "4 heads")
    }
    cell = found.rows[0].cells["test_loss"]
    assert cell.summary is not None and cell.summary.mean == pytest.approx(
        np.mean(list(losses["1 head"].values()))
    )
    assert cell.summary.deviation == pytest.approx(np.std(list(losses["1 head"].values()), ddof=1))
    assert cell.difference == paired_difference(losses["1 head"], losses["4 heads"], comparisons=6)
    assert found.rows[2].cells["test_loss"].difference is None
    assert found.rows[0].cells["test_long_bleu"].summary is not None


def test_a_metric_that_no_run_has_is_no_column():
    names = [metric.name for metric in compare(runs(CLEAR)).metrics]
    assert "test_bleu" in names and "memory" in names
    assert "test_chrf" not in names and "train_seconds" not in names


def test_higher_may_be_better():
    found = compare(runs(CLEAR), primary="test_exact")
    assert found.best == "4 heads"


def test_variants_stand_in_the_order_of_the_plan_then_of_the_records():
    records = [record(variant, 0, 0.5) for variant in ("late", "4 heads", "16 heads")]
    plan = [("16 heads", 1), ("16 heads", 0), ("4 heads", 0)]
    found = compare(records, expected=plan)
    assert [row.variant for row in found.rows] == ["16 heads", "4 heads", "late"]
    assert (found.missing, found.expected) == ((("16 heads", 1),), 4)
    assert found.best == "16 heads"  # of equals, the first


def test_cache_and_decoding_speed_are_columns_where_runs_have_them():
    records = runs(CLEAR)
    for place, run in enumerate(records):
        run |= {"cache_bytes": 1024 * (place + 1), "decode_tokens_per_second": 100.0}
    found = {metric.name: metric for metric in compare(records).metrics}
    cache, speed = found["cache_bytes"], found["decode_tokens_per_second"]
    assert (cache.label, cache.better, cache.style) == ("cache a sentence", "lower", "bytes")
    assert (speed.label, speed.better, speed.style) == ("decoded tokens/s", "higher", "count")
    assert read(records[1], cache) == 2048


def test_the_worst_pair_says_what_the_seeds_can_show():
    found = compare(runs(CLEAR))
    each = [row.cells["test_loss"].difference for row in found.rows]
    assert found.detectable == max(one.detectable for one in each if one is not None)
    assert compare([]).detectable is None


def test_without_test_splits_validation_decides():
    records = [{**run, "test": {}} for run in runs(CLEAR)]
    assert compare(records).primary.name == "validation_loss"


def test_missing_and_failed_runs_are_named():
    records = runs(CLEAR, plan=PLAN[:5])
    records[0]["test"]["test"]["loss"] = float("nan")
    found = compare(records, expected=PLAN)
    assert found.missing == tuple(PLAN[5:])
    assert found.failed == (("1 head", 0),)
    assert found.shared == (1,)
    assert found.pairs == 6


def test_the_best_is_picked_on_seeds_that_all_share():
    # The wide one has an easy seed that the narrow one lacks; on the shared seed it is worse.
    records = [record("wide", 0, 0.9), record("wide", 1, 0.1), record("narrow", 0, 0.8)]
    assert compare(records).best == "narrow"


def test_no_shared_seed_no_best():
    found = compare([record("wide", 0, 0.9), record("narrow", 1, 0.8)])
    assert found.best is None
    assert all(row.cells["test_loss"].difference is None for row in found.rows)


def test_nothing_at_all():
    found = compare([], expected=PLAN)
    assert found.rows == () and len(found.missing) == 12


@pytest.mark.parametrize(
    ("records", "words"),
    [
        ([record("wide", 0, 0.5), record("wide", 0, 0.6)], "two records of variant='wide', seed=0"),
        ([{"name": "odd", "seed": 0}], "variant=None in the record 'odd'; a label would fit"),
        ([{"name": "odd", "variant": "wide"}], "seed=None in the record 'odd'; a number would fit"),
    ],
)
def test_records_that_do_not_fit_are_refused(records, words):
    with pytest.raises(ValueError, match=words):
        compare(records)


def test_an_unknown_metric_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match="found primary='nonsense'; one of validation_loss"):
        compare([record("wide", 0, 0.5)], primary="nonsense")


def test_read_takes_scores_and_leaves_what_is_not_there():
    metric = {m.name: m for m in compare([record("wide", 0, 0.5)]).metrics}["test_bleu"]
    assert read(record("wide", 0, 0.5), metric) == pytest.approx(50)
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
