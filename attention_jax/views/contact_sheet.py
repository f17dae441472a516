"""Many small pictures as one PNG file, pixel for pixel; nothing but Python's own library is needed.

Source: ISO/IEC 15948, "Portable Network Graphics", sections 5 and 11.
"""

import struct
import zlib
from pathlib import Path

import numpy as np

GREY, COLOURS = 0, 2
"""the types of PNG's colours"""


def contact_sheet(
    pictures: np.ndarray,
    *,
    columns: int = 10,
    gap: int = 2,
    zoom: int = 1,
    file: str | Path | None = None,
) -> np.ndarray:
    """Pictures side by side, row after row, on a mid-grey ground.

    Args:
      pictures: uint8 [N, height, width, channels], of 1 channel or 3.
      columns: how many stand beside each other.
      gap: pixels between them and around all.
      zoom: pixels, in both directions, that each pixel of a picture becomes.
      file: where to write it as PNG.

    Returns:
      The sheet, uint8 [rows, columns, channels].

    Raises:
      ValueError: the pictures are none of these, or a number is too small.
    """
    found = np.asarray(pictures)
    if found.dtype != np.uint8 or found.ndim != 4 or not found.size or found.shape[3] not in (1, 3):
        raise ValueError(
            f"found pictures of {found.dtype} and shape {list(found.shape)}; uint8 [N, height, "
            "width, 1 or 3] would fit"
        )
    for name, value, least in (("columns", columns, 1), ("gap", gap, 0), ("zoom", zoom, 1)):
        if value < least:
            raise ValueError(f"{name} is {value}; it must be at least {least}")
    found = found.repeat(zoom, 1).repeat(zoom, 2)
    count, height, width, channels = found.shape
    rows = -(-count // columns)
    shape = gap + rows * (height + gap), gap + columns * (width + gap), channels
    sheet = np.full(shape, 128, np.uint8)
    for place, picture in enumerate(found):
        down, across = divmod(place, columns)
        top, left = gap + down * (height + gap), gap + across * (width + gap)
        sheet[top : top + height, left : left + width] = picture
    if file is not None:
        Path(file).write_bytes(png_bytes(sheet))
    return sheet


def png_bytes(picture: np.ndarray) -> bytes:
    """A picture, uint8 [rows, columns, 1 or 3], as the bytes of a PNG file."""
    rows, columns, channels = picture.shape
    lines = np.ascontiguousarray(picture).reshape(rows, columns * channels)
    plain = np.pad(lines, ((0, 0), (1, 0)))  # each line led by 0: as it is
    colour = GREY if channels == 1 else COLOURS
    header = struct.pack(">IIBBBBB", columns, rows, 8, colour, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(plain.tobytes(), 9)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks)


def _chunk(name: bytes, content: bytes) -> bytes:
    check = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", check)
