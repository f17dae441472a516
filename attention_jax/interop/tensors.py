"""Safetensors files: arrays by name, read with nothing taken on trust, written whole or not at all.

The format has no digest, so a flipped bit among the numbers loads silently. `write_tensors` puts
one into the metadata, and `read_tensors` holds a file that has it to it.
"""

import errno
import hashlib
import json
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from attention_jax.interop.header import DTYPES, LONGEST_HEADER, Header, check_name, once, parse
from attention_jax.paths import plain_name

DIGEST = "attention_jax.sha256"
"""the metadata's name of the digest over names, dtypes, shapes, bytes and all other metadata"""


def read_tensors(path: str | Path) -> dict[str, np.ndarray]:
    """All arrays of a safetensors file, or of the files that an index puts together.

    Nothing is allocated before the header and the file's size agree about it, so a small file takes
    little memory, whatever it says.

    Args:
      path: a file, or an index (`model.safetensors.index.json`) of files beside it.

    Returns:
      Arrays by name, with the names sorted.

    Raises:
      ValueError: it is no such file, it is damaged, or it says what cannot be; the message names
        the file and what is wrong with it.
      OSError: it cannot be read.
    """
    path = Path(path)
    return _read_index(path) if path.name.endswith(".json") else _read_file(path)


def read_metadata(path: str | Path) -> dict[str, str]:
    """The text by name that a safetensors file carries beside its arrays; see `read_tensors`."""
    return _read_header(Path(path)).metadata


def write_tensors(
    path: str | Path, arrays: Mapping[str, Any], metadata: Mapping[str, str] | None = None
) -> None:
    """Writes a safetensors file, in place of the one there, with a digest that reading verifies.

    Args:
      path: of the file; it appears whole or not at all.
      arrays: by name; of numbers or truth values, as `header.DTYPES` has them.
      metadata: text by name.

    Raises:
      ValueError: a name, a dtype or the metadata cannot stand in such a file.
      OSError: it cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    path, ready = Path(path), {}
    for name, found in arrays.items():
        array = np.asarray(found, order="C")
        ready[check_name(name)] = array.astype(array.dtype.newbyteorder("<"), copy=False)
        if ready[name].dtype not in DTYPES.values():
            fits = ", ".join(dtype.name for dtype in DTYPES.values())
            raise ValueError(f"{name} is of dtype {array.dtype}; one of {fits} would fit")
    carried = {name: text for name, text in (metadata or {}).items() if name != DIGEST}
    for name, text in carried.items():
        if not isinstance(text, str):
            raise ValueError(f"the metadata's {name} is {text!r}; text would fit")
    carried[DIGEST] = _digest(ready, carried)
    draft = path.with_name(f"{path.name}.{os.getpid()}.part")
    draft.unlink(missing_ok=True)
    try:
        draft.open("xb").close()  # new: were it a link, the library would follow it
        save_file(ready, draft, metadata=carried)
        with draft.open("rb+") as file:
            os.fsync(file.fileno())
        draft.replace(path)
    except SafetensorError as error:
        number = re.search(r"os error (\d+)", str(error))
        code = int(number[1]) if number else errno.EIO
        raise OSError(code, f"it could not be written: {os.strerror(code)}", str(path)) from error
    finally:
        draft.unlink(missing_ok=True)


def _read_file(path: Path) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    header = _read_header(path)
    try:
        loaded = load_file(path)
    except SafetensorError as error:  # it checks again, and may know better
        raise ValueError(f"{path} is no safetensors file: {error}") from error
    arrays = {}
    for name, entry in sorted(header.entries.items()):
        arrays[name] = array = loaded[name]
        if (array.dtype, array.shape) != (entry.dtype, entry.shape):
            raise ValueError(f"{path} changed while it was read")
        if array.dtype == np.bool_ and array.size and array.view(np.uint8).max() > 1:
            raise ValueError(f"{path} is damaged: {name} has truth values that are neither 0 nor 1")
    carried = {name: text for name, text in header.metadata.items() if name != DIGEST}
    if header.metadata.get(DIGEST, found := _digest(arrays, carried)) != found:
        raise ValueError(f"{path} is damaged: its digest is another than when it was written")
    return arrays


def _read_header(path: Path) -> Header:
    """The header, held against the size of the file."""
    with _opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, LONGEST_HEADER):
            raise ValueError(
                f"{path} is no safetensors file, or was cut short: it has {size} bytes and a header"
                f" of {length}; at most {LONGEST_HEADER} and what the file holds would fit"
            )
        text = file.read(length)
    try:
        return parse(text, size - 8 - length)
    except ValueError as error:
        raise ValueError(f"{path} is no safetensors file, or is damaged: {error}") from error


def _read_index(path: Path) -> dict[str, np.ndarray]:
    """The arrays of all files that an index names, each from the file it is said to be in."""
    with _opened(path) as file:
        if os.fstat(file.fileno()).st_size > LONGEST_HEADER:
            raise ValueError(f"{path} is too long for an index; {LONGEST_HEADER} bytes would fit")
        raw = file.read(LONGEST_HEADER)
    try:
        form = json.loads(raw.decode("utf-8"), object_pairs_hook=once)
        places = form["weight_map"] if isinstance(form, dict) and "weight_map" in form else None
        if not isinstance(places, dict) or not all(isinstance(v, str) for v in places.values()):
            raise ValueError("it has no weight_map from names to files")
        shards = {plain_name(name, "a file of it") for name in places.values()}
        if not all(name.endswith(".safetensors") for name in shards):
            raise ValueError("it names files that do not end in .safetensors")
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no index of safetensors files: {error}") from error
    arrays: dict[str, np.ndarray] = {}
    for shard in sorted(shards):
        found = _read_file(path.with_name(shard))
        wanted = {name for name, place in places.items() if place == shard}
        if wanted != set(found):
            raise ValueError(
                f"{path.with_name(shard)} holds other arrays than {path} says, such as "
                f"{min(wanted ^ set(found))}"
            )
        arrays |= found
    return dict(sorted(arrays.items()))


def _opened(path: Path) -> Any:
    """The file to be read, if it is one: a pipe or a device could be without end."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError(f"{path} is no file")
    return path.open("rb")


def _digest(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> str:
    total = hashlib.sha256(json.dumps(sorted(metadata.items())).encode())
    for name, array in sorted(arrays.items()):
        total.update(json.dumps([name, array.dtype.name, array.shape]).encode())
        total.update(np.ascontiguousarray(array).view(np.uint8).data)
    return total.hexdigest()
