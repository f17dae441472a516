import numpy as np
import pytest

from attention_jax.analysis.variants import compare
from attention_jax.analysis.verdict import listed, verdict

LABELS = {1: "1 head", 2: "2 heads", 4: "4 heads", 8: "8 heads"}
PLAN = [(heads, seed) for heads in LABELS for seed in (0, 1, 2)]


def said(means, noise=0.0005, plan=PLAN, labels=LABELS):
    rng = np.random.default_rng(3)
    records = [
        {"variant": labels[h], "seed": s, "loss": means[h] + s * 0.1 + noise * rng.normal()}
        for h, s in plan
    ]
    return verdict(compare(records, expected=[(labels[h], s) for h, s in PLAN]))


def test_a_clear_winner_is_named_with_the_nearest_interval():
    text = said({1: 0.6, 2: 0.5, 4: 0.4, 8: 0.45})
    assert text.startswith("4 heads did best: over 3 seeds, the validation loss is lower than with")
    assert "1, 2 and 8 heads" in text and "excludes zero" in text
    assert "The nearest is 8 heads, behind by 0.0" in text
    assert "(95% interval 0.0" in text and text.endswith("6 pairs at once).")


def test_the_interval_said_is_that_of_the_table():
    runs = {"wide": (0.5, 0.61, 0.7), "narrow": (0.4, 0.5, 0.6)}
    records = [
        {"variant": variant, "seed": seed, "loss": loss}
        for variant, losses in runs.items()
        for seed, loss in enumerate(losses)
    ]
    # Differences 0.1, 0.11 and 0.1: mean 0.1033, deviation 0.00577, t(0.975, 2) = 4.3027.
    assert "The difference is 0.103 (95% interval 0.089 to 0.118)." in verdict(compare(records))


def test_where_higher_is_better_behind_is_still_positive():
    records = [
        {"variant": variant, "seed": seed, "exact_match": value + 0.001 * seed * (value > 0.6)}
        for variant, value in (("wide", 0.5), ("narrow", 0.7))
        for seed in (0, 1, 2)
    ]
    text = verdict(compare(records, primary="validation_exact"))
    assert text.startswith("Narrow did best: over 3 seeds, the validation exact match is higher")
    assert "The difference is 20.1 points (95% interval 19.9 to 20.3)." in text


def test_one_head_may_be_best():
    assert said({1: 0.3, 2: 0.5, 4: 0.6, 8: 0.7}).startswith("1 head did best")


def test_a_null_result_is_a_result():
    text = said({1: 0.5, 2: 0.5, 4: 0.5, 8: 0.5}, noise=0.01)
    assert text.startswith("No difference found: over 3 seeds")
    assert "did best" not in text and "may be chance" in text
    assert "The farthest is" in text and "interval −0." in text
    assert text.endswith("four times in five.")


def test_a_null_result_says_what_the_seeds_could_have_shown():
    records = [
        {"variant": variant, "seed": seed, "loss": loss}
        for variant, losses in (("wide", (1.0, 2.0, 4.0)), ("narrow", (1.1, 1.8, 4.0)))
        for seed, loss in enumerate(losses)
    ]
    found = compare(records)
    assert found.detectable == pytest.approx(0.499, abs=1e-3)  # 0.1528 / √3 times 5.65
    assert "show a true difference of 0.499 four times in five." in verdict(found)


def test_a_mixed_result_says_both():
    text = said({1: 0.7, 2: 0.5, 4: 0.5, 8: 0.5}, noise=0.004)
    assert "lower than with 1 head, by intervals that exclude zero" in text
    assert "No difference found from" in text and "four times in five" in text


def test_one_seed_tells_nothing():
    text = said({1: 0.6, 2: 0.5, 4: 0.4, 8: 0.45}, plan=[run for run in PLAN if run[1] == 0])
    assert text.startswith("Preliminary, 4 of 12 runs finished. One seed cannot tell")


def test_seeds_that_disagree_about_the_best_are_no_answer():
    # "a" is better than "b" on each of four seeds, but the one seed that all share favours "b".
    losses = {"a": (0.9, 0.11, 0.12, 0.13, 0.14), "b": (0.8, 0.8, 0.81, 0.82, 0.83), "c": (0.95,)}
    records = [
        {"variant": variant, "seed": seed, "loss": loss}
        for variant, found in losses.items()
        for seed, loss in enumerate(found)
    ]
    records += [
        {"variant": v, "seed": s, "loss": x}
        for v, x in (("a", 0.1), ("b", 0.8))
        for s in range(5, 20)
    ]
    assert "finish the missing runs first" in verdict(compare(records))


def test_differences_equal_in_all_seeds_have_no_interval_to_say():
    records = [{"variant": v, "seed": s, "loss": 0.5} for v in ("wide", "narrow") for s in range(3)]
    text = verdict(compare(records))
    assert text.startswith("No difference found") and text.endswith("which may be chance.")


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ([], "Preliminary, 0 of 12 runs finished. There is nothing to compare yet."),
        ([(4, 0)], "Only 4 heads so far"),
        ([(4, 0), (8, 1)], "No seed has finished for all of these"),
    ],
)
def test_too_little_is_said_to_be_too_little(plan, words):
    assert words in said({4: 0.4, 8: 0.5}, plan=plan)


def test_runs_without_a_finite_loss_are_named():
    records = [
        {"variant": LABELS[h], "seed": s, "loss": 0.1 * h + s} for h in (1, 2) for s in (0, 1, 2)
    ]
    records[0]["loss"] = float("inf")
    text = verdict(compare(records))
    assert text.endswith("Left out for want of a finite validation loss: 1 head seed 0.")


@pytest.mark.parametrize(("seeds", "reports", "most"), [(3, 150, 15), (8, 40, 6)])
def test_equal_variants_seldom_look_different(seeds, reports, most):
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(reports):
        records = [
            {"variant": variant, "seed": seed, "loss": 1 + 0.01 * rng.normal()}
            for variant in LABELS.values()
            for seed in range(seeds)
        ]
        wrong += not verdict(compare(records)).startswith("No difference found")
    assert wrong <= most  # 5 in 100 are promised; 27 of 150 would be wrong without the correction


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        ([], ""),
        (["1 head"], "1 head"),
        (["1 head", "2 heads", "4 heads"], "1, 2 and 4 heads"),
        (["8 heads", "1 head"], "8 and 1 heads"),
        (["1 key/value head", "4 key/value heads"], "1 and 4 key/value heads"),
        (["4 heads of 16", "8 heads of 8"], "4 heads of 16 and 8 heads of 8"),
        (["wide", "narrow", "2 heads"], "wide, narrow and 2 heads"),
        (["1 head", "2 layers"], "1 head and 2 layers"),
    ],
)
def test_listed(labels, text):
    assert listed(labels) == text
