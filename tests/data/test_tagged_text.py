"""Words with tags: the built-in names, the two-column form, and rows of tokens."""

import numpy as np
import pytest

from attention_jax.data.conll import read_conll, spans
from attention_jax.data.entities import SIZES, Tagged, entities
from attention_jax.data.lines import DataError
from attention_jax.data.single_words import tags_by_neighbours, tags_by_word
from attention_jax.data.tagged_text import TaggedTextConfig, in_pieces, read_tagged_text

CONLL = """-DOCSTART- -X- O

Tarvo NNP B-PER
Kel NNP I-PER
lives VB O
in IN O
Ostrem NNP I-PLACE

Nela NNP B-PER
Nela NNP B-PER
sleeps VB O
"""


def test_names_of_held_out_text_are_never_in_training():
    found = entities()
    assert {split: len(sentences) for split, sentences in found.items()} == SIZES
    names = {
        split: {w for one in part for w, tag in zip(*one, strict=True) if tag != "O"}
        for split, part in found.items()
    }
    for held_out in ("validation", "test"):
        assert not names[held_out] & {word for one in found["train"] for word in one.words}
    assert all(len(one.words) == len(one.tags) for part in found.values() for one in part)
    assert found == entities()
    # A word names people, places and things alike, so that it says nothing of the kind.
    kinds = {}
    for one in found["train"]:
        for word, tag in zip(*one, strict=True):
            kinds.setdefault(word, set()).add(tag[2:])
    assert sum(len(kinds[word]) > 1 for word in names["train"]) > 0.9 * len(names["train"])


def test_counts_of_words_find_no_name_in_held_out_text_and_neighbours_some():
    found = entities()
    train, test = found["train"], found["test"]
    gold = [spans(one.tags) for one in test]
    by_word = [spans(tags) for tags in tags_by_word(train, test)]
    assert not any(one & other for one, other in zip(gold, by_word, strict=True))
    beside = [spans(tags) for tags in tags_by_neighbours(train, test)]
    right = sum(len(one & other) for one, other in zip(gold, beside, strict=True))
    assert 0.3 < right / sum(map(len, gold)) < 0.95


def test_two_columns_are_read(tmp_path):
    (tmp_path / "text.conll").write_text(CONLL)
    first, second = read_conll(tmp_path / "text.conll")
    assert first.words == ("Tarvo", "Kel", "lives", "in", "Ostrem")
    # An I- that goes on with nothing begins a name.
    assert first.tags == ("B-PER", "I-PER", "O", "O", "B-PLACE")
    assert spans(first.tags) == {(0, 2, "PER"), (4, 5, "PLACE")}
    assert spans(second.tags) == {(0, 1, "PER"), (1, 2, "PER")}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Tarvo\n", "line 1: 'Tarvo' is one column"),
        ("Tarvo X-PER\n", "line 1: the tag is 'X-PER'"),
        ("\n\n", "is empty"),
    ],
)
def test_bad_files_are_refused(tmp_path, text, words):
    (tmp_path / "text.conll").write_text(text)
    with pytest.raises(DataError, match=words):
        read_conll(tmp_path / "text.conll")


def test_a_tag_stands_at_the_first_token_of_its_word():
    text = read_tagged_text(TaggedTextConfig(vocabulary=300, limit=50))
    assert text.tags == ("O", "B-PER", "B-PLACE", "B-THING", "I-PER", "I-PLACE", "I-THING")
    rows, sentence = text.rows["test"], text.texts["test"][0]
    tokens, labels, weights = (array[0] for array in rows)
    assert text.tokenizer.decode(tokens) == " ".join(sentence.words)
    assert [text.tags[tag] for tag in labels[weights != 0]] == list(sentence.tags)
    starts = np.flatnonzero(weights)
    pieces = in_pieces(text.tokenizer, sentence.words)
    np.testing.assert_array_equal(np.diff(starts), [len(word) for word in pieces[:-1]])
    assert starts[0] == 1 and not weights[tokens <= 2].any()


def test_a_folder_and_a_file(tmp_path):
    for name in ("train", "dev", "test"):
        (tmp_path / f"{name}.conll").write_text(CONLL)
    text = read_tagged_text(TaggedTextConfig(str(tmp_path), vocabulary=300))
    assert {split: len(part) for split, part in text.texts.items()} == {
        "train": 2,
        "validation": 2,
        "test": 2,
    }
    assert isinstance(text.texts["test"][0], Tagged)
    more = "\n\n".join(f"Nela{n} B-PER\nsleeps O" for n in range(9)) + "\n"
    (tmp_path / "one.txt").write_text(more)
    alone = read_tagged_text(TaggedTextConfig(str(tmp_path / "one.txt"), vocabulary=300))
    assert sum(map(len, alone.texts.values())) == 9
    (tmp_path / "test.conll").write_text("Nela B-DOG\n")
    with pytest.raises(DataError, match="test has the tag 'B-DOG'"):
        read_tagged_text(TaggedTextConfig(str(tmp_path), vocabulary=300))
    (tmp_path / "dev.conll").unlink()
    with pytest.raises(DataError, match="has no validation"):
        read_tagged_text(TaggedTextConfig(str(tmp_path), vocabulary=300))
    with pytest.raises(DataError, match="there are no tagged sentences 'nowhere'"):
        read_tagged_text(TaggedTextConfig("nowhere"))
