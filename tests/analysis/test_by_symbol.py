"""Symbols that stand where they should, counted by hand."""

import pytest

from attention_jax.analysis.by_length import Lines
from attention_jax.analysis.by_symbol import exact, symbol_accuracy


def lines(*pairs):
    return Lines(["?"] * len(pairs), [pair[0] for pair in pairs], [pair[1] for pair in pairs])


def test_each_answer_counts_with_the_longer_of_both():
    assert symbol_accuracy(lines(("1 2 3", "1 2 3"))) == 1
    assert symbol_accuracy(lines(("1 2 3", "1 3 2"))) == 1 / 3
    assert symbol_accuracy(lines(("1 2", "1 2 3 4"), ("5", ""))) == 2 / 5
    assert symbol_accuracy(lines(("1 2", "2 1"))) == 0


def test_exact_answers_are_right_as_a_whole():
    assert exact(lines(("1 2", "1 2"), ("1 2", "1"), ("3", "3"), ("4", "5"))) == 0.5


@pytest.mark.parametrize("score", [symbol_accuracy, exact])
def test_no_lines_are_refused(score):
    with pytest.raises(ValueError, match="one or more would fit"):
        score(lines())
