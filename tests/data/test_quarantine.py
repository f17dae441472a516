"""Bad lines: refused, or left out with the line beside them and put on record, never lost."""

import json
import tempfile
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attention_jax.data import DataConfig, DataError, Pair, lines, load_corpus, write_quarantine
from attention_jax.data.quarantine import Quarantine
from attention_jax.data.text import read_sides, read_tsv
from experiments.benchmarks.survival import corpus as hostile

KINDS = [kind for kind in hostile.KINDS if kind not in ("a tab", "10 MB")]


def folder_of(place: Path, **files: bytes) -> Path:
    place.mkdir(exist_ok=True)
    for name, data in files.items():
        (place / name.replace("_", ".")).write_bytes(data)
    return place


def skipping(place: Path, **config) -> DataConfig:
    return DataConfig(**{"corpus": str(place), "bad_lines": "skip", "bad_limit": 1.0} | config)


def test_a_bad_line_takes_its_translation_along(tmp_path):
    source = b"a\nb\xe9\nc\nd\n\nf\ng"
    target = b"A\nB\nC\0\nD\nE\nF\nG\n"
    good = b"x\ny\n"
    place = folder_of(tmp_path, train_en=source, train_es=target, val_en=good, val_es=good)
    found = load_corpus(skipping(place))
    assert found.splits["train"] == [Pair(c, c.upper()) for c in "adfg"]
    assert [(Path(bad.file).name, bad.line, bad.reason) for bad in found.quarantined] == [
        ("train.en", 2, "invalid UTF-8"),
        ("train.es", 3, "NUL character"),
        ("train.en", 5, "empty on a side"),
    ]
    assert found.notes == (
        "train.en: dropped 1 of 7 pairs, invalid UTF-8 (first: 2)",
        "train.en: dropped 1 of 7 pairs, NUL character (first: 3)",
        "train.en: dropped 1 of 7 pairs, empty on a side (first: 5)",
    )
    with pytest.raises(DataError, match=r"train\.en, line 2: byte 2 \(0xe9\) is not valid UTF-8"):
        load_corpus(DataConfig(corpus=str(place)))


def test_lines_of_a_table(tmp_path):
    path = tmp_path / "made.tsv"
    path.write_bytes(b"a\tb\n\nalone\nc\t\xed\xa0\x80\n\td\ne\tf\tg\nh\ti\n")
    found = Quarantine("skip")
    pairs, _ = read_tsv(path, found)
    assert pairs == [Pair("a", "b"), Pair("h", "i")] and found.lines == 7
    assert [(bad.line, bad.reason, bad.text) for bad in found.records] == [
        (2, "empty on a side", ""),
        (3, "not two columns", "alone"),
        (4, "invalid UTF-8", "c\\t\\xed\\xa0\\x80"),
        (5, "empty on a side", "\\td"),
        (6, "not two columns", "e\\tf\\tg"),
    ]


@pytest.mark.parametrize(("bad", "limit", "fits"), [
    (1, 0.01, True), (2, 0.01, False), (29, 0.29, True), (30, 0.29, False), (1, 0.0, False),
])  # fmt: skip
def test_the_limit_is_a_share_of_all_lines(tmp_path, bad, limit, fits):
    rows = [b"\xff\ty\n"] * bad + [b"%d\ty\n" % n for n in range(95 - bad)] + [b"\t\n"] * 5
    (tmp_path / "made.tsv").write_bytes(b"".join(rows))
    config = skipping(tmp_path / "made.tsv", bad_limit=limit)
    if fits:
        assert len(load_corpus(config).quarantined) == bad + 5  # empty ones do not count
        return
    with pytest.raises(DataError) as caught:
        load_corpus(config)
    allowed = int(100 * limit + 0.5)
    said = f"{bad} of 100 lines are bad, and bad_limit {limit:g} allows {allowed}: "
    assert said in str(caught.value) and "made.tsv, line 1: byte 1 (0xff)" in str(caught.value)


def test_nothing_good_is_refused_with_the_reasons(tmp_path):
    (tmp_path / "made.tsv").write_bytes(b"\xff\tb\n\t\n\xfe\tb\n")
    with pytest.raises(DataError, match=r"none of the 3 lines .*: 2 invalid UTF-8, 1 empty on a"):
        read_tsv(tmp_path / "made.tsv", Quarantine("skip"))


@pytest.mark.parametrize("packed", ["", ".gz"])
def test_a_long_line_is_skipped_lightly_and_shifts_nothing(tmp_path, packed, monkeypatch):
    row = hostile.Row.of(1, "words", "10 MB")
    rows = [hostile.Row.of(n, "words", "words") for n in (2, 3, 4)]
    hostile.make(tmp_path / "it", {"train": [rows[0], row, *rows[1:]]}, form=f"sides{packed}")
    paths = [tmp_path / "it" / f"train.{language}{packed}" for language in ("en", "es")]
    found = Quarantine("skip")
    tracemalloc.start()
    pairs, _ = read_sides(*paths, found)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert pairs == [row.pair for row in rows] and peak < 6 << 20
    assert found.records[0][1:3] == (2, "longer than 1,048,576 bytes")
    assert found.records[0].text == "1 " + "x" * 198
    # What has no end of a line at all is no text; no policy reads on for ever.
    monkeypatch.setattr(lines, "_ENDLESS", 5_000_000)
    with pytest.raises(DataError, match="line 2: more than .* bytes long"):
        read_sides(*paths, Quarantine("skip"))


@given(
    kinds=st.lists(st.tuples(*[st.sampled_from(KINDS)] * 2), max_size=30),
    form=st.sampled_from(["sides", "sides.gz", "table"]),
    end=st.sampled_from([b"\n", b"\r\n"]),
    policy=st.sampled_from(["refuse", "skip"]),
    limit=st.sampled_from([0.0, 0.1, 1.0]),
    length=st.sampled_from([40, 512]),
)
def test_every_line_is_kept_exactly_or_accounted_for(kinds, form, end, policy, limit, length):
    rows = [hostile.Row.of(n, *pair) for n, pair in enumerate([("words", "words")] * 4 + kinds)]
    # A table's validation split may be one sentence, which must not be too long.
    longest = 512 if form == "table" else length
    config = {"bad_lines": policy, "bad_limit": limit, "max_length": longest}
    splits = {"train": rows} if form == "table" else {"train": rows, "val": rows[:4]}
    with tempfile.TemporaryDirectory() as place:
        made = hostile.make(Path(place, "it"), splits, form=form, end=end, **config)
        outcome, faults = hostile.judged(made)
    assert faults == []
    assert outcome == ("refused with a message" if made.refused else "ran")


def test_the_record(tmp_path):
    nasty = "\\ \u202e</script>\u2028é".encode() + b"\xe9\x1b[31m" + b"long" * 90
    sides = b"".join(b"%d\n" % n for n in range(9))
    place = folder_of(
        tmp_path / "it", train_en=nasty + b"\n" + sides, train_es=b"0\n" + sides,
        val_en=sides, val_es=sides,
    )  # fmt: skip
    found = load_corpus(skipping(place))
    write_quarantine(tmp_path / "quarantine.jsonl", found)
    (line,) = (tmp_path / "quarantine.jsonl").read_text("utf-8").splitlines()
    record = json.loads(line)
    assert (record["file"], record["line"]) == (str(place / "train.en"), 1)
    assert record["reason"] == "invalid UTF-8" and "byte 20 (0xe9)" in record["detail"]
    shown = "\\\\ \\u202e</script>\\u2028é\\xe9\\x1b[31mlonglong"
    assert record["text"].startswith(shown) and len(record["text"]) == 200
    assert record["text"].isprintable()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["it", "quarantine.jsonl"]


def test_no_bad_lines_no_record(tmp_path):
    good = b"a\nb\n"
    place = folder_of(tmp_path, train_en=good, train_es=good, val_en=good, val_es=good)
    found = load_corpus(skipping(place))
    assert found.quarantined == () and found.notes == ()
    write_quarantine(tmp_path / "quarantine.jsonl", found)
    assert not (tmp_path / "quarantine.jsonl").exists()


def test_a_record_that_cannot_be_written_leaves_nothing(tmp_path):
    good = b"a\nb\n"
    place = folder_of(
        tmp_path / "it", train_en=b"a\n\xff\n", train_es=good, val_en=good, val_es=good
    )
    found = load_corpus(skipping(place))
    (tmp_path / "quarantine.jsonl").mkdir()
    with pytest.raises(OSError):
        write_quarantine(tmp_path / "quarantine.jsonl", found)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["it", "quarantine.jsonl"]
