import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from attention_jax.analysis.statistics import (
    BOOTSTRAP_FROM,
    bootstrap_difference,
    detectable,
    half_width,
    holm,
    paired_difference,
    summarise,
)


def test_summary_of_three_values_by_hand():
    found = summarise([1.0, 2.0, 6.0])
    assert (found.count, found.mean, found.low, found.high) == (3, 3.0, 1.0, 6.0)
    assert found.deviation == pytest.approx(math.sqrt((4 + 1 + 9) / 2))


def test_one_value_has_no_deviation():
    found = summarise([0.5])
    assert found.deviation is None
    assert found.low == found.mean == found.high == 0.5


@pytest.mark.parametrize(("values", "words"), [([], "no values"), ([1.0, math.nan], "not finite")])
def test_what_cannot_be_summarised_is_refused(values, words):
    with pytest.raises(ValueError, match=words):
        summarise(values)


def test_the_interval_is_that_of_scipy():
    left, right = {0: 1.0, 1: 1.3, 2: 0.9}, {2: 0.7, 1: 1.0, 0: 0.9}
    found = paired_difference(left, right)
    wanted = stats.ttest_rel([1.0, 1.3, 0.9], [0.9, 1.0, 0.7]).confidence_interval(0.95)
    assert found is not None
    assert found.mean == pytest.approx(0.2)
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high))
    assert found.seeds == (0, 1, 2)


def test_the_interval_by_hand():
    # Differences 1, 2, 3: mean 2, deviation 1; t(0.975, 2) = 4.3027 from a printed table.
    found = paired_difference({0: 1.0, 1: 2.0, 2: 3.0}, {0: 0.0, 1: 0.0, 2: 0.0})
    assert found is not None and found.low is not None
    assert found.low == pytest.approx(2 - 4.3027 / math.sqrt(3), abs=1e-4)
    assert not found.clear


def test_intervals_read_together_are_wider():
    one, six = half_width(3), half_width(3, comparisons=6)
    assert six / one == pytest.approx(stats.t.ppf(1 - 0.025 / 6, 2) / stats.t.ppf(0.975, 2))


def test_only_common_seeds_are_paired():
    found = paired_difference({0: 1.0, 1: 5.0}, {1: 4.0, 7: 0.0})
    assert found is not None
    assert (found.seeds, found.mean, found.low, found.high) == ((1,), 1.0, None, None)
    assert not found.clear
    assert paired_difference({0: 1.0}, {1: 1.0}) is None


def test_equal_differences_give_no_interval():
    # 0.4 - 0.3 and 0.2 - 0.1 miss each other by a rounding error, which is not a spread.
    found = paired_difference({0: 0.4, 1: 0.2}, {0: 0.3, 1: 0.1})
    assert found is not None
    assert found.low is None and not found.clear


@pytest.mark.parametrize(
    ("options", "words"), [({"level": 1.0}, "level=1.0"), ({"comparisons": 0}, "comparisons=0")]
)
def test_impossible_options_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        paired_difference({0: 1.0}, {0: 1.0}, **options)


def test_an_interval_needs_two_values():
    with pytest.raises(ValueError, match="found 1 value"):
        half_width(1)


def test_t_intervals_of_three_hold_the_truth_as_often_as_they_say():
    values = np.random.default_rng(0).normal(size=(20_000, 3))
    reach = half_width(3, level=0.9) * values.std(axis=1, ddof=1)
    assert np.mean(np.abs(values.mean(axis=1)) < reach) == pytest.approx(0.9, abs=0.01)


def bootstrap_of(differences, **options):
    return bootstrap_difference(dict(enumerate(differences)), zeros(len(differences)), **options)


def zeros(count):
    return dict.fromkeys(range(count), 0.0)


def test_the_bootstrap_is_that_of_scipy():
    values = np.random.default_rng(1).gamma(2.0, size=9)
    wanted = stats.bootstrap(
        (values,), np.mean, confidence_level=0.98, method="BCa", rng=np.random.default_rng(5)
    ).confidence_interval
    found = bootstrap_of(values, level=0.9, comparisons=5, seed=5)
    assert found == pytest.approx((wanted.low, wanted.high), rel=1e-12)
    assert found == bootstrap_of(values, level=0.9, comparisons=5, seed=5)


def test_the_bootstrap_pairs_seed_by_seed():
    left = {0: 5.0, 1: 7.0, 2: 9.5, 3: 11.0, 8: 0.0}
    right = {3: 9.0, 2: 8.0, 1: 6.0, 0: 4.0, 9: 0.0}
    assert bootstrap_difference(left, right) == bootstrap_of([1.0, 1.0, 1.5, 2.0])


def test_there_is_no_bootstrap_of_three_nor_without_a_spread():
    assert bootstrap_of([1.0, 2.0, 3.0]) is None
    assert bootstrap_of([1.0, 1.0, 1.0, 1.0]) is None
    assert bootstrap_of([1.0, 2.0, 3.0, 4.0]) is not None


@given(st.lists(st.floats(-1e3, 1e3), min_size=4, max_size=6), st.sampled_from([1, 10, 190]))
def test_the_bootstrap_is_finite_and_never_reaches_beyond_the_differences(values, comparisons):
    found = bootstrap_of(values, comparisons=comparisons, resamples=99)
    if found is None:
        assert max(values) - min(values) <= 1e-11 * max(map(abs, values))
    else:
        slack = 1e-9 * max(map(abs, values))
        assert min(values) - slack <= found[0] <= found[1] <= max(values) + slack


@pytest.mark.parametrize(("count", "low", "high"), [(8, 0.84, 0.92), (32, 0.92, 0.97)])
def test_bootstraps_of_few_hold_the_truth_less_often_than_they_say(count, low, high):
    # The module's table: 88 and 95 of 100, where 95 are promised.
    draws = np.random.default_rng(0).normal(size=(300, count))
    ends = np.array([bootstrap_of(values, resamples=999) for values in draws])
    assert low < np.mean((ends[:, 0] < 0) & (ends[:, 1] > 0)) < high


@pytest.mark.parametrize("count", [3, 4, BOOTSTRAP_FROM - 1, BOOTSTRAP_FROM])
def test_the_t_interval_decides_below_many_seeds(count):
    values = dict(enumerate(np.random.default_rng(2).normal(1.0, size=count)))
    found = paired_difference(values, zeros(count), comparisons=3)
    assert found is not None and found.low is not None
    assert found.bootstrap == bootstrap_difference(values, zeros(count), comparisons=3)
    assert (found.bootstrap is None) == (count == 3)
    many = count == BOOTSTRAP_FROM
    assert found.method == ("bootstrap" if many else "t")
    assert ((found.low, found.high) == found.bootstrap) == many
    spread = np.std(list(values.values()), ddof=1)
    assert found.detectable == pytest.approx(detectable(spread, count, comparisons=3))


def test_a_middling_effect_needs_the_34_pairs_of_the_textbooks():
    # Half a deviation, 80 % power, two-sided 5 %: 34 pairs in every table, one fewer will not do.
    assert detectable(1.0, 34) < 0.5 < detectable(1.0, 33)


def test_what_is_detectable_is_detected_as_often_as_it_says():
    rng = np.random.default_rng(0)
    for count, comparisons, power in ((3, 6, 0.8), (5, 1, 0.5)):
        size = detectable(0.1, count, comparisons=comparisons, power=power)
        values = rng.normal(size, 0.1, size=(20_000, count))
        reach = half_width(count, comparisons=comparisons) * values.std(axis=1, ddof=1)
        assert np.mean(values.mean(axis=1) - reach > 0) == pytest.approx(power, abs=0.012)


def test_more_seeds_less_spread_and_fewer_comparisons_see_more():
    sizes = [detectable(1.0, count, comparisons=6) for count in (2, 3, 5, 10, 100)]
    assert sizes == sorted(sizes, reverse=True)
    assert (
        detectable(1.0, 3) < detectable(1.0, 3, comparisons=6) < detectable(2.0, 3, comparisons=6)
    )
    assert detectable(0.0, 3) == 0.0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"deviation": -1.0}, "found deviation=-1.0"),
        ({"deviation": math.nan}, "found deviation=nan"),
        ({"count": 1}, "found 1 value"),
        ({"power": 1.0}, "found power=1.0; a number between 0.025 and 1"),
        ({"power": 0.01}, "found power=0.01"),
        ({"level": 0.0}, "found level=0.0"),
    ],
)
def test_what_cannot_be_detected_is_refused(options, words):
    with pytest.raises(ValueError, match=words):
        detectable(**({"deviation": 1.0, "count": 3} | options))


def test_holm_by_hand():
    # Sorted: 0.01 × 4 = 0.04, 0.02 × 3 = 0.06, 0.03 × 2 = 0.06, 0.04 × 1 = 0.04, raised to 0.06.
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.9, 0.6]) == [1.0, 1.0]
    assert holm([0.03]) == [0.03] and holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_lies_between_no_correction_and_bonferroni(p_values):
    found = holm(p_values)
    assert sorted(range(len(found)), key=p_values.__getitem__) == sorted(
        range(len(found)), key=lambda place: (found[place], p_values[place])
    )
    for p, corrected in zip(p_values, found, strict=True):
        assert p <= corrected <= min(1.0, len(p_values) * p)


@pytest.mark.parametrize("wrong", [-0.1, 1.5, math.nan])
def test_holm_refuses_what_is_no_probability(wrong):
    with pytest.raises(ValueError, match="numbers from 0 to 1 would fit"):
        holm([0.5, wrong])


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=8), st.floats(-10, 10))
def test_swapping_the_sides_mirrors_the_interval(values, shift):
    left = dict(enumerate(values))
    right = {seed: value * 0.5 + shift for seed, value in left.items()}
    there, back = paired_difference(left, right), paired_difference(right, left)
    assert there is not None and back is not None
    assert there.mean == pytest.approx(-back.mean)
    assert there.clear == back.clear
    assert (there.low is None) == (back.high is None)
    if there.low is not None and back.high is not None:
        assert there.low == pytest.approx(-back.high)
