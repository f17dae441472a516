"""Text for masking: one language or two, from files, folders and the phrasebook."""

from dataclasses import replace

import numpy as np
import pytest

from attention_jax.data.lines import DataError
from attention_jax.data.masked_text import MaskedTextConfig, beside, read_masked_text, single

ENGLISH = [f"a {colour} dog number {n}" for n in range(20) for colour in ("red", "blue")]
ENGLISH[0] += " of a very long line of dogs"
GERMAN = [line.replace("a ", "ein ").replace("dog", "hund") for line in ENGLISH]


@pytest.fixture
def folder(tmp_path):
    for split, lines in (
        ("train", slice(0, 30)),
        ("val", slice(30, 35)),
        ("test2016", slice(35, 40)),
    ):
        (tmp_path / f"{split}.en").write_text("\n".join(ENGLISH[lines]) + "\n")
        (tmp_path / f"{split}.de").write_text("\n".join(GERMAN[lines]) + "\n")
    return tmp_path


def test_one_language_of_a_folder(folder):
    text = read_masked_text(MaskedTextConfig(str(folder), vocabulary=300))
    assert {split: len(rows.tokens) for split, rows in text.rows.items()} == {
        "train": 30,
        "validation": 5,
        "test2016": 5,
    }
    row = text.rows["train"].tokens[1]
    assert text.tokenizer.decode(row) == ENGLISH[1] and text.mask == text.tokenizer.size
    assert not text.rows["train"].types.any() and not text.notes
    np.testing.assert_array_equal(single(text, "train").tokens, text.rows["train"].tokens)
    again = read_masked_text(MaskedTextConfig(str(folder), vocabulary=300), text.tokenizer)
    assert again.digest() == text.digest()
    fewer = read_masked_text(MaskedTextConfig(str(folder), vocabulary=300, limit=29))
    assert fewer.digest() != text.digest()


def test_two_languages_stand_alone_and_beside_each_other(folder):
    config = MaskedTextConfig(str(folder), other="de", vocabulary=300, max_length=60)
    text = read_masked_text(config)
    assert len(text.rows["train"].tokens) == 3 * 30
    for side, lines in enumerate((ENGLISH, GERMAN)):
        alone = single(text, "validation", side)
        assert text.tokenizer.decode(alone.tokens[2]) == lines[32]
        assert set(alone.types[alone.tokens > 2]) == {side}
    both = beside(text, "validation")
    english, german = (single(text, "validation", side) for side in (0, 1))
    size = int((english.tokens[2] != 0).sum())
    np.testing.assert_array_equal(both.tokens[2, :size], english.tokens[2, :size])
    rest = german.tokens[2, 1 : 1 + (german.tokens[2] != 0).sum() - 1]
    np.testing.assert_array_equal(both.tokens[2, size : size + len(rest)], rest)
    # In a pair as alone, a word has the same position.
    np.testing.assert_array_equal(
        both.positions[2, size : size + len(rest)], german.positions[2, 1 : 1 + len(rest)]
    )
    short = read_masked_text(replace(config, max_length=40), text.tokenizer)
    assert len(short.rows["train"].tokens) == 3 * 29  # a pair is left out with both of its sides


def test_a_file_is_split_without_leaks(tmp_path):
    (tmp_path / "text.txt").write_text("\n".join(ENGLISH) + "\n")
    text = read_masked_text(MaskedTextConfig(str(tmp_path / "text.txt"), vocabulary=300))
    sides = [{pair.source for pair in pairs} for pairs in text.pairs.values()]
    assert list(text.pairs) == ["train", "validation", "test"] and all(sides)
    assert set().union(*sides) == set(ENGLISH) and sum(map(len, sides)) == len(ENGLISH)


def test_what_is_too_long_is_said_or_refused(folder):
    whole = MaskedTextConfig(str(folder), vocabulary=300)
    lengths = (read_masked_text(whole).rows["train"].tokens != 0).sum(1)
    short = read_masked_text(replace(whole, max_length=int(lengths.max()) - 1))
    assert "train: left out" in short.notes[0]
    with pytest.raises(DataError, match="none of 30 train texts has at most 4 tokens"):
        read_masked_text(replace(whole, max_length=4))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"vocabulary": 258}, "vocabulary is 258"),
        ({"max_length": 3}, "max_length is 3"),
        ({"share": 0.0}, "share is 0.0"),
        ({"limit": 0}, "limit is 0"),
        ({"rows": 0}, "rows is 0"),
        ({"language": "../en"}, "language is '../en'"),
        ({"other": "en"}, "language and other are both 'en'"),
    ],
)
def test_impossible_configs_are_refused(change, words):
    with pytest.raises(DataError, match=words):
        MaskedTextConfig(**change)


def test_a_text_that_is_not_there_is_refused():
    with pytest.raises(DataError, match="there is no text 'nowhere'"):
        read_masked_text(MaskedTextConfig("nowhere"))
