"""Reports: their summaries are what they say, and what counts cannot be guessed from nearby."""

import re

import pytest

from attention_jax.data.corpora import DataConfig, load_corpus
from attention_jax.data.lines import DataError
from attention_jax.data.long_documents import (
    LONGEST,
    NAMES,
    PLACES,
    SENTENCES,
    SIZES,
    persons_in,
    reports,
)
from attention_jax.data.tokens import Tokenizer
from attention_jax.training.prepared import Prepared, prepare


@pytest.fixture(scope="module")
def splits():
    return reports(4, 200)


def summary_of(report):
    """Read off the report by other means."""
    about = re.match(r"report on (.*?) :", report)[1].split(" , ")
    moved = dict(re.findall(r"(\w+) has moved to (\w+) \.", report))
    return " ".join(f"{name} lives in {moved[name]} ." for name in about)


def test_every_summary_is_what_the_report_says_once(splits):
    assert {split: len(pairs) for split, pairs in splits.items()} == SIZES
    for pair in (*splits["train"][:300], *splits["test"]):
        assert pair.target == summary_of(pair.source)
        about = pair.target.split()[::5]
        assert len(set(about)) == 4 and set(about) <= set(NAMES)
        assert all(len(re.findall(rf"\b{name} has moved to", pair.source)) == 1 for name in about)
        sentences = pair.source.split(" : ")[1].split(" . ")
        assert 4 * SENTENCES[0] <= len(sentences) <= 4 * SENTENCES[1]
        assert (
            max(len(sentence.removesuffix(" .").split()) + 1 for sentence in sentences) <= LONGEST
        )


def test_links_lead_to_equal_words(splits):
    for pair in splits["validation"]:
        source, target = pair.source.split(), pair.target.split()
        assert [source[a] for a, _ in pair.alignment] == [target[b] for _, b in pair.alignment]
        assert [b % 5 for _, b in pair.alignment] == [0, 3] * 4
        homes = [a for a, b in pair.alignment if b % 5 == 3]
        assert all(source[at - 3 : at] == ["has", "moved", "to"] for at in homes)


def test_what_counts_stands_anywhere_among_what_does_not(splits):
    shares, others = [], 0
    for pair in splits["train"][:500]:
        shares += [a / len(pair.source.split()) for a, b in pair.alignment if b % 5 == 3]
        others += pair.source.count(" has moved to ") - 4
    assert min(shares) < 0.15 and max(shares) > 0.95 and 0.45 < sum(shares) / len(shares) < 0.62
    assert others > 2 * 500
    assert len({pair.source for split in splits.values() for pair in split}) == sum(SIZES.values())


def test_the_same_every_time_and_a_word_is_a_token(splits):
    again = reports(4, 200)
    assert again == splits
    texts = [text for pair in splits["train"][:1_500] for text in pair[:2]]
    tokenizer = Tokenizer.train(texts, 600)
    assert all(len(tokenizer.encode(word)) == 1 for word in (*NAMES, *PLACES, "report", "."))


def test_as_a_corpus_with_short_targets():
    data = DataConfig("reports-1", max_length=80, max_target=6, vocabulary=600, batch_tokens=320)
    corpus = load_corpus(data)
    prepared = Prepared(
        data, corpus, Tokenizer.train((p.source for p in corpus.splits["test"]), 300)
    )
    with pytest.raises(DataError, match="of targets, at most 6 were asked for"):
        prepared.plan(0)  # bytes take more tokens than words
    texts = [text for pair in corpus.splits["train"][:1_500] for text in pair[:2]]
    prepared = Prepared(data, corpus, Tokenizer.train(texts, 600))
    plan = prepared.plan(0)
    batch, length = plan[0], plan[0].source.shape[1]
    assert batch.target_in.shape == batch.target_out.shape == (len(batch.source), 6) != length
    assert [leaf.shape for leaf in plan.blanks[0]] == [(rows, n) for rows, n in [plan.shapes[0]] * 1
                                                       for n in (n, 6, 6, 6)]  # fmt: skip
    for rows in prepared.held_out().values():
        assert {leaf.shape[1] for leaf in rows[0][1:]} == {6}
        assert all(batch.weights.sum(-1).max() == 6 for batch in rows)


@pytest.mark.parametrize("name, found", [("reports-8", 8), ("reports", None), ("reports-x", None)])
def test_the_name_of_a_corpus(name, found):
    assert persons_in(name) == found


@pytest.mark.parametrize("name", ["reports-0", "reports-99"])
def test_impossible_numbers_of_persons_are_refused(name):
    with pytest.raises(DataError, match="reports-1 to reports-30 would fit"):
        persons_in(name)


def test_too_short_a_side_is_refused():
    with pytest.raises(DataError, match="max_length is 150; .*up to 151 tokens"):
        reports(4, 150)
    with pytest.raises(DataError, match="max_target is 65; from 2 to max_length, 64"):
        DataConfig(max_target=65)


def test_a_folder_of_ones_own_texts_and_summaries(tmp_path):
    """One text a line, and its summary on the same line of the other file."""
    for split, count in (("train", 12), ("val", 3), ("test", 3)):
        texts = [f"{split} {n} " + "it rained and rained " * (n + 2) for n in range(count)]
        (tmp_path / f"{split}.document").write_text("\n".join(texts) + "\n")
        said = "\n".join(f"rain {n}" for n in range(count))
        (tmp_path / f"{split}.summary").write_text(f"{said}\n")
    data = DataConfig(
        str(tmp_path), "document", "summary", vocabulary=300, max_length=250, max_target=12,
        batch_tokens=500,
    )  # fmt: skip
    prepared = prepare(data)
    assert {split: len(pairs) for split, pairs in prepared.corpus.splits.items()} == {
        "train": 12, "validation": 3, "test": 3
    }  # fmt: skip
    pair = prepared.corpus.splits["train"][3]
    assert pair.source.startswith("train 3 it rained") and pair.target == "rain 3"
    batch = prepared.plan(0)[0]
    assert batch.source.shape[1] > 4 * batch.target_in.shape[1] and batch.target_in.shape[1] == 12


@pytest.mark.parametrize("name", ["samsum", "xsum", "cnn_dailymail/3.4.0"])
def test_known_sets_that_need_tensorflow_say_so(name, tmp_path):
    with pytest.raises(DataError, match="needs TensorFlow.*line-aligned text and name that folder"):
        load_corpus(DataConfig(name, "document", "summary", cache=tmp_path))
