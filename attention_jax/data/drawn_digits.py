"""Pictures of digits that a pen of chance draws: no two alike, and the same on every machine.

A digit is one or two strokes; a stroke is a smooth curve (a quadratic B-spline) steered by points,
and a point that stands there twice makes a corner. Chance moves the points, the size, the slant and
the place, chooses how thick the pen is, and strews noise. Only sums, products and roots are taken,
which round alike everywhere.
"""

import functools

import numpy as np

SIZE = 28
"""pixels along each side"""
COUNTS = {"train": 10_000, "validation": 1_000, "test": 1_000}
"""pictures of each split"""

STROKES = (
    ("20 00 03 06 46 43 40 20 00",),
    ("11 20 20 20", "20 20 26 26"),
    ("01 00 40 42 23 06 06 46 46",),
    ("01 00 40 43 13 43 46 06 05",),
    ("20 20 04 04 44 44", "31 31 36 36"),
    ("40 40 10 10 02 33 46 26 05",),
    ("40 10 03 06 46 43 23 04",),
    ("00 00 40 40 13 16",),
    ("23 03 00 40 43 23 03 06 46 43 23 03",),
    ("42 43 03 00 40 42 46 16",),
)
"""For each digit its strokes: column (0 to 4) and row (0 to 6) of every point."""

_DOTS = 14  # of the pen for each bend of a curve: less than two pixels apart


@functools.cache
def drawn_digits(split: str) -> tuple[np.ndarray, np.ndarray]:
    """The pictures of a split, uint8 [N, 28, 28, 1] with light on dark, and their labels int32 [N].

    They are drawn once in a process, and so cannot be written to.

    Args:
      split: "train", "validation" or "test".
    """
    chance = _Chance(sorted(COUNTS).index(split))
    count = COUNTS[split]
    labels = (chance.numbers(count) * 10).astype(np.int32)
    pictures = np.zeros((count, SIZE, SIZE, 1), np.uint8)
    for digit, strokes in enumerate(STROKES):
        for rows in _parts(np.flatnonzero(labels == digit), 256):
            pictures[rows, ..., 0] = _draw(strokes, len(rows), chance)
    for found in (pictures, labels):
        found.flags.writeable = False
    return pictures, labels


class _Chance:
    """Numbers from raw bits, which no release of NumPy makes otherwise."""

    def __init__(self, seed: int):
        self.bits = np.random.PCG64(seed)

    def numbers(self, *shape: int) -> np.ndarray:
        """Evenly spread over [0, 1)."""
        raw = self.bits.random_raw(int(np.prod(shape)))
        return ((raw >> np.uint64(11)) * 2.0**-53).reshape(shape)

    def within(self, low: float, high: float, *shape: int) -> np.ndarray:
        """Evenly spread over [low, high)."""
        return low + (high - low) * self.numbers(*shape)


def _draw(strokes: tuple[str, ...], count: int, chance: _Chance) -> np.ndarray:
    """Pictures [count, 28, 28] of one digit."""
    one = (count, 1)
    width, height = chance.within(2.2, 4.0, *one), chance.within(2.4, 3.4, *one)
    slant = chance.within(-0.35, 0.35, *one)
    across, down = chance.within(-2.5, 2.5, *one), chance.within(-2.5, 2.5, *one)
    thick = chance.within(0.7, 1.7, count, 1, 1)
    nearest = np.full((count, SIZE, SIZE), np.inf, np.float32)
    pixels = np.arange(SIZE, dtype=np.float32) - np.float32((SIZE - 1) / 2)
    for stroke in strokes:
        points = np.array([[int(c) for c in point] for point in stroke.split()], float)
        points = points[None] + chance.within(-0.35, 0.35, count, *points.shape)
        x, y = points[..., 0] - 2, points[..., 1] - 3
        x, y = width * x - slant * height * y + across, height * y + down
        for dot_x, dot_y in zip(_dots(x), _dots(y), strict=True):
            from_x, from_y = (pixels[None] - dot[:, None] for dot in (dot_x, dot_y))
            squared = (from_x * from_x)[:, None] + (from_y * from_y)[:, :, None]
            np.minimum(nearest, squared, out=nearest)
    light = np.clip(thick + 0.5 - np.sqrt(nearest), 0, 1) * chance.within(160, 256, count, 1, 1)
    noise = chance.within(0, 40, count, SIZE, SIZE)
    return np.minimum(light + noise, 255).astype(np.uint8)


def _dots(points: np.ndarray) -> list[np.ndarray]:
    """Where the pen is, one coordinate float32 [N] after another, steered by points [N, points]."""
    found = []
    for bend in range(points.shape[1] - 2):
        first, second, third = points[:, bend : bend + 3].T
        for t in np.arange(_DOTS) / _DOTS:
            dot = first * ((1 - t) * (1 - t) / 2) + second * (0.5 + t * (1 - t))
            found.append((dot + third * (t * t / 2)).astype(np.float32))
    return found


def _parts(rows: np.ndarray, most: int) -> list[np.ndarray]:
    return [rows[start : start + most] for start in range(0, len(rows), most)]
