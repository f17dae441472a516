"""Plans over rows of any arrays."""

from typing import Any, NamedTuple

import numpy as np
import pytest

from attention_jax.data.batches import part_of, train_iterator
from attention_jax.data.rows import DrawnPlan, RowsPlan, in_order


class Few(NamedTuple):
    pictures: Any
    numbers: Any
    weights: Any


def rows(count):
    pictures = np.arange(count * 6, dtype=np.float32).reshape(count, 3, 2)
    return Few(pictures, np.arange(count, dtype=np.int32), np.ones(count, np.float32))


def noisy(batch, rng):
    return batch._replace(pictures=batch.pictures + rng.normal(size=batch.pictures.shape))


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_an_epoch_has_every_row_once_and_the_next_another_order():
    plan = RowsPlan(rows(12), size=4, seed=1)
    assert len(plan) == 3
    epochs = [np.concatenate([plan[3 * e + i].numbers for i in range(3)]) for e in range(2)]
    for epoch in epochs:
        assert sorted(epoch) == list(range(12))
    assert not np.array_equal(*epochs)
    batch = plan[4]
    np.testing.assert_array_equal(batch.pictures[:, 0, 0], 6 * batch.numbers)


def test_rows_that_fill_no_batch_are_other_ones_in_each_epoch():
    plan = RowsPlan(rows(10), size=4)
    left = [set(range(10)) - {*plan[2 * e].numbers, *plan[2 * e + 1].numbers} for e in range(8)]
    assert all(len(one) == 2 for one in left)
    assert set.union(*left) > left[0]


def test_changes_are_a_pure_function_of_seed_and_number():
    plan, again, other = (RowsPlan(rows(8), size=4, seed=s, change=noisy) for s in (3, 3, 4))
    for index in (5, 0, 2):
        assert same(plan[index], again[index])
        assert not same(plan[index], other[index])
    assert not np.array_equal(plan[0].pictures - noisy_free(plan[0]), 0)


def noisy_free(batch):
    return rows(8).pictures[batch.numbers]


def test_drawn_batches_are_a_pure_function_of_seed_and_number():
    def make(rng):
        return Few(rng.normal(size=(2, 3)), rng.integers(0, 9, 2), np.ones(2, np.float32))

    plan, again = DrawnPlan(make, seed=1, length=5), DrawnPlan(make, seed=1)
    assert len(plan) == 5
    assert same(plan[7], again[7]) and not same(plan[7], plan[2])
    assert not same(plan[0], DrawnPlan(make, seed=2)[0])


def test_shares_are_parts_of_the_whole_batch():
    plan = RowsPlan(rows(9), size=6, change=noisy)
    parts = [plan.share(1, part, 4, multiple=8) for part in range(4)]
    whole = part_of(plan[1], 0, 1, multiple=8)
    for joined, wanted in zip(zip(*parts, strict=True), whole, strict=True):
        np.testing.assert_array_equal(np.concatenate(joined), wanted)
    assert whole.weights.tolist() == [1] * 6 + [0] * 2
    assert not whole.pictures[6:].any()


def test_the_iterator_goes_on_where_it_was():
    plan = RowsPlan(rows(8), size=4, change=noisy)
    batches = train_iterator(plan)
    for _ in range(3):
        next(batches)
    state = batches.get_state()
    wanted = next(batches)
    fresh = train_iterator(plan)
    fresh.set_state(state)
    assert same(next(fresh), wanted) and same(wanted, plan[3])


def test_in_order_fills_up_the_last_batch():
    batches = in_order(rows(7), 4)
    assert [batch.weights.tolist() for batch in batches] == [[1] * 4, [1, 1, 1, 0]]
    assert np.concatenate([batch.numbers for batch in batches]).tolist() == [*range(7), 0]
    (whole,) = in_order(rows(3), 8)
    assert whole.weights.tolist() == [1] * 3 + [0] * 5


def test_blanks_have_the_shapes_of_batches():
    (blank,) = RowsPlan(rows(5), size=2).blanks
    assert isinstance(blank, Few)
    assert [leaf.shape for leaf in blank] == [(2, 3, 2), (2,), (2,)]
    assert [leaf.dtype for leaf in blank] == [np.float32, np.int32, np.float32]
    assert not any(leaf.any() for leaf in blank)


@pytest.mark.parametrize("size", [0, 6])
def test_batches_larger_than_the_data_are_refused(size):
    with pytest.raises(ValueError, match=f"size is {size}; from 1 to 5, all rows, would fit"):
        RowsPlan(rows(5), size=size)


def test_arrays_of_other_lengths_are_refused():
    uneven = rows(5)._replace(numbers=np.arange(4))
    for make in (lambda: RowsPlan(uneven, size=2), lambda: in_order(uneven, 2)):
        with pytest.raises(ValueError, match="the arrays have 5, 4, 5 rows; as many each"):
            make()
    with pytest.raises(ValueError, match="size is 2, of 0 rows"):
        in_order(rows(0), 2)
