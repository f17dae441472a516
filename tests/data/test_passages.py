"""One's own text: read strictly, divided at one place, as a long text or as documents."""

import gzip
from dataclasses import replace

import pytest

from attention_jax.data.characters import Characters
from attention_jax.data.lines import DataError
from attention_jax.data.passages import (
    FILES,
    PassagesConfig,
    codec_of,
    load_codec,
    read_passages,
)
from attention_jax.data.tokens import Tokenizer

TEXT = "One line.\nAnd another.\n\nA second paragraph.\n \n\nThe third,\nof two lines.\n"


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "book.txt"
    path.write_text(TEXT, "utf-8")
    return PassagesConfig(text=path, validation=0.25)


def test_windows_read_the_text_as_it_is(config):
    [train], [held_out] = read_passages(config)
    assert train + held_out == TEXT and len(train) == int(len(TEXT) * 0.75)
    [train], [held_out] = read_passages(replace(config, limit=20))
    assert train + held_out == TEXT[:20] and len(held_out) == 5


@pytest.mark.parametrize(
    ("documents", "wanted"),
    [
        ("lines", ["One line.", "And another.", "A second paragraph."]),
        ("paragraphs", ["One line.\nAnd another.", "A second paragraph."]),
    ],
)
def test_packed_documents_stay_whole(config, documents, wanted):
    train, held_out = read_passages(replace(config, packed=True, documents=documents))
    assert train == wanted
    third = "The third,\nof two lines."
    assert held_out == (third.split("\n") if documents == "lines" else [third])


def test_a_folder_is_its_files_in_order(tmp_path):
    (tmp_path / "b.txt").write_text("second", "utf-8")
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"first\r\nlines\n", mtime=0))
    (tmp_path / "notes.md").write_text("none of it", "utf-8")
    config = PassagesConfig(text=tmp_path, validation=0.5)
    [train], [held_out] = read_passages(config)
    assert train + held_out == "first\nlines\nsecond\n"
    found = read_passages(replace(config, packed=True, documents="files"))
    assert found == (["first\nlines"], ["second"])


def test_the_phrasebook_needs_no_file(tmp_path_factory):
    one = read_passages(PassagesConfig(limit=2_000))
    assert len(one.train[0]) <= 2_000 and len(one.validation[0]) <= 250
    packed = read_passages(PassagesConfig(limit=2_000, packed=True))
    assert "".join(f"{line}\n" for line in packed.train) == one.train[0]
    assert not set(packed.train) & set(packed.validation)


def test_tokens_come_back_from_the_folder(config, tmp_path):
    passages = read_passages(config)
    for kind, made in (("characters", Characters), ("pieces", Tokenizer)):
        own = replace(config, tokens=kind, vocabulary=270)
        codec = codec_of(own, passages)
        assert isinstance(codec, made)
        (tmp_path / FILES[kind]).write_bytes(codec.to_bytes())
        again = load_codec(own, tmp_path)
        assert again.encode(TEXT) == codec.encode(TEXT) and again.decode(codec.encode(TEXT)) == TEXT


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rows": 0}, "rows is 0"),
        ({"vocabulary": 9}, "vocabulary is 9"),
        ({"validation": 0.0}, "validation is 0.0"),
        ({"validation": 1.0}, "validation is 1.0"),
        ({"limit": 1}, "limit is 1"),
        ({"tokens": "words"}, "tokens is 'words'.*pieces"),
        ({"documents": "pages"}, "documents is 'pages'.*paragraphs"),
    ],
)
def test_impossible_settings_are_refused(change, words):
    with pytest.raises(DataError, match=words):
        PassagesConfig(**change)


def test_text_that_cannot_be_read_is_refused(tmp_path):
    def refused(name, content, words):
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(DataError, match=words):
            read_passages(PassagesConfig(text=path))

    refused("none.txt", None, "is not there")
    refused("book.pdf", b"text", "is no .txt or .txt.gz file")
    refused("latin.txt", b"caf\xe9\n", "latin.txt, line 1.*UTF-8")
    refused("empty.txt", b"", "too short")
    refused("blank.txt", b"\n\n \n", "too short")
    (tmp_path / "folder").mkdir()
    refused("folder", None, "holds no .txt")
