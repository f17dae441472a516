"""Pictures as PNG files, which need no library to be written.

Source: W3C, *Portable Network Graphics Specification*, third edition, sections 5 and 11.
"""

import struct
import zlib

import numpy as np

_KIND = {1: 0, 3: 2}  # channels to the format's numbers for grey and for colours


def png(image: np.ndarray) -> bytes:
    """A picture uint8 [height, width, channels], of 1 or 3 channels, as the bytes of a PNG file.

    Raises:
      ValueError: the array is no such picture.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] not in _KIND or not image.size:
        raise ValueError(
            f"image is {image.dtype} of shape {list(image.shape)}; uint8 [height, width, channels] "
            "with 1 or 3 channels would fit"
        )
    height, width, channels = image.shape
    lines = np.zeros((height, 1 + width * channels), np.uint8)  # a line begins with its filter, 0
    lines[:, 1:] = image.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, _KIND[channels], 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes(), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*part) for part in parts)


def sheet(images: np.ndarray, columns: int, *, gap: int = 2, zoom: int = 1) -> np.ndarray:
    """Pictures uint8 [N, height, width, channels] side by side in rows, as one picture.

    Args:
      images: at least one.
      columns: pictures a row.
      gap: pixels of middle grey between them.
      zoom: each pixel becomes a square of so many.
    """
    images = images.repeat(zoom, 1).repeat(zoom, 2)
    count, height, width, channels = images.shape
    rows = -(-count // columns)
    high, wide = rows * (height + gap) - gap, columns * (width + gap) - gap
    found = np.full((high, wide, channels), 128, np.uint8)
    for place, image in enumerate(images):
        top, left = (place // columns) * (height + gap), (place % columns) * (width + gap)
        found[top : top + height, left : left + width] = image
    return found


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)
