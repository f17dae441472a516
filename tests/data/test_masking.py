"""Hidden words: how many, which, and what stands in their place."""

import numpy as np
import pytest

from attention_jax.data.marked import Side, marked, marked_length, names
from attention_jax.data.masking import masked, one_each, unmasked
from attention_jax.data.rows import generator
from attention_jax.data.tokens import END, PAD, START, Tokenizer

MASK = 50


def rows(count=400, longest=22, share=0.15):
    chance = np.random.default_rng(0)
    sides = [
        [Side(chance.integers(3, MASK, chance.integers(1, longest - 2)).tolist())]
        for _ in range(count)
    ]
    return unmasked(marked(sides, longest), share)


def test_marks_types_and_positions_of_two_texts():
    found = marked([[Side([7, 8]), Side([9], 1)], [Side([5], 1)]], 8)
    np.testing.assert_array_equal(
        found.tokens, [[1, 7, 8, 2, 9, 2, 0, 0], [1, 5, 2, 0, 0, 0, 0, 0]]
    )
    np.testing.assert_array_equal(found.types, [[0, 0, 0, 0, 1, 1, 0, 0], [1, 1, 1, 0, 0, 0, 0, 0]])
    np.testing.assert_array_equal(
        found.positions, [[0, 1, 2, 3, 1, 2, 0, 0], [0, 1, 2, 0, 0, 0, 0, 0]]
    )
    assert marked_length([Side([7, 8]), Side([9], 1)]) == 6
    with pytest.raises(ValueError, match="row 1 has 6 tokens, marks included; 5 would fit"):
        marked([[Side([7, 8]), Side([9], 1)]], 5)


def test_the_mask_has_a_name():
    tokenizer = Tokenizer.train(["ab ab"], 300)
    ids = [START, *tokenizer.encode("ab"), tokenizer.size, END, PAD, PAD]
    assert names(tokenizer, ids) == ["<start>", "ab", "[MASK]", "<end>"]


def test_the_share_is_rounded_and_at_least_one():
    found = rows()
    words = (found.tokens > END).sum(1)
    np.testing.assert_array_equal(found.weights.sum(1), np.maximum(np.rint(0.15 * words), 1))
    empty = unmasked(marked([[Side([])]], 6), 0.15)
    assert not empty.weights.any()
    with pytest.raises(ValueError, match="share is 1.0"):
        rows(share=1.0)


def test_eighty_ten_ten_and_labels_are_what_stood_there():
    plain = rows(4_000)
    found = masked(plain, generator(0, 3), mask=MASK)
    row, column = np.nonzero(found.weights)
    places, labels = found.places[row, column], found.labels[row, column]
    np.testing.assert_array_equal(labels, plain.tokens[row, places])
    assert (labels > END).all()  # marks and padding are never hidden
    assert len(set(zip(row.tolist(), places.tolist(), strict=True))) == len(row)
    written = found.tokens[row, places]
    shares = (written == MASK).mean(), (written == labels).mean()
    np.testing.assert_allclose(shares, [0.8, 0.1 + 0.1 / 47], atol=0.02)
    assert written.min() > END
    untouched = np.ones(plain.tokens.shape, bool)
    untouched[row, places] = False
    np.testing.assert_array_equal(found.tokens[untouched], plain.tokens[untouched])
    # In the longest texts every word is hidden as often.
    long = (plain.tokens[:, 19] > END)[row]
    often = np.bincount(places[long], minlength=20)[1:20]
    assert often.std() < 1.5 * np.sqrt(often.mean())
    for one, other in zip(found, masked(plain, generator(0, 3), mask=MASK), strict=True):
        np.testing.assert_array_equal(one, other)
    assert (masked(plain, generator(0, 4), mask=MASK).places != found.places).any()


def test_rows_of_no_weight_stay_empty():
    empty = type(rows())(*(np.zeros_like(array[:3]) for array in rows()))
    for one in masked(empty, generator(0, 0), mask=MASK):
        assert not one.any()


def test_one_word_at_a_time_is_hidden():
    plain = rows(50)
    found = one_each(plain, mask=MASK, most=3)
    words = (plain.tokens > END).sum(1)
    assert len(found.tokens) == np.minimum(words, 3).sum()
    assert ((found.tokens == MASK).sum(1) == 1).all()
    again = found.tokens.copy()
    np.put_along_axis(again, found.places, found.labels, 1)
    np.testing.assert_array_equal(again, np.repeat(plain.tokens, np.minimum(words, 3), 0))
