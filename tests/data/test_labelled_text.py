"""Sentences with labels: those of the grammar, and files of one's own."""

from collections import Counter
from dataclasses import replace

import pytest

from attention_jax.data.labelled_text import LabelledTextConfig, read_labelled_text
from attention_jax.data.lines import DataError
from attention_jax.data.pair import Pair
from attention_jax.data.sentence_kinds import KINDS, sentence_kinds
from attention_jax.data.single_words import most_frequent, naive_bayes


def test_the_grammar_knows_what_its_sentences_are():
    found = sentence_kinds()
    everything = [pair for pairs in found.values() for pair in pairs]
    assert {pair.target for pair in everything} == set(KINDS.values())
    assert len({pair.source for pair in everything}) == len(everything) > 5_000
    for pair in everything:
        assert ("?" in pair.source) == (pair.target == "question"), pair
    shares = Counter(pair.target for pair in found["train"])
    assert max(shares.values()) < 0.4 * len(found["train"])
    # Words alone tell much, but not all.
    told = naive_bayes(found["train"], found["test"])
    assert most_frequent(found["train"], found["test"]) < told < 0.97


def test_naive_bayes_by_hand():
    train = [Pair("a b", "x"), Pair("a a", "x"), Pair("b c", "y")]
    # x: 2/3 · (1+1)/(4+3) of b, y: 1/3 · (1+1)/(2+3)
    assert naive_bayes(train, [Pair("b", "x")]) == 1.0
    # c c c: x 2/3 · (1/7)³, y 1/3 · (2/5)³
    assert naive_bayes(train, [Pair("c c c d", "y")]) == 1.0
    assert most_frequent(train, [Pair("q", "x"), Pair("q", "y")]) == 0.5


def test_lines_of_label_and_sentence(tmp_path):
    lines = [f"{'good' if n % 2 else 'bad'}\tthis is number {n}" for n in range(40)]
    (tmp_path / "all.tsv").write_text("\n".join(lines) + "\n")
    text = read_labelled_text(LabelledTextConfig(str(tmp_path / "all.tsv"), vocabulary=300))
    assert text.labels == ("bad", "good")
    assert sum(len(rows.labels) for rows in text.rows.values()) == 40
    pair, label = text.texts["test"][0], text.rows["test"].labels[0]
    assert pair.target == text.labels[label]
    assert text.tokenizer.decode(text.rows["test"].tokens[0]) == pair.source
    for name, part in (("train", lines[:30]), ("val", lines[30:]), ("test", lines[30:])):
        (tmp_path / f"{name}.tsv").write_text("\n".join(part) + "\n")
    (tmp_path / "all.tsv").unlink()
    folder = read_labelled_text(LabelledTextConfig(str(tmp_path), vocabulary=300))
    assert {split: len(part) for split, part in folder.texts.items()} == {
        "train": 30,
        "validation": 10,
        "test": 10,
    }
    (tmp_path / "test.tsv").write_text("ugly\tthis is odd\n")
    with pytest.raises(DataError, match="test has the label 'ugly'"):
        read_labelled_text(LabelledTextConfig(str(tmp_path), vocabulary=300))


def test_what_is_not_there_or_not_sorted_is_refused(tmp_path):
    with pytest.raises(DataError, match="there are no sentences 'nowhere'"):
        read_labelled_text(LabelledTextConfig("nowhere"))
    (tmp_path / "one.tsv").write_text("".join(f"same\tline {n}\n" for n in range(9)))
    with pytest.raises(DataError, match="all training sentences are same"):
        read_labelled_text(LabelledTextConfig(str(tmp_path / "one.tsv"), vocabulary=300))
    for name, value in (("rows", 0), ("limit", 0), ("max_length", 2), ("vocabulary", 3)):
        with pytest.raises(DataError, match=f"{name} is {value}"):
            replace(LabelledTextConfig(), **{name: value})
