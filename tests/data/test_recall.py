"""The recall corpus: its answers are exact, its words are tokens, its splits share nothing."""

import pytest

from attention_jax.data import DataConfig, DataError, Tokenizer, load_corpus
from attention_jax.data.recall import KEYS, SIZES, VALUES, pairs_in, recall


@pytest.fixture(scope="module")
def splits():
    return recall(5, 17)


def test_every_answer_is_the_value_of_its_query(splits):
    for pair in splits["test"]:
        listed, asked = (half.split() for half in pair.source.split(" ? "))
        value_of = dict(zip(listed[::2], listed[1::2], strict=True))
        assert len(value_of) == len(asked) == 5
        assert pair.target.split() == [value_of[key] for key in asked]


def test_the_alignment_leads_from_each_answer_to_where_it_stands(splits):
    for pair in splits["validation"]:
        source, target = pair.source.split(), pair.target.split()
        assert [at for _, at in pair.alignment] == list(range(5))
        assert all(source[one] == target[at] for one, at in pair.alignment)
        asked = source[11:]
        assert all(source[one - 1] == asked[at] for one, at in pair.alignment)


def test_splits_are_the_same_again_and_share_no_sentence(splits):
    assert recall(5, 17) == splits
    sources = {split: {pair.source for pair in pairs} for split, pairs in splits.items()}
    assert {split: len(pairs) for split, pairs in splits.items()} == SIZES
    assert not sources["train"] & (sources["validation"] | sources["test"])


def test_no_word_is_both_key_and_value():
    assert len(set(KEYS)) == len(set(VALUES)) == 100 and not set(KEYS) & set(VALUES)


def test_a_word_is_a_token(splits):
    texts = [text for pair in splits["train"] for text in (pair.source, pair.target)]
    tokenizer = Tokenizer.train(texts, 700)
    for pair in splits["test"]:
        assert len(tokenizer.encode(pair.source)) == 16
        assert len(tokenizer.encode(pair.target)) == 5


def test_it_is_a_corpus_by_name():
    corpus = load_corpus(DataConfig("recall-2", "pairs", "values", limit=3))
    assert [len(pairs) for pairs in corpus.splits.values()] == [3, 200, 500]
    assert [pairs_in(name) for name in ("recall-50", "recall", "recall-x")] == [50, None, None]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"corpus": "recall-0"}, "recall-0 has 0 pairs; recall-1 to recall-50"),
        ({"corpus": "recall-51"}, "recall-51 has 51 pairs; recall-1"),
        ({"corpus": "recall-21"}, "max_length is 64; .* recall-21 has 65 tokens .* 65 would fit"),
    ],
)
def test_sizes_that_cannot_be(fields, said):
    with pytest.raises(DataError, match=said):
        load_corpus(DataConfig(**fields))
