import numpy as np
import pytest

from attention_jax.analysis.head_counts import compare
from attention_jax.analysis.verdict import listed, verdict

PLAN = [(heads, seed) for heads in (1, 2, 4, 8) for seed in (0, 1, 2)]


def said(means, noise=0.0005, plan=PLAN):
    rng = np.random.default_rng(3)
    records = [
        {"heads": heads, "seed": seed, "loss": means[heads] + seed * 0.1 + noise * rng.normal()}
        for heads, seed in plan
    ]
    return verdict(compare(records, expected=PLAN))


def test_a_clear_winner_is_named():
    text = said({1: 0.6, 2: 0.5, 4: 0.4, 8: 0.45})
    assert text.startswith("4 heads are best: over 3 seeds, the validation loss is lower than with")
    assert "1, 2 and 8 heads" in text and "excludes zero" in text


def test_one_head_is_best_in_the_singular():
    assert said({1: 0.3, 2: 0.5, 4: 0.6, 8: 0.7}).startswith("1 head is best")


def test_a_null_result_is_a_result():
    text = said({1: 0.5, 2: 0.5, 4: 0.5, 8: 0.5}, noise=0.01)
    assert text.startswith("No difference found: over 3 seeds")
    assert "best" not in text and "may be chance" in text


def test_a_mixed_result_says_both():
    text = said({1: 0.7, 2: 0.5, 4: 0.5, 8: 0.5}, noise=0.004)
    assert "lower than with 1 head, by intervals that exclude zero" in text
    assert "No difference found from" in text


def test_one_seed_tells_nothing():
    text = said({1: 0.6, 2: 0.5, 4: 0.4, 8: 0.45}, plan=[run for run in PLAN if run[1] == 0])
    assert text.startswith("Preliminary, 4 of 12 runs finished. One seed cannot tell")


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ([], "Preliminary, 0 of 12 runs finished. There is nothing to compare yet."),
        ([(4, 0)], "Only 4 heads so far"),
        ([(4, 0), (8, 1)], "No seed has finished for all of these head counts"),
    ],
)
def test_too_little_is_said_to_be_too_little(plan, words):
    assert words in said({4: 0.4, 8: 0.5}, plan=plan)


def test_runs_without_a_finite_loss_are_named():
    records = [{"heads": h, "seed": s, "loss": 0.1 * h + s} for h in (1, 2) for s in (0, 1, 2)]
    records[0]["loss"] = float("inf")
    text = verdict(compare(records))
    assert text.endswith("Left out for want of a finite validation loss: 1 head seed 0.")


def test_equal_head_counts_seldom_look_different():
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(150):
        records = [{"heads": h, "seed": s, "loss": 1 + 0.01 * rng.normal()} for h, s in PLAN]
        wrong += not verdict(compare(records)).startswith("No difference found")
    assert wrong <= 15  # 5 in 100 are promised; 27 of 150 would be wrong without the correction


def test_listed():
    assert [listed([1]), listed([2]), listed([1, 8])] == ["1 head", "2 heads", "1 and 8 heads"]
