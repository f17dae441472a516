"""The recall corpus: its answers are exact, its words are tokens, its splits share nothing."""

from collections import Counter

import pytest

from attention_jax.data import DataConfig, DataError, Tokenizer, load_corpus
from attention_jax.data.recall import KEYS, MOST, SIZES, VALUES, pairs_in, recall


@pytest.fixture(scope="module")
def splits():
    return recall(9, 10)


def test_the_answers_are_the_values_in_the_order_of_their_keys(splits):
    for pair in splits["test"]:
        value_of = {word[:2]: word[2:] for word in pair.source.split()}
        assert set(value_of) == set(KEYS[:9])
        assert pair.target.split() == [value_of[key] for key in KEYS[:9]]


def test_the_alignment_leads_from_each_answer_to_where_it_stands(splits):
    for pair in splits["validation"]:
        source, target = pair.source.split(), pair.target.split()
        assert sorted(at for _, at in pair.alignment) == list(range(9))
        assert all(source[one] == KEYS[at] + target[at] for one, at in pair.alignment)


def test_nothing_can_be_learnt_by_heart(splits):
    places = Counter(pair.alignment[0][1] for pair in splits["train"])
    values = Counter(pair.target.split()[0] for pair in splits["train"])
    for found, kinds in ((places, 9), (values, len(VALUES))):
        assert len(found) == kinds
        assert max(found.values()) < 1.2 * min(found.values())


def test_splits_are_the_same_again_and_share_no_sentence(splits):
    assert recall(9, 10) == splits
    sources = {split: {pair.source for pair in pairs} for split, pairs in splits.items()}
    assert {split: len(pairs) for split, pairs in splits.items()} == SIZES
    assert not sources["train"] & (sources["validation"] | sources["test"])


def test_a_word_is_a_token():
    splits = recall(64, 65)
    texts = [text for pair in splits["train"][:5_000] for text in (pair.source, pair.target)]
    tokenizer = Tokenizer.train(texts, 1_500)
    for pair in splits["test"]:
        assert len(tokenizer.encode(pair.source)) == len(tokenizer.encode(pair.target)) == 64


def test_it_is_a_corpus_by_name():
    corpus = load_corpus(DataConfig("recall-2", "pairs", "values", limit=3))
    assert [len(pairs) for pairs in corpus.splits.values()] == [3, 200, 500]
    assert [pairs_in(name) for name in ("recall-50", "recall", "recall-x")] == [50, None, None]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"corpus": "recall-0"}, f"recall-0 has 0 pairs; recall-1 to recall-{MOST}"),
        ({"corpus": "recall-65"}, "recall-65 has 65 pairs; recall-1"),
        ({"corpus": "recall-64"}, "max_length is 64; .* recall-64 has 65 tokens .* 65 would fit"),
    ],
)
def test_sizes_that_cannot_be(fields, said):
    with pytest.raises(DataError, match=said):
        load_corpus(DataConfig(**fields))
