"""Lines of a file: text is kept exactly, and one clear message for each kind of bad line."""

import gzip
import random
import time
import tracemalloc
from pathlib import Path

import pytest

from attention_jax.data.lines import DataError, Quarantined, escaped, scan
from attention_jax.data.quarantine import Quarantine


def write(path: Path, data: bytes | str) -> Path:
    data = data.encode() if isinstance(data, str) else data
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
    return path


def read(path: Path) -> list[str]:
    return list(Quarantine().read(path))


def refused(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read(path)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("name", ["a.en", "a.en.gz"])
def test_lines_lose_their_ends_and_nothing_else(tmp_path, name):
    kept = ["a\u2028b", "c\x0bd\x0ce\x1cf\x85g\u2029", " two  spaces ", "", "mid\rway", "末尾 😀"]
    data = "\ufeff" + "\r\n".join(kept[:3]) + "\r\n" + "\n".join(kept[3:])
    assert read(write(tmp_path / name, data)) == kept


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"fine\nb\xe9d\n", ["line 2", "byte 2", "0xe9", "latin1"]),
        (b"fine\nfine\nn\0l\n", ["line 3", "NUL", "byte 2"]),
        (b"fine\n\xed\xa0\x80\n", ["line 2", "byte 1", "lone surrogate"]),
        ("utf-16\n".encode("utf-16"), ["line 1", "UTF-16"]),
        (b"\xff\xfe\xe4\x4e\n", ["line 1", "UTF-16"]),
        (gzip.compress(b"text\n", mtime=0), ["line 1", "add .gz"]),
        (b"\x1f\x8b\x08\x08text\n", ["line 1", "add .gz"]),
    ],
)
def test_bad_bytes_are_placed(tmp_path, data, said):
    path = write(tmp_path / "train.en", data)
    message = refused(path)
    assert all(part in message for part in [str(path), *said]), message


@pytest.mark.parametrize("name", ["train.en", "train.en.gz"])
def test_an_endless_line_is_refused_quickly_and_lightly(tmp_path, name):
    path = write(tmp_path / name, b"first\n" + b"x" * 10_000_000 + b"\nlast\n")
    started = time.perf_counter()
    tracemalloc.start()
    message = refused(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "line 2: 10,000,001 bytes" in message and "1,048,576" in message
    assert peak < 6 << 20 and time.perf_counter() - started < 5


def test_a_line_of_exactly_the_limit_fits(tmp_path):
    assert len(next(scan(write(tmp_path / "a", b"x" * (1 << 20))))) == 1 << 20


@pytest.mark.parametrize("harm", ["cut", "flipped", "no gzip"])
def test_damaged_gzip(tmp_path, harm):
    rng = random.Random(0)
    text = "".join(f"{rng.random()}\n" for _ in range(5_000)).encode()
    whole = bytearray(gzip.compress(text, mtime=0))
    if harm == "flipped":
        whole[len(whole) // 2] ^= 255
    path = tmp_path / "train.en.gz"
    path.write_bytes({"cut": whole[:-100], "no gzip": text}.get(harm, whole))
    message = refused(path)
    assert str(path) in message and ("damaged gzip" in message or "UTF-8" in message)


def test_bad_lines_stand_in_their_places(tmp_path):
    path = write(tmp_path / "a.en", b"one\n\xe9\n\n\0\n" + b"x" * (1 << 21) + b"\nsix")
    found = list(scan(path))
    bad = [line for line in found if isinstance(line, Quarantined)]
    assert [line for line in found if isinstance(line, str)] == ["one", "", "six"]
    assert [line.line for line in bad] == [2, 4, 5] == [found.index(line) + 1 for line in bad]
    assert {line.file for line in bad} == {str(path)}
    assert str(bad[1]).startswith(f"{path}, line 4: a NUL character at byte 1.")


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain ‘text’ 猫".encode(), "plain ‘text’ 猫"),
        (b"C:\\x41", "C:\\\\x41"),
        (b"\xed\xa0\x80\xff", "\\xed\\xa0\\x80\\xff"),
        ("\u202e\u2028\ufeff\U000e0001".encode(), "\\u202e\\u2028\\ufeff\\U000e0001"),
        (b"\0\x1b[31m\r\t", "\\x00\\x1b[31m\\r\\t"),
        ("\U0001f600".encode() * 300, "\U0001f600" * 200),
        (b"\xff" * 300, "\\xff" * 50),
    ],
)
def test_what_is_shown_of_a_line_does_nothing(raw, shown):
    assert escaped(raw) == shown
