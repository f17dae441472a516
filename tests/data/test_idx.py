"""IDX files: read as written, and refused for whatever is wrong with them."""

import gzip
import struct

import numpy as np
import pytest

from attention_jax.data.idx import read_idx
from attention_jax.data.lines import DataError


def idx(array):
    """An array of bytes as the bytes of a file."""
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    return bytes((0, 0, 8, array.ndim)) + sizes + array.astype(np.uint8).tobytes()


PICTURES = np.arange(24).reshape(2, 3, 4)
WHOLE = idx(PICTURES)


def test_plain_and_packed_files_say_the_same(tmp_path):
    (tmp_path / "plain").write_bytes(WHOLE)
    (tmp_path / "packed.gz").write_bytes(gzip.compress(WHOLE, mtime=0))
    for name in ("plain", "packed.gz"):
        found = read_idx(tmp_path / name, 3)
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, PICTURES)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "begins with nothing"),
        (b"PK\x03\x04", "begins with 50 4b 03 04; 00 00 08 03 would fit"),
        (idx(PICTURES[0]), "begins with 00 00 08 02; 00 00 08 03 would fit"),
        (b"\0\0\x0d\x03" + WHOLE[4:], "begins with 00 00 0d 03"),
        (gzip.compress(WHOLE, mtime=0), "add .gz to its name"),
        (WHOLE[:10], "ends within its 3 sizes"),
        (WHOLE[:-1], r"sizes \[2, 3, 4\] mean 24 bytes, but it holds only 23"),
        (WHOLE + b"\0", "mean 24 bytes, but it holds more"),
        (b"\0\0\x08\x03" + struct.pack(">III", 0, 3, 4), r"has sizes \[0, 3, 4\]"),
        (b"\0\0\x08\x03" + b"\xff" * 12, "from 1 to 2,147,483,648 bytes would fit"),
    ],
)
def test_what_is_no_such_file(tmp_path, content, said):
    path = tmp_path / "wrong"
    path.write_bytes(content)
    with pytest.raises(DataError, match=said) as caught:
        read_idx(path, 3)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"no gzip at all", gzip.compress(WHOLE, mtime=0)[:-9]])
def test_damaged_gzip(tmp_path, content):
    path = tmp_path / "wrong.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match="damaged gzip"):
        read_idx(path, 3)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read_idx(tmp_path / "gone", 3)
