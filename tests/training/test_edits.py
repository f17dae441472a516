"""Edits between sequences, against a search that tries all of them."""

import functools
import random

import pytest

from attention_jax.training.edits import accuracy, edit_distance


@functools.cache
def tried(one, other):
    """By trying all first edits."""
    if not one or not other:
        return len(one) + len(other)
    if one[0] == other[0]:
        return tried(one[1:], other[1:])
    return 1 + min(tried(one[1:], other), tried(one, other[1:]), tried(one[1:], other[1:]))


@pytest.mark.parametrize("seed", range(40))
def test_all_edits_tried(seed):
    chance = random.Random(seed)
    one, other = ("".join(chance.choices("abc", k=chance.randint(0, 7))) for _ in range(2))
    assert edit_distance(one, other) == tried(one, other) == edit_distance(other, one)


def test_a_known_one():
    assert edit_distance("kitten", "sitting") == 3


def test_accuracy_counts_edits_over_what_was_wanted():
    found = [["one", "two"], ["six"], []], [["one", "two"], ["six", "nine", "two"], ["zero"]]
    assert accuracy(*found) == (1 - 3 / 6, 1 / 3)
    assert accuracy([[1, 2, 3, 4]], [[9]])[0] == -3


def test_bad_lists_are_refused():
    with pytest.raises(ValueError, match="1 sequences were found and 2 wanted"):
        accuracy([[1]], [[1], [2]])
    with pytest.raises(ValueError, match="something in them"):
        accuracy([[]], [[]])
