"""Reading IDX files, the format of MNIST and of the sets made in its likeness.

Four bytes (two zeros, the type of the numbers, how many axes), the sizes of the axes as big-endian
32-bit numbers, then the numbers themselves.

Source: LeCun, Cortes and Burges, *The MNIST Database of Handwritten Digits*, "file formats".
"""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from attention_jax.data.lines import DataError

BYTE = 0x08
"""type of the numbers: unsigned bytes, the only one that pictures and labels have"""
MOST = 1 << 31
"""bytes that a file may hold; what claims more is damaged"""


def read_idx(path: Path, axes: int) -> np.ndarray:
    """The numbers of an IDX file, plain or .gz.

    Args:
      path: of the file.
      axes: how many it must have, 3 for pictures and 1 for labels.

    Returns:
      uint8, in the shape that the file says.

    Raises:
      DataError: the file is none of this format, has other axes, or is damaged; the message names
        what was found.
    """
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as stream:
            shape = _shape(path, stream.read(4), stream.read(4 * axes), axes)
            wanted = math.prod(shape)
            found = stream.read(wanted + 1)  # bounded: a bomb must not fill the memory
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path}: damaged gzip: {error}. Fetch the file again.") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from None
    if len(found) != wanted:
        held = f"only {len(found):,}" if len(found) < wanted else "more"
        raise DataError(
            f"{path}: sizes {list(shape)} mean {wanted:,} bytes, but it holds {held}. "
            "Fetch the file again."
        )
    return np.frombuffer(found, np.uint8).reshape(shape)


def _shape(path: Path, magic: bytes, sizes: bytes, axes: int) -> tuple[int, ...]:
    wanted = bytes((0, 0, BYTE, axes))
    if magic != wanted:
        hint = " It looks gzipped: add .gz to its name." if magic[:2] == b"\x1f\x8b" else ""
        raise DataError(
            f"{path} begins with {magic.hex(' ') or 'nothing'}; {wanted.hex(' ')} would fit: "
            f"unsigned bytes with {axes} ax{'es' if axes > 1 else 'is'}.{hint}"
        )
    if len(sizes) != 4 * axes:
        raise DataError(f"{path} ends within its {axes} sizes. Fetch the file again.")
    shape = struct.unpack(f">{axes}I", sizes)
    if not 0 < math.prod(shape) <= MOST:
        raise DataError(f"{path} has sizes {list(shape)}; from 1 to {MOST:,} bytes would fit.")
    return shape
