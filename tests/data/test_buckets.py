"""The chosen lengths are the best there are, by trying all."""

import collections
import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from attention_jax.data.buckets import choose, rounded, rows_within


@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=40),
    tokens=st.integers(8, 120),
    shapes=st.integers(1, 3),
)
def test_no_choice_of_lengths_needs_fewer_positions(sizes, tokens, shapes):
    longest = np.array(sizes)

    def positions(lengths: tuple[int, ...]) -> int:
        needed = collections.Counter(next(n for n in lengths if n >= size) for size in sizes)
        total = 0
        for length, count in needed.items():
            rows = rows_within(length, tokens)
            total += -(-count // rows) * rows * length
        return total

    lengths, counts = choose(longest, tokens, shapes, 40)
    possible = sorted(set(rounded(longest, 40).tolist()))
    least = min(
        positions((*some, possible[-1]))
        for number in range(min(shapes, len(possible)))
        for some in itertools.combinations(possible[:-1], number)
    )
    assert positions(tuple(lengths.tolist())) == least
    assert sum(counts) == len(sizes) and min(counts) > 0 and len(lengths) <= shapes


def test_padded_lengths_keep_within_the_limit():
    assert rounded(np.array([1, 4, 5, 49, 50]), 50).tolist() == [4, 4, 8, 50, 50]
