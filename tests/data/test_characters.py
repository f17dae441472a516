"""Characters as tokens: exact both ways, in an order that nothing but the text decides."""

import json

import numpy as np
import pytest

from attention_jax.data.characters import Characters
from attention_jax.data.lines import DataError
from attention_jax.data.tokens import END, PAD, START

TEXT = "Ça va ?\nOui, ça va — 你好 🙂.\n"


def test_text_comes_back_as_it_was():
    codec = Characters.of([TEXT])
    assert codec.characters == "".join(sorted(set(TEXT))) and codec.size == 3 + len(set(TEXT))
    ids = codec.encode(TEXT)
    assert ids == [3 + sorted(set(TEXT)).index(one) for one in TEXT]
    assert codec.decode(ids) == TEXT
    assert codec.encode_all([TEXT, ""]) == [ids, []]
    found = codec.encode_array(TEXT)
    assert found.dtype == np.int32 and found.tolist() == ids


def test_any_order_of_characters_is_kept():
    codec = Characters("zab")
    assert codec.encode("abz") == [4, 5, 3] and codec.decode([4, 5, 3]) == "abz"


def test_marks_are_no_text():
    codec = Characters("ab")
    assert codec.decode([START, 3, PAD, 4, END, 3]) == "ab"
    assert codec.tokens([START, 3, END, PAD]) == ["<start>", "a", "<end>", "<pad>"]
    assert Characters(" \n\t").tokens([3, 4, 5]) == ["␣", "⏎", "⇥"]
    for token in (5, -1):
        with pytest.raises(DataError, match=f"token {token} .* 5 tokens"):
            codec.decode([token])


def test_what_is_not_in_the_vocabulary_is_named():
    with pytest.raises(DataError, match="character 3 of the text is 'c'.* 2 that"):
        Characters("ab").encode("abcd")
    for none in ("", "aba"):
        with pytest.raises(DataError, match="each once"):
            Characters(none)


def test_the_file_is_json_and_is_read_back(tmp_path):
    codec, path = Characters.of([TEXT]), tmp_path / "characters.json"
    path.write_bytes(codec.to_bytes())
    assert Characters.load(path).characters == codec.characters
    assert Characters.load(path).digest() == codec.digest() != Characters("ab").digest()


@pytest.mark.parametrize(
    "content", [b"", b"[]", b'{"characters": 3}', b'{"characters": ["a", 2]}', b"{}", b"\xff"]
)
def test_a_damaged_file_is_refused(content, tmp_path):
    (tmp_path / "characters.json").write_bytes(content)
    with pytest.raises(DataError, match="characters.json is no file of characters"):
        Characters.load(tmp_path / "characters.json")


def test_json_holds_every_character(tmp_path):
    assert json.loads(Characters("\n\u2028\\").to_bytes())["characters"] == ["\n", "\u2028", "\\"]
