"""Rows of a language model: drawn windows, windows in order, and packed documents."""

import numpy as np
import pytest

from attention_jax.data.lines import DataError
from attention_jax.data.packing import packed
from attention_jax.data.rows import generator
from attention_jax.data.tokens import END, START
from attention_jax.data.windows import drawn_windows, windows_in_order

LONG = np.arange(3, 40, dtype=np.int32)


def test_drawn_windows_begin_anywhere_and_labels_come_next():
    make = drawn_windows(LONG, 5, 400)
    found = make(generator(0, 0))
    np.testing.assert_array_equal(found.labels, found.tokens + 1)
    np.testing.assert_array_equal(np.diff(found.tokens), 1)
    assert found.weights.all() and found.tokens.dtype == found.labels.dtype == np.int32
    starts = found.tokens[:, 0]
    assert set(starts) == set(LONG[: len(LONG) - 5])  # the last label is the last token
    np.testing.assert_array_equal(make(generator(0, 0)).tokens, found.tokens)
    assert (make(generator(0, 1)).tokens != found.tokens).any()


def test_windows_in_order_have_each_token_as_a_label_once():
    found = windows_in_order(LONG, 5)
    assert found.tokens.shape == (8, 5)
    counted = found.labels[found.weights == 1]
    np.testing.assert_array_equal(counted, LONG[1:])
    np.testing.assert_array_equal(found.tokens[found.weights == 1], LONG[:-1])
    assert not found.labels[found.weights == 0].any()
    assert windows_in_order(LONG[:6], 5).tokens.shape == (1, 5)


def test_texts_that_are_too_short_are_refused():
    with pytest.raises(DataError, match="5 tokens; windows of 5 need at least 6"):
        drawn_windows(LONG[:5], 5, 2)
    with pytest.raises(DataError, match="has 1 tokens"):
        windows_in_order(LONG[:1], 5)
    with pytest.raises(DataError, match="no documents"):
        packed([], 5)


def documents(count=200):
    chance = np.random.default_rng(0)
    return [chance.integers(3, 30, chance.integers(0, 19), np.int32) for _ in range(count)]


def read_back(found):
    """Each segment's tokens and last label, from all rows."""
    for tokens, labels, weights, segments in zip(*found, strict=True):
        assert ((segments > 0) == (weights == 1)).all()
        assert not tokens[segments == 0].any() and not labels[segments == 0].any()
        inside = segments[segments > 0]
        assert (np.diff(inside) >= 0).all() and set(np.diff(inside)) <= {0, 1}
        assert inside[0] == 1 and (segments[len(inside) :] == 0).all()
        for one in range(1, segments.max() + 1):
            mine = segments == one
            np.testing.assert_array_equal(labels[mine][:-1], tokens[mine][1:])
            yield [*tokens[mine], labels[mine][-1]]


def test_every_document_stands_in_one_place_with_its_marks():
    given = documents()
    found = packed(given, 20)
    wanted = sorted([START, *ids, END] for ids in map(np.ndarray.tolist, given))
    assert sorted(map(list, read_back(found))) == wanted
    assert found.weights.mean() > 0.95  # hardly any padding is left
    for mine, other in zip(found, packed(given, 20), strict=True):
        np.testing.assert_array_equal(mine, other)


def test_long_documents_are_cut_and_no_token_is_lost():
    given = documents(40)
    found = packed(given, 7)
    assert found.tokens.shape[1] == 7
    labels = np.sort(found.labels[found.weights == 1])
    wanted = np.sort(np.concatenate([*given, [END] * len(given)]))
    np.testing.assert_array_equal(labels, wanted)
    assert (found.tokens == START).sum() == len(given)
    assert packed([LONG[:6]], 7).tokens.tolist() == [[START, *LONG[:6]]]
