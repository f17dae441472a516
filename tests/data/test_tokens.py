"""The tokenizer: exact both ways, the same every time, and strict about its file."""

import json
import os
import time
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from attention_jax.data.text import DataError, read_tsv
from attention_jax.data.tokens import END, PAD, SMALLEST, START, Tokenizer

TEXTS = [
    "The cat sees the dog.",
    "The dog sees the cat, and the cat runs away from the dog.",
    "El gato ve al perro.",
    "El perro ve al gato y el gato huye del perro.",
    "猫看见狗。狗看见猫。",
    "naïve café 😀👩‍👩‍👧",
] * 3


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.train(TEXTS, 400)


@given(st.text(st.characters(exclude_categories=["Cs"])))
@example("")
@example(" ")
@example("  two  spaces  ")
@example("<end> is text, <pad> too")
@example("猫看见狗 😀 👩‍👩‍👧")
@example("tab\tand\r\nlines\u2028\x00")
@example("don't  can't 12,345.6")
def test_round_trip_is_exact(tokenizer, text):
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert tokenizer.encode_all([text, "x"])[0] == ids
    assert all(END < token < tokenizer.size for token in ids)


def test_a_word_is_the_same_first_and_inside(tokenizer):
    assert tokenizer.encode("dog the dog")[0] == tokenizer.encode("dog the dog")[-1]
    assert tokenizer.tokens(tokenizer.encode("The dog the gato.")) == [
        "The", "dog", "the", "gato", "."
    ]  # fmt: skip


def test_tokens_are_readable(tokenizer):
    ids = [START, *tokenizer.encode("dogs  龍"), END, PAD]
    assert tokenizer.tokens(ids) == [
        "<start>", "dog", "·s", "␣", "␣", "e9", "be", "8d", "<end>", "<pad>"
    ]  # fmt: skip


def test_decode_stops_at_end_and_skips_marks(tokenizer):
    cat, dog = tokenizer.encode("the cat"), tokenizer.encode("the dog")
    assert tokenizer.decode([START, *cat, PAD, END, *dog]) == "the cat"
    assert tokenizer.decode([]) == tokenizer.decode([END]) == ""


def test_half_a_character_decodes_to_the_replacement(tokenizer):
    assert tokenizer.decode(tokenizer.encode("龍")[:-1]) == "\ufffd"


def test_numbers_outside_the_vocabulary_are_refused(tokenizer):
    for token in (tokenizer.size, -1):
        with pytest.raises(DataError, match=f"token {token} is not in"):
            tokenizer.decode([token])


def test_training_is_deterministic_and_keeps_its_size(tokenizer, tmp_path):
    again = Tokenizer.train(iter(TEXTS), 400)
    tokenizer.save(tmp_path / "a.json")
    again.save(tmp_path / "b.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert tokenizer.size <= 400
    assert Tokenizer.train(TEXTS, SMALLEST).size == SMALLEST == 259


def test_a_vocabulary_has_room_for_every_byte():
    with pytest.raises(DataError, match="258 is too small.* at least 259"):
        Tokenizer.train(TEXTS, 258)


def test_training_text_is_checked():
    with pytest.raises(DataError, match="no text"):
        Tokenizer.train([], 300)
    with pytest.raises(DataError, match=r"text 2 has a lone surrogate \(U\+D800\) at character 3"):
        Tokenizer.train(["fine", "ab\ud800"], 300)


def test_text_is_checked(tokenizer):
    with pytest.raises(DataError, match="the text has a lone surrogate"):
        tokenizer.encode("\udfff")
    with pytest.raises(DataError, match="text 3 has a lone surrogate"):
        tokenizer.encode_all(["a", "b", "\udfff"])


def test_save_and_load(tokenizer, tmp_path):
    tokenizer.save(tmp_path / "tokenizer.json")
    loaded = Tokenizer.load(tmp_path / "tokenizer.json")
    assert loaded.size == tokenizer.size
    assert loaded.encode_all(TEXTS) == tokenizer.encode_all(TEXTS)
    assert [path.name for path in tmp_path.iterdir()] == ["tokenizer.json"]
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError):
        tokenizer.save(tmp_path / "folder")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "tokenizer.json"]


def _cut(form):
    return json.dumps(form)[:-20]


def _other_kind(form):
    form["model"]["type"] = "WordPiece"
    return json.dumps(form)


def _other_marks(form):
    form["model"]["vocab"]["<pad>"], form["model"]["vocab"]["<end>"] = 2, 0
    return json.dumps(form)


def _gap(form):
    form["model"]["vocab"]["zzz"] = 9_999
    return json.dumps(form)


def _no_space(form):
    form["normalizer"] = None
    return json.dumps(form)


@pytest.mark.parametrize("harm", [_cut, _other_kind, _other_marks, _gap, _no_space, lambda _: "[]"])
def test_a_wrong_file_is_refused(tokenizer, tmp_path, harm):
    path = tmp_path / "tokenizer.json"
    tokenizer.save(path)
    path.write_text(harm(json.loads(path.read_text())))
    with pytest.raises(DataError, match=r"tokenizer\.json is not a tokenizer"):
        Tokenizer.load(path)


def test_a_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        Tokenizer.load(tmp_path / "tokenizer.json")


def test_real_chinese_and_english_round_trip():
    folder = os.environ.get("ATTENTION_JAX_REAL_DATA")
    if folder is None:
        pytest.skip("ATTENTION_JAX_REAL_DATA names no folder of real data")
    pairs, _ = read_tsv(Path(folder, "tatoeba", "eng-cmn.tsv.gz"))
    texts = [text for pair in pairs[::4] for text in pair[:2]]
    started = time.perf_counter()
    tokenizer = Tokenizer.train(texts, 4_000)
    ids = tokenizer.encode_all(texts)
    assert tokenizer.size == 4_000 and time.perf_counter() - started < 30
    assert [tokenizer.decode(one) for one in ids] == texts
