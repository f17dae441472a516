"""The addition corpus: its sums are right, its digits tokens, its held-out problems unseen."""

from collections import Counter

import pytest

from attention_jax.data import DataConfig, DataError, Tokenizer, load_corpus
from attention_jax.data.addition import LONGER, MOST, SIZES, addition, digits_in
from attention_jax.data.lengths import Lengths


@pytest.fixture(scope="module")
def splits():
    return addition(Lengths(4, 8), 18)


def digits(text):
    return [word.replace(" ", "") for word in text.split("+")]


def test_sums_are_right(splits):
    for pairs in splits.values():
        for pair in pairs[:1_000]:
            one, other = digits(pair.source)
            assert int(one) + int(other) == int(digits(pair.target)[0])
            assert all(part == str(int(part)) for part in (one, other))  # no zero in front


def test_reversed_problems_are_the_same_turned_round(splits):
    turned = addition(Lengths(4, 8), 18, turned=True)
    for split, pairs in splits.items():
        for pair, other in zip(pairs, turned[split], strict=True):
            assert [part[::-1] for part in digits(pair.source)] == digits(other.source)
            assert digits(pair.target)[0][::-1] == digits(other.target)[0]


@pytest.mark.parametrize("turned", [False, True])
def test_digits_are_aligned_with_those_of_their_power(turned):
    for pair in addition(Lengths(4), 18, turned=turned)["test"]:
        source, target, signs = pair.source.split(), pair.target.split(), pair.source.count("+")
        assert signs == 1 and len(pair.alignment) == len(source) - 1
        ones = {at for at, to in pair.alignment if to == (0 if turned else len(target) - 1)}
        sign = source.index("+")
        assert ones == ({0, sign + 1} if turned else {sign - 1, len(source) - 1})
        assert sum(int(source[at]) for at in ones) % 10 == int(target[0 if turned else -1])


def test_lengths_are_drawn_alike_and_longer_ones_are_longer(splits):
    def longest(split):
        return Counter(max(map(len, digits(pair.source))) for pair in splits[split])

    found = longest("train")
    assert set(found) == {1, 2, 3, 4} and max(found.values()) < 1.1 * min(found.values())
    assert set(longest("test")) == {1, 2, 3, 4}
    assert set(longest("test_longer")) == {5, 6, 7, 8}


def test_splits_are_the_same_again_and_share_no_problem(splits):
    alone = addition(Lengths(4), 18)
    assert alone == {split: splits[split] for split in SIZES}
    assert {split: len(found) for split, found in alone.items()} == SIZES
    assert len(splits["test_longer"]) == LONGER
    large = {
        split: {pair.source for pair in found if len(pair.source) > len("1 + 1")}
        for split, found in splits.items()
    }
    assert not large["train"] & (large["validation"] | large["test"] | large["test_longer"])


def test_a_digit_is_a_token(splits):
    texts = [text for pair in splits["train"][:2_000] for text in (pair.source, pair.target)]
    tokenizer = Tokenizer.train(texts, 8_000)
    assert tokenizer.size == 270
    for pair in splits["test_longer"]:
        assert len(tokenizer.encode(pair.source)) == len(pair.source.split())


def test_it_is_a_corpus_by_name():
    corpus = load_corpus(DataConfig("addition-reversed-2-3", "problem", "sum", limit=3))
    assert [len(pairs) for pairs in corpus.splits.values()] == [3, 1_000, 1_000, 1_000]
    assert digits_in("addition-8") == (Lengths(8), False)
    assert digits_in("addition-reversed-8-16") == (Lengths(8, 16), True)
    assert [digits_in(name) for name in ("addition", "addition-x", "reverse-2")] == [None] * 3


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("addition-0", f"addition-0 has 0 digits; addition-1 to addition-{MOST} would fit"),
        ("addition-reversed-501", "addition-reversed-501 has 501 digits; addition-reversed-1 to"),
        ("addition-8-4", f"tested up to 4 digits; more than 8, up to {MOST}, would fit"),
        ("addition-8-32", "max_length is 64; two numbers of 32 digits have 66 tokens .* 66 would"),
    ],
)
def test_sizes_that_cannot_be(name, said):
    with pytest.raises(DataError, match=said):
        load_corpus(DataConfig(name))
