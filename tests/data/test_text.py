"""Reading parallel text: what is kept exactly, and one clear message for each kind of bad file."""

import gzip
import os
import random
from pathlib import Path

import pytest

from attention_jax.data.lines import DataError
from attention_jax.data.pair import Pair
from attention_jax.data.text import (
    normalised,
    read_folder,
    read_sides,
    read_tsv,
    split_pairs,
)


def write(path: Path, data: bytes | str) -> Path:
    data = data.encode() if isinstance(data, str) else data
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
    return path


def parallel(folder: Path, **counts: int) -> Path:
    """A folder with so many lines a split: val=2 writes val.en and val.de."""
    for stem, count in counts.items():
        for side in ("en", "de"):
            write(folder / f"{stem}.{side}", "".join(f"{stem} {side} {n}\n" for n in range(count)))
    return folder


def refused(call, *arguments) -> str:
    with pytest.raises(DataError) as caught:
        call(*arguments)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_exotic_separators_do_not_misalign_sides(tmp_path):
    source = write(tmp_path / "train.en", "one\u2028still one\ntwo\x0c\nthree\n")
    target = write(tmp_path / "train.de", "eins\nzwei\ndrei\n")
    pairs, notes = read_sides(source, target)
    assert [pair.target for pair in pairs] == ["eins", "zwei", "drei"]
    assert pairs[0].source == "one\u2028still one" and notes == []


def test_unequal_sides_name_both_counts(tmp_path):
    source = write(tmp_path / "train.en", "a\nb\nc\n")
    target = write(tmp_path / "train.de", "a\nb\n")
    message = refused(read_sides, source, target)
    assert "train.en has 3" in message and "train.de has 2" in message


def test_empty_files(tmp_path):
    full, empty = write(tmp_path / "train.en", "a\n"), write(tmp_path / "train.de", "")
    assert "train.de is empty" in refused(read_sides, full, empty)
    assert "e.tsv is empty" in refused(read_tsv, write(tmp_path / "e.tsv", ""))


def test_blank_sides_are_dropped_and_counted(tmp_path):
    source = write(tmp_path / "train.en", "a\n\nc\nd\n")
    target = write(tmp_path / "train.de", "A\nB\n \t\nD\n")
    pairs, notes = read_sides(source, target)
    assert [pair.source for pair in pairs] == ["a", "d"]
    assert notes == ["train.en: dropped 2 of 4 pairs, empty on a side (first: 2)"]
    assert "none of the 1 lines" in refused(read_tsv, write(tmp_path / "b.tsv", "\t\n"))


@pytest.mark.parametrize(("line", "columns"), [("one", 1), ("a\tb\tc", 3)])
def test_a_tsv_has_two_columns(tmp_path, line, columns):
    message = refused(read_tsv, write(tmp_path / "t.tsv", f"a\tb\n{line}\n"))
    assert f"t.tsv, line 2: {columns} column" in message


def test_a_folder_by_any_usual_names(tmp_path):
    parallel(tmp_path, train=5, dev=2, test2016=3)
    write(tmp_path / "test.b.en.gz", "x\n")
    write(tmp_path / "test.b.de", "y\n")
    write(tmp_path / "README.md", "not data")
    splits, notes = read_folder(tmp_path, "de", "en")
    assert {name: len(pairs) for name, pairs in splits.items()} == {
        "train": 5, "validation": 2, "test.b": 1, "test2016": 3,
    }  # fmt: skip
    assert splits["train"][4] == Pair("train de 4", "train en 4") and notes == []


def test_a_folder_of_tables(tmp_path):
    for stem in ("train", "val", "test"):
        write(tmp_path / f"{stem}.tsv.gz", f"{stem}\tb\n")
    assert set(read_folder(tmp_path, "en", "es")[0]) == {"train", "validation", "test"}


def test_what_a_folder_lacks_is_named(tmp_path):
    assert "there: nothing" in refused(read_folder, tmp_path, "en", "de")
    parallel(tmp_path, train=3)
    message = refused(read_folder, tmp_path, "en", "de")
    assert "no validation.en or valid.en or val.en or dev.en" in message
    assert "there: train.de, train.en" in message
    parallel(tmp_path, val=2)
    assert "no train.fr" in refused(read_folder, tmp_path, "en", "fr")
    write(tmp_path / "test.en", "only one side\n")
    assert "no test.de" in refused(read_folder, tmp_path, "en", "de")


def test_what_a_folder_has_twice_is_named(tmp_path):
    parallel(tmp_path, train=3, val=2)
    write(tmp_path / "train.en.gz", "a\n")
    assert "both train.en and train.en.gz" in refused(read_folder, tmp_path, "en", "de")
    (tmp_path / "train.en.gz").unlink()
    parallel(tmp_path, dev=2)
    assert "val and dev" in refused(read_folder, tmp_path, "en", "de")
    (tmp_path / "dev.en").unlink(), (tmp_path / "dev.de").unlink()
    write(tmp_path / "train.tsv", "a\tb\n")
    assert "two forms" in refused(read_folder, tmp_path, "en", "de")


def test_a_split_never_shares_a_source_sentence():
    rng = random.Random(1)
    ways = [str.upper, str.title, lambda s: f"{s} !", lambda s: f"¿ {s}?", str]
    words = [f"word{rng.randrange(400)} and {rng.randrange(3)}" for _ in range(3_000)]
    pairs = [Pair(rng.choice(ways)(text), str(n)) for n, text in enumerate(words)]
    splits = split_pairs(pairs, "made")
    seen = {name: {normalised(pair.source) for pair in found} for name, found in splits.items()}
    assert not seen["train"] & seen["test"]
    assert not seen["train"] & seen["validation"] and not seen["test"] & seen["validation"]
    assert sorted(pair for found in splits.values() for pair in found) == sorted(pairs)
    assert all(splits.values())
    assert len(seen["test"]) == len(seen["validation"]) == len(set(words)) // 20
    shuffled = split_pairs(rng.sample(pairs, len(pairs)), "made")
    assert {n: sorted(found) for n, found in shuffled.items()} == {
        n: sorted(found) for n, found in splits.items()
    }


def test_a_split_is_the_same_for_ever():
    splits = split_pairs([Pair(f"sentence {n}", "") for n in range(60)], "made")
    assert [pair.source for pair in splits["test"]] == [
        "sentence 19", "sentence 22", "sentence 35"
    ]  # fmt: skip


def test_normalised():
    assert normalised("¿Qué  TAL, señor?") == normalised("qué tal señor")
    assert normalised("?!") != normalised("...") and normalised("你好。") == "你好"


def test_too_few_sentences_to_split():
    assert "2 different" in refused(split_pairs, [Pair("a", "b"), Pair("c", "d")] * 2, "two.tsv")


def test_multi30k():
    folder = os.environ.get("ATTENTION_JAX_REAL_DATA")
    if folder is None:
        pytest.skip("ATTENTION_JAX_REAL_DATA names no folder of real data")
    splits, notes = read_folder(Path(folder, "multi30k"), "de", "en")
    counts = {name: len(pairs) for name, pairs in splits.items()}
    assert counts == {"train": 29_000, "validation": 1_014, "test2016": 1_000} and notes == []
    pairs, _ = read_tsv(Path(folder, "tatoeba", "eng-cmn.tsv.gz"))
    assert len(pairs) == 21_116 and all(split_pairs(pairs, "tatoeba").values())
