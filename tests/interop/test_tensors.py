"""Safetensors: what is written comes back, and what is hostile or damaged is refused, cheaply."""

import json
import os
import tracemalloc

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from attention_jax.interop import read_metadata, read_tensors, write_tensors
from attention_jax.interop.header import DTYPES

ARRAYS = {
    "layer.0.kernel": np.arange(6, dtype=np.float32).reshape(2, 3),
    "half": np.arange(4).astype(ml_dtypes.bfloat16),
    "mask": np.array([True, False, True]),
    "scalar": np.array(-3, np.int16),
    "none": np.zeros((0, 3), np.float16),
}


def same(one, other):
    """Whether names, dtypes, shapes and all bits are equal."""
    return set(one) == set(other) and all(
        one[name].dtype == other[name].dtype
        and one[name].shape == other[name].shape
        and one[name].tobytes() == other[name].tobytes()
        for name in one
    )


def outcome(path):
    """The arrays, or None where they are refused; anything but a ValueError is let through."""
    try:
        return read_tensors(path)
    except ValueError as error:
        assert str(path.name) in str(error)
        return None


def packed(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def entry(dtype="U8", shape=(2,), offsets=(0, 2), **others):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets), **others}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("written") / "model.safetensors"
    write_tensors(path, ARRAYS, {"made by": "a test"})
    return path


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("scratch") / "x.safetensors"


def test_what_is_written_is_read_and_the_library_reads_it_too(written):
    found = read_tensors(written)
    assert same(found, ARRAYS) and list(found) == sorted(ARRAYS)
    assert same(load_file(written), ARRAYS)
    assert read_metadata(written)["made by"] == "a test"
    assert [path.name for path in written.parent.iterdir()] == [written.name]


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=DTYPES)
def test_every_dtype_keeps_its_bits(scratch, dtype):
    raw = np.random.default_rng(0).integers(0, 2 if dtype.kind == "b" else 256, 48, np.uint8)
    arrays = {"a": raw.view(dtype).reshape(2, -1)}
    write_tensors(scratch, arrays)
    assert same(read_tensors(scratch), arrays)


def test_any_layout_in_memory_becomes_the_files(scratch):
    odd = {"turned": np.arange(6.0).reshape(2, 3).T, "big endian": np.arange(3, dtype=">i4")}
    write_tensors(scratch, odd)
    found = read_tensors(scratch)
    for name, array in odd.items():
        np.testing.assert_array_equal(found[name], array)


def test_files_of_others_are_read_without_a_digest(scratch):
    save_file(ARRAYS, scratch)
    assert same(read_tensors(scratch), ARRAYS)


def test_every_flipped_bit_is_seen_or_changes_nothing(written, scratch):
    whole = written.read_bytes()
    refused = 0
    for place in range(8 * len(whole)):
        flipped = bytearray(whole)
        flipped[place // 8] ^= 1 << place % 8
        scratch.write_bytes(flipped)
        found = outcome(scratch)
        refused += found is None
        assert found is None or same(found, ARRAYS)
    # All of the numbers' own, and most others.
    assert refused >= 8 * sum(array.nbytes for array in ARRAYS.values())


@settings(max_examples=300)
@given(at=st.integers(0, 10**6), cut=st.integers(0, 40), new=st.binary(max_size=40))
def test_a_file_with_one_edit_gives_the_same_arrays_or_is_refused(written, scratch, at, cut, new):
    whole = written.read_bytes()
    at %= len(whole) + 1
    scratch.write_bytes(whole[:at] + new + whole[at + cut :])
    found = outcome(scratch)
    assert found is None or same(found, ARRAYS)


@settings(max_examples=300)
@given(raw=st.binary(max_size=200))
def test_random_bytes_are_refused(scratch, raw):
    scratch.write_bytes(raw)
    assert outcome(scratch) is None
    scratch.write_bytes(packed(b"{" + raw, raw))
    assert outcome(scratch) is None


NUMBERS = st.integers(-2, 5) | st.sampled_from([2**31, 2**63, 2**64, 10**30, True, 1.0, None, "2"])
ODD = st.one_of(
    st.none(), st.booleans(), NUMBERS, st.text(max_size=3), st.lists(NUMBERS, max_size=3)
)
ENTRIES = st.one_of(
    ODD,
    st.fixed_dictionaries(
        {
            "dtype": st.sampled_from([*DTYPES, "F8_E4M3", "C64", "f32", ""]) | ODD,
            "shape": st.lists(NUMBERS, max_size=3) | ODD,
            "data_offsets": st.lists(NUMBERS, min_size=2, max_size=2) | ODD,
        }
    ),
)


@settings(max_examples=500)
@given(
    header=st.dictionaries(st.sampled_from(["a", "b", "__metadata__"]), ENTRIES, max_size=3),
    data=st.binary(max_size=12),
)
def test_what_is_taken_is_what_the_library_takes(scratch, header, data):
    scratch.write_bytes(packed(header, data))
    found = outcome(scratch)
    if found is not None:
        assert same(found, load_file(scratch))
        assert sum(array.nbytes for array in found.values()) == len(data)


HOSTILE = {
    "a header longer than the file": (2**62).to_bytes(8, "little") + b"{}",
    "a header of everything": b"\xff" * 8 + b"{}",
    "cut in its length": b"\x02\x00\x00",
    "nothing": b"",
    "no object": packed(b"[]"),
    "space first": packed(b" {}"),
    "no JSON": packed(b"{,}"),
    "nested": packed(b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
    "not UTF-8": packed(b'{"\xff":1}'),
    "a name twice": packed(b'{"a":%b,"a":%b}' % ((json.dumps(entry()).encode(),) * 2), b"ab"),
    "a field twice": packed(
        b'{"a":{"dtype":"U8","dtype":"I8","shape":[2],"data_offsets":[0,2]}}', b"ab"
    ),
    "one more field": packed({"a": entry(more=1)}, b"ab"),
    "a number of a million digits": packed(
        b'{"a":{"dtype":"U8","shape":[%b],"data_offsets":[0,2]}}' % (b"9" * 10**6), b"ab"
    ),
    "NaN": packed(b'{"a":{"dtype":"U8","shape":[NaN],"data_offsets":[0,2]}}', b"ab"),
    "an unknown dtype": packed({"a": entry("F8_E4M3")}, b"ab"),
    "a shape that is too large": packed({"a": entry(shape=(2**40, 2**40))}, b"ab"),
    "a shape that wraps round to fit": packed({"a": entry(shape=(2**63, 2, 2))}, b""),
    "a negative shape": packed({"a": entry(shape=(-1, -2))}, b"ab"),
    "a shape of truth values": packed({"a": entry(shape=(True, 2))}, b"ab"),
    "too many axes": packed({"a": entry(shape=(1,) * 65, offsets=(0, 1))}, b"a"),
    "nothing times very much": packed({"a": entry(shape=(0, 2**62, 2**62), offsets=(0, 0))}),
    "offsets beyond the file": packed({"a": entry(shape=(9,), offsets=(0, 9))}, b"ab"),
    "offsets before the file": packed({"a": entry(offsets=(-2, 0))}, b"ab"),
    "offsets the wrong way": packed({"a": entry(offsets=(2, 0))}, b"ab"),
    "overlap": packed({"a": entry(), "b": entry(offsets=(1, 3))}, b"abc"),
    "the same bytes": packed({"a": entry(), "b": entry()}, b"ab"),
    "a gap": packed({"a": entry(), "b": entry(offsets=(3, 5))}, b"abcde"),
    "bytes of nobody": packed({"a": entry()}, b"abc"),
    "no name": packed({"": entry()}, b"ab"),
    "a long name": packed({"a" * 2_000: entry()}, b"ab"),
    "half a character": packed({"\ud800": entry()}, b"ab"),
    "a name with NUL": packed({"a\0b": entry()}, b"ab"),
    "metadata that are no text": packed({"__metadata__": {"a": 1}}),
    "truth values of 2": packed({"a": entry("BOOL")}, b"\x01\x02"),
}


@pytest.mark.parametrize("raw", HOSTILE.values(), ids=HOSTILE)
def test_hostile_files_are_refused_for_little(scratch, raw):
    scratch.write_bytes(raw)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError) as error:
            read_tensors(scratch)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert str(error.value).startswith(str(scratch)) and len(str(error.value)) < 600
    assert peak < 2**20 + 30 * len(raw)


def test_very_many_names_take_no_time(scratch):
    scratch.write_bytes(packed(b"{" + b'"":1,' * 2_000_000 + b'"":1}'))
    with pytest.raises(ValueError, match="stands twice"):
        read_tensors(scratch)


def test_no_pipe_is_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.safetensors")
    for path in (tmp_path / "pipe.safetensors", tmp_path):
        with pytest.raises(ValueError, match="is no file"):
            read_tensors(path)
    with pytest.raises(OSError):
        read_tensors(tmp_path / "nowhere.safetensors")


@pytest.mark.parametrize(
    ("arrays", "metadata", "words"),
    [
        ({"a": np.array(["text"])}, None, "dtype <U4; one of bool"),
        ({"a": np.array([None])}, None, "dtype object"),
        ({"a": np.zeros(2, np.complex64)}, None, "complex64"),
        ({"": np.zeros(2)}, None, "0 characters"),
        ({"__metadata__": np.zeros(2)}, None, "__metadata__"),
        ({"a": np.zeros(2)}, {"n": 1}, "n is 1; text would fit"),
    ],
)
def test_what_cannot_stand_in_a_file_is_not_written(scratch, arrays, metadata, words):
    scratch.write_bytes(b"as before")
    with pytest.raises(ValueError, match=words):
        write_tensors(scratch, arrays, metadata)
    assert scratch.read_bytes() == b"as before"


def test_writing_follows_no_link_and_leaves_nothing_behind(tmp_path):
    victim, link = tmp_path / "victim", tmp_path / "model.safetensors"
    victim.write_text("untouched")
    link.symlink_to(victim)
    link.with_name(f"{link.name}.{os.getpid()}.part").symlink_to(victim)
    write_tensors(link, ARRAYS)
    assert victim.read_text() == "untouched" and not link.is_symlink()
    with pytest.raises(OSError):
        write_tensors(tmp_path / "no folder" / "x", ARRAYS)
    assert {path.name for path in tmp_path.iterdir()} == {"victim", "model.safetensors"}


def index(folder, places, **others):
    path = folder / "model.safetensors.index.json"
    path.write_text(json.dumps({"weight_map": places, **others}))
    return path


@pytest.fixture
def shards(tmp_path):
    for number, name in enumerate(ARRAYS):
        write_tensors(tmp_path / f"{number % 2}.safetensors", {name: ARRAYS[name]})
    return tmp_path, {"scalar": "1.safetensors", "none": "0.safetensors"}


def test_an_index_puts_files_together(shards):
    folder, places = shards
    found = read_tensors(index(folder, places, metadata={"total_size": 2}))
    assert same(found, {name: ARRAYS[name] for name in places})


@pytest.mark.parametrize(
    "name",
    ["../0.safetensors", "/etc/passwd", "a/../0.safetensors", "0.safetensors\0", "..", ".", "",
     ".hidden.safetensors", "config.json", "a\\0.safetensors", 3, None, "x" * 300],
)  # fmt: skip
def test_an_index_names_files_beside_it_alone(shards, name):
    folder, places = shards
    inner = folder / "inner"
    inner.mkdir()
    with pytest.raises(ValueError, match="is no index"):
        read_tensors(index(inner, {**places, "other": name}))


def test_an_index_that_lies_is_refused(shards):
    folder, places = shards
    swapped = dict(zip(places, reversed(places.values()), strict=True))
    lies = [swapped, {**places, "more": "0.safetensors"}]
    for wrong in lies:
        with pytest.raises(ValueError, match="holds other arrays"):
            read_tensors(index(folder, wrong))
    path = folder / "model.safetensors.index.json"
    for text in ("[]", "{}", "{", '{"weight_map": []}', "[" * 100_000, '{"a":1,"a":2}'):
        path.write_text(text)
        with pytest.raises(ValueError, match="is no index"):
            read_tensors(path)
