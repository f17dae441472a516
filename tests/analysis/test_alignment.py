"""Links between words: by hand, by loops, and on a model whose reader is known."""

import jax.numpy as jnp
import numpy as np
import pytest

from attention_jax.analysis.alignment import (
    Aligned,
    Words,
    align,
    alignment_error,
    error_rates,
    link_words,
    word_of_each,
    word_weights,
)
from attention_jax.analysis.heads import measure
from attention_jax.data import END, PAD, START, Pair, Tokenizer, encode_pairs, eval_batches
from tests.analysis.hand_built import hand_built

PAIRS = [
    Pair("the unbelievable ball", "la pelota increíble", ((0, 0), (1, 2), (2, 1))),
    Pair("is  the ball blue?", "¿es azul la pelota?", ((0, 0), (3, 1), (1, 2), (2, 3))),
    Pair("balls", "pelotas", ((0, 0),)),
]


@pytest.fixture(scope="module")
def tokenizer():
    """Knows few words whole, so that others fall apart."""
    return Tokenizer.train(["the ball is the ball", "la pelota la pelota"] * 4, 275)


@pytest.fixture(scope="module")
def batches(tokenizer):
    return eval_batches(encode_pairs(PAIRS, tokenizer, max_length=64), tokens=32)


def test_error_rate_worked_by_hand():
    # A finds one of two sure links and two of the three possible ones: 1 - (1 + 2) / (3 + 2).
    found, sure = [(0, 0), (1, 1), (2, 1)], [(0, 0), (1, 2)]
    assert alignment_error(found, sure, [(0, 0), (1, 2), (1, 1)]) == pytest.approx(0.4)
    assert alignment_error(found, sure, [(1, 1)]) == pytest.approx(0.4)  # sure ones are possible
    assert alignment_error(found, sure) == pytest.approx(1 - 2 / 5)
    assert alignment_error(sure, sure) == 0
    assert alignment_error([(5, 5)], sure) == 1
    assert np.isnan(alignment_error([], []))


@pytest.mark.parametrize(
    "text",
    ["the ball is unbelievable", "is  the\u00a0ball blue?", "¿es azul? «la»", "é ж 球 ball\tx"],
)
def test_every_token_is_of_its_word(tokenizer, text):
    ids = tokenizer.encode(text)
    words = word_of_each(tokenizer, ids)
    assert sorted(set(words) - {-1}) == list(range(len(text.split())))
    for number, word in enumerate(text.split()):
        mine = [token for token, other in zip(ids, words, strict=True) if other == number]
        assert tokenizer.decode(mine).strip() == word
    marked = [START, *ids, END, PAD, PAD]
    assert word_of_each(tokenizer, marked) == [-1, *words, -1, -1, -1]


def test_words_fall_apart_in_this_vocabulary(tokenizer):
    words = word_of_each(tokenizer, tokenizer.encode(PAIRS[0].source))
    assert 2 <= words.count(0) < words.count(1)


def test_batches_are_aligned(tokenizer, batches):
    aligned = align(batches, PAIRS, tokenizer)
    assert len(batches) > 1  # pairs are counted on from batch to batch
    rows = [(one, row) for one in aligned for row in range(len(one.gold))]
    for (one, row), pair in zip(rows, PAIRS, strict=False):
        assert {(s, t) for t, s in np.argwhere(one.gold[row])} == set(pair.alignment)
        assert one.words.source[row].max() + 1 == len(pair.source.split())
        assert one.words.target[row].max() + 1 == len(pair.target.split())


def test_the_next_position_has_read_what_this_one_predicts(tokenizer, batches):
    predicting = align(batches, PAIRS, tokenizer)[0].words
    having_read = align(batches, PAIRS, tokenizer, reading="having read")[0].words
    np.testing.assert_array_equal(having_read.source, predicting.source)
    np.testing.assert_array_equal(having_read.target[:, 1:], predicting.target[:, :-1])
    assert (having_read.target[:, 0] == -1).all()


def loop(weights, words):
    """Word by word: summed over the source word's tokens, averaged over the target word's."""
    found = np.zeros(weights.shape)
    for b, h in np.ndindex(weights.shape[:2]):
        for v in range(words.target[b].max() + 1):
            for w in range(words.source[b].max() + 1):
                rows = np.flatnonzero(words.target[b] == v)
                columns = np.flatnonzero(words.source[b] == w)
                found[b, h, v, w] = weights[b, h][np.ix_(rows, columns)].sum() / len(rows)
    return found


@pytest.fixture(scope="module")
def random_case():
    source = np.array([[0, 0, 1, 2, -1, -1], [0, 1, 1, 1, 2, -1], [-1] * 6])
    target = np.array([[-1, 0, 1, 1, -1], [-1, 0, 0, 0, 1], [-1] * 5])
    weights = np.random.default_rng(0).dirichlet(np.ones(6), (3, 2, 5)).astype(np.float32)
    return weights, Words(source, target)


def test_word_weights_are_those_of_a_loop(random_case):
    weights, words = random_case
    np.testing.assert_allclose(word_weights(jnp.asarray(weights), words), loop(*random_case), 1e-5)


def test_padding_influences_no_bit(random_case):
    weights, words = random_case
    real = (words.target >= 0)[:, None, :, None] & (words.source >= 0)[:, None, None]
    clean, dirty = (np.where(real, weights, filler) for filler in (0, np.nan))
    one, other = (word_weights(jnp.asarray(x), words) for x in (clean, dirty))
    np.testing.assert_array_equal(one, other)


def test_error_rates_are_those_of_the_links(random_case):
    weights, words = random_case
    gold = np.random.default_rng(1).random((3, 5, 6)) < 0.3
    for b in range(3):
        gold[b, words.target[b].max() + 1 :] = False
        gold[b, :, words.source[b].max() + 1 :] = False
    rates = error_rates(
        [np.asarray(link_words(jnp.asarray(weights), words))], [Aligned(words, gold)]
    )
    # Links of several sentences are links all the same; their words get numbers of their own.
    sure = {(10 * b + s, 10 * b + t) for b, t, s in np.argwhere(gold)}
    for head in range(2):
        table = loop(weights, words)[:, head]
        links = {
            (10 * b + int(table[b, t].argmax()), 10 * b + t)
            for b in range(3)
            for t in range(words.target[b].max() + 1)
        }
        wanted = alignment_error(links, sure)
        assert rates[head] == pytest.approx(wanted)
    assert 0 < rates.min() <= rates.max() < 1


def test_the_reader_of_the_hand_built_model_aligns():
    _, graph, params, batch, named = hand_built()
    place = np.arange(batch.source.shape[1])[None]
    words = Words(*(np.where(x != 0, place, -1) for x in (batch.source, batch.target_out)))
    same = (place[..., None] == place[:, None]) & (batch.source != 0)[:, :, None]
    got = measure(graph, params, [batch], [Aligned(words, same)])
    errors = [h["alignment_error"] for h in got["heads"] if h["part"] == "cross"]
    assert errors[named["reader"].head] == 0
    assert min(errors[1:]) > 0.5  # random heads
    assert len(got["mean_alignment_error"]) == 1 and 0 <= got["mean_alignment_error"][0] <= 1
    assert all(h["alignment_error"] is None for h in got["heads"] if h["part"] != "cross")


def test_links_to_words_that_are_not_there_are_refused(tokenizer, batches):
    wrong = [PAIRS[0], PAIRS[1]._replace(alignment=((0, 0), (9, 1))), PAIRS[2]]
    with pytest.raises(ValueError, match=r"pairs\[1\] links the words 9 and 1, but has 4 and 4"):
        align(batches, wrong, tokenizer)
    with pytest.raises(ValueError, match="pairs are 30"):
        align(batches, PAIRS * 10, tokenizer)
