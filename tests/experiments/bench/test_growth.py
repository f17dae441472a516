"""Exponents and cliffs, with numbers made by hand; sweeps are what they say."""

import pytest

from experiments.benchmarks import attention, cost
from experiments.benchmarks.bench.growth import Jump, exponent, jumps, upper_half
from experiments.benchmarks.shapes import COST


def test_an_exponent_is_that_of_a_power():
    sizes = [1, 2, 4, 8]
    assert exponent(sizes, [3 * size**2 for size in sizes]) == pytest.approx(2)
    assert exponent(sizes, [5.0] * 4) == pytest.approx(0)
    assert exponent([1, 10], [1, 0.1]) == pytest.approx(-1)
    for values in ([1.0], [1, 2, 3, 0]):
        with pytest.raises(ValueError, match="two or more of each, all positive"):
            exponent(sizes, values)


def test_the_upper_half_has_the_middle():
    assert upper_half([1, 2, 3]) == [2, 3] and upper_half([1, 2, 3, 4]) == [3, 4]


def test_cliffs_are_found_both_ways_and_small_ones_are_overhead():
    found = jumps([1, 2, 4, 8, 16], [0.9, 0.9, 4.0, 16.0, 2.0], [1, 2, 4, 8, 16])
    assert found == [
        Jump(1, 2, 0.5, True),
        Jump(2, 4, 1.0 / 0.45, True),
        Jump(4, 8, 2.0, False),
        Jump(8, 16, 0.0625, False),
    ]
    assert not jumps([1, 2], [1.0, 2.9], [1, 2])


@pytest.mark.parametrize("sweep", COST)
def test_a_sweep_changes_one_size(sweep):
    cases = [cost.case(sweep, size, False) for size in COST[sweep]["sizes"]]
    assert cases[0] | {sweep: 0} == cases[-1] | {sweep: 0}
    work = [attention.flops(case) for case in cases[:2]]
    assert work[1] / work[0] == 2 ** COST[sweep]["theory"][0]
    assert {"batch", "length", "heads", "features", "mask", "both"} <= set(cases[0])


def records(power, both=False, sizes=(128, 256, 512, 1_024), **more):
    return [
        {
            "case": cost.case("length", size, both), "title": f"T {size}", "ms": size**power,
            "contender": "attention_jax", "peak_mib": size / 64, "min_ms": 1.0, "spread": 1.0,
            "prepare_s": 0.0, "first_s": 0.0,
        } | more
        for size in sizes
    ]  # fmt: skip


def test_growths_of_sweeps():
    failed = {"error": "gone", **records(2.0)[0]}
    one, other = cost.growths([*records(2.0), *records(3.0, both=True, peak_mib=None), failed])
    assert one["time"] == pytest.approx(2) and one["memory"] == pytest.approx(1)
    assert one["sizes"] == [512, 1_024] and one["theory"] == (2, 1) and one["jumps"] == []
    assert other["both"] and other["time"] == pytest.approx(3) and other["memory"] is None
    assert [jump.ratio for jump in other["jumps"]] == pytest.approx([2.0] * 3)
    assert not cost.growths(records(2.0, sizes=(1, 2)))
    # Another backend below: its sizes are not fitted.
    mixed = [*records(1.0, sizes=(128, 256, 512), label="a"), *records(2.0, sizes=(1_024, 2_048))]
    (found,) = cost.growths([*mixed, *records(2.0, sizes=(4_096,))])
    assert found["sizes"] == [1_024, 2_048, 4_096] and found["time"] == pytest.approx(2)


def test_growths_in_words_and_as_a_picture(tmp_path):
    both = [*records(2.0), *records(3.0, both=True)]
    lines = cost.summary(both).splitlines()
    assert lines[2] == "| length | forward | 512 | 1,024 | 2.00 | 2 | 1.00 | 1 | none |"
    assert lines[3].endswith("| 128 to 256: 2.00; 256 to 512: 2.00; 512 to 1,024: 2.00 |")
    cost.draw(both, tmp_path / "cost.png")
    assert (tmp_path / "cost.png").stat().st_size > 5_000
