import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from attention_jax.analysis.statistics import half_width, paired_difference, summarise


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
