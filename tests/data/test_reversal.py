"""The reversal corpus: exact, as long as it says, its symbols tokens, its held-out text unseen."""

from collections import Counter

import pytest

from attention_jax.data import DataConfig, DataError, Tokenizer, load_corpus
from attention_jax.data.lengths import Lengths
from attention_jax.data.reversal import LONGER, MOST, SIZES, SYMBOLS, reversal, symbols_in


@pytest.fixture(scope="module")
def splits():
    return reversal(25, 26)


def test_the_answer_is_the_sentence_turned_round(splits):
    for pair in splits["test"]:
        assert pair.target.split() == pair.source.split()[::-1]


def test_the_alignment_leads_from_each_symbol_to_itself(splits):
    for pair in splits["validation"]:
        source, target = pair.source.split(), pair.target.split()
        assert [one for one, _ in pair.alignment] == list(range(len(source)))
        assert sorted(at for _, at in pair.alignment) == list(range(len(source)))
        assert all(source[one] == target[at] for one, at in pair.alignment)
        assert all(one + at == len(source) - 1 for one, at in pair.alignment)


def test_lengths_and_symbols_are_drawn_alike(splits):
    lengths = Counter(len(pair.source.split()) for pair in splits["train"])
    symbols = Counter(word for pair in splits["train"] for word in pair.source.split())
    for found, kinds in ((lengths, set(range(1, 26))), (symbols, set(SYMBOLS))):
        assert set(found) == kinds
        assert max(found.values()) < 1.2 * min(found.values())


def test_splits_are_the_same_again(splits):
    assert reversal(25, 26) == splits
    assert {split: len(pairs) for split, pairs in splits.items()} == SIZES
    assert [*splits] == [*SIZES]


@pytest.mark.parametrize("symbols", [2, 25])
def test_no_sentence_of_two_symbols_or_more_is_in_two_splits(symbols):
    sources = {
        split: {pair.source for pair in pairs if " " in pair.source}
        for split, pairs in reversal(symbols, 26).items()
    }
    assert sum(map(len, sources.values())) == len(set().union(*sources.values()))


def test_a_symbol_is_a_token(splits):
    texts = [text for pair in splits["train"][:2_000] for text in (pair.source, pair.target)]
    tokenizer = Tokenizer.train(texts, 309)
    assert tokenizer.size == Tokenizer.train(texts, 8_000).size == 309
    for pair in splits["test"]:
        assert len(tokenizer.encode(pair.source)) == len(pair.source.split())


def test_it_is_a_corpus_by_name():
    corpus = load_corpus(DataConfig("reverse-3", "symbols", "reversed", limit=3))
    assert [len(pairs) for pairs in corpus.splits.values()] == [3, 1_000, 1_000]
    assert [symbols_in(name) for name in ("reverse", "reverse-x")] == [None, None]
    assert symbols_in("reverse-25") == Lengths(25)
    assert symbols_in("reverse-25-50") == Lengths(25, 50)


def test_a_second_number_adds_longer_sentences_and_changes_no_other():
    found = load_corpus(DataConfig("reverse-3-6", "symbols", "reversed")).splits
    longer = found["test_longer"]
    assert [*found] == [*SIZES, "test_longer"]
    assert {split: found[split] for split in SIZES} == reversal(3, 64)
    assert len(longer) == LONGER and longer == reversal(3, 64, 6)["test_longer"]
    assert {len(pair.source.split()) for pair in longer} == {4, 5, 6}
    assert all(pair.target.split() == pair.source.split()[::-1] for pair in longer)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"corpus": "reverse-0"}, f"reverse-0 has 0 symbols; reverse-1 to reverse-{MOST}"),
        ({"corpus": "reverse-1001"}, "reverse-1001 has 1001 symbols; reverse-1"),
        ({"corpus": "reverse-64"}, "max_length is 64; .* reverse-64 have 65 tokens .* 65 would"),
        (
            {"corpus": "reverse-9-64"},
            "max_length is 64; .* reverse-9-64 have 65 tokens .* 65",
        ),
        ({"corpus": "reverse-9-9"}, "reverse-9-9 is tested up to 9 symbols; more than 9, up to"),
    ],
)
def test_sizes_that_cannot_be(fields, said):
    with pytest.raises(DataError, match=said):
        load_corpus(DataConfig(**fields))
