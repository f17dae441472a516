"""Pairs joined to longer ones: the same words, links that still fit, no pair in two splits."""

from collections import Counter

import pytest

from attention_jax.data import DataConfig, DataError, Pair, load_corpus
from attention_jax.data.joined import join, joined

PAIRS = [
    Pair("the red ball", "la pelota roja", ((0, 0), (1, 2), (2, 1))),
    Pair("he  sees us", "nos ve", ((0, 1), (1, 1), (2, 0))),
    Pair("cats", "los gatos", ((0, 1),)),
    Pair("a dog", "un perro", ((0, 0), (1, 1))),
    Pair("it is good", "es bueno", ((0, 0), (1, 0), (2, 1))),
]


def linked(pair):
    """The words of each link."""
    source, target = pair.source.split(), pair.target.split()
    return Counter((source[one], target[other]) for one, other in pair.alignment)


def test_links_still_name_the_same_words():
    found = join(PAIRS)
    assert found.source == "the red ball he  sees us cats a dog it is good"
    assert linked(found) == sum(map(linked, PAIRS), Counter())
    assert found.alignment[3:6] == ((3, 4), (4, 4), (5, 3))
    assert join(PAIRS[:1]) == PAIRS[0]
    assert join([Pair("a", "b"), Pair("c", "d")]) == Pair("a c", "b d")


@pytest.mark.parametrize("most", [1, 2, 3, 5])
def test_each_size_holds_the_whole_text_once(most):
    found = joined({"train": PAIRS, "test": PAIRS[:2]}, most)
    sizes = [-(-len(PAIRS) // size) for size in range(1, most + 1)]
    assert len(found["train"]) == sum(sizes) and found["train"][: len(PAIRS)] == PAIRS
    words = Counter(word for pair in PAIRS for word in pair.source.split())
    start = 0
    for size in sizes:
        mine = found["train"][start : start + size]
        assert Counter(word for pair in mine for word in pair.source.split()) == words
        assert sum(map(linked, mine), Counter()) == sum(map(linked, PAIRS), Counter())
        start += size


def test_it_is_the_same_each_time_and_no_split_meets_another():
    pairs = [Pair(f"s{n}", f"t{n}") for n in range(40)]
    splits = {"train": pairs[:30], "test": pairs[30:]}
    found = joined(splits, 4)
    assert found == joined(splits, 4)
    for split, other in (("train", "test"), ("test", "train")):
        here = {word for pair in found[split] for word in pair.source.split()}
        assert not here & {pair.source for pair in splits[other]}
    assert [one.source for one in found["train"][30:45]] != [
        f"s{n} s{n + 1}" for n in range(0, 30, 2)
    ]


def test_a_corpus_is_joined_after_it_is_cut(tmp_path):
    lines = "".join(f"word{n}\twort{n}\n" for n in range(100))
    (tmp_path / "t.tsv").write_text(lines)
    config = DataConfig(str(tmp_path / "t.tsv"), limit=10, join=3)
    corpus = load_corpus(config)
    assert {name: len(pairs) for name, pairs in corpus.splits.items()} == {
        "train": 10 + 5 + 4,
        "validation": 5 + 3 + 2,
        "test": 5 + 3 + 2,
    }
    assert corpus.notes[-1] == "each split holds its text by ones, up to 3 pairs in one"
    assert load_corpus(DataConfig(config.corpus)).notes == ()
    with pytest.raises(DataError, match="join must be at least 1, not 0"):
        DataConfig(join=0)
