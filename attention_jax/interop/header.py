"""The header of a safetensors file, checked before anything trusts it.

A file is eight bytes for the header's length, the header in JSON, and the bytes of all arrays one
after the other. Whoever made it may lie about every number in it. So all that the header says is
held against the file itself: after `parse`, every array lies inside the file, they share no byte,
and there is no byte that is no array's.
"""

import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

LONGEST_HEADER = 2**24
"""bytes; a hundred thousand arrays take about twelve million"""
LONGEST_NAME = 1_024
"""characters"""
MOST_AXES = 64
"""of an array, as in NumPy"""
MOST_NUMBERS = 2**40
"""in an array; with an axis of length 0, in what it would be with 1 there"""

DTYPES: Mapping[str, np.dtype] = {
    "BOOL": np.dtype(np.bool_),
    "U8": np.dtype("u1"),
    "I8": np.dtype("i1"),
    "U16": np.dtype("<u2"),
    "I16": np.dtype("<i2"),
    "U32": np.dtype("<u4"),
    "I32": np.dtype("<i4"),
    "U64": np.dtype("<u8"),
    "I64": np.dtype("<i8"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"),
}


class Entry(NamedTuple):
    """One array of a file: what it is, and which bytes behind the header are its own."""

    dtype: np.dtype
    shape: tuple[int, ...]
    begin: int
    end: int


class Header(NamedTuple):
    """What a file holds."""

    entries: dict[str, Entry]
    metadata: dict[str, str]


def parse(text: bytes, size: int) -> Header:
    """The header of a file with `size` bytes behind it.

    Args:
      text: the header's bytes.
      size: bytes of the file behind them.

    Raises:
      ValueError: the header is not what the format wants, or says what cannot be.
    """
    if text[:1] != b"{":
        raise ValueError(f"the header begins with {text[:1]!r}; {{ would fit")
    try:
        found = json.loads(text.decode("utf-8"), object_pairs_hook=once, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("the header is nested too deeply; one level would fit") from None
    metadata = found.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise ValueError("__metadata__ is not text by name")
    entries = {name: _entry(check_name(name), one) for name, one in found.items()}
    reached = 0
    for name, one in sorted(entries.items(), key=lambda found: (found[1].begin, found[1].end)):
        if one.begin != reached:
            what = "overlaps with another" if one.begin < reached else "leaves a gap before it"
            raise ValueError(f"{name} begins at byte {one.begin} and {what}; {reached} would fit")
        reached = one.end
    if reached != size:
        raise ValueError(f"the arrays take {reached} bytes and the file has {size} for them")
    return Header(entries, metadata)


def check_name(name: str) -> str:
    """The name of an array, if it may be one.

    Raises:
      ValueError: it is empty, very long, reserved, or cannot be printed.
    """
    if not 0 < len(name) <= LONGEST_NAME or not name.isprintable() or name == "__metadata__":
        raise ValueError(
            f"an array is named {name[:40]!r} ({len(name)} characters); 1 to {LONGEST_NAME} "
            "printable ones would fit"
        )
    return name


def _entry(name: str, found: Any) -> Entry:
    if not isinstance(found, dict) or set(found) != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"{name} has not exactly dtype, shape and data_offsets")
    dtype, shape, offsets = found["dtype"], found["shape"], found["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise ValueError(f"{name} is of dtype {dtype!r:.40}; one of {', '.join(DTYPES)} would fit")
    if not _counts(shape, MOST_AXES) or math.prod(size or 1 for size in shape) > MOST_NUMBERS:
        raise ValueError(f"{name} has the shape {shape!r:.60}; a few whole numbers would fit")
    if not _counts(offsets, 2) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise ValueError(f"{name} lies at {offsets!r:.60}; [begin, end] would fit")
    begin, end = offsets
    needed = math.prod(shape) * DTYPES[dtype].itemsize
    if needed != end - begin:
        raise ValueError(f"{name} is {dtype}{shape}, {needed} bytes, and lies at {offsets}")
    return Entry(DTYPES[dtype], tuple(shape), begin, end)


def _counts(found: Any, most: int) -> bool:
    """Whether it is a list of at most so many whole numbers, none of them negative."""
    # JSON's true is no number, though Python's True is an int.
    return (
        isinstance(found, list)
        and len(found) <= most
        and all(type(one) is int and one >= 0 for one in found)
    )


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object whose keys stand there once: of two, readers differ in which they take.

    Raises:
      ValueError: a key stands there twice.
    """
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{name[:40]!r} stands twice in one object")
        found[name] = value
    return found


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no number of JSON")
