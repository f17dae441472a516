"""The tiles in which splash attention cuts its logits: by lengths, head size and what a band hides.

No TPU has run them. The costs come from compiling the kernels for a v5e that is not there, and
counting the bundles of instructions that its compiler scheduled (`experiments/benchmarks/
splash_tiles.py`, jax 0.12, libtpu 0.0.50): cycles of a tile for 1,024 of its logits, bfloat16, head
size 64, and within 3% the same for 128,

| queries x sources | forward | dq | dk and dv |
| --- | --- | --- | --- |
| 128 x 128 (the kernel's own choice) | 16.1 | 15.9 | 15.4 |
| 256 x 256 | 7.9 | 8.3 | 11.0 |
| 512 x 512 | 4.6 | 6.0 | 7.5 |
| 1,024 x 1,024, sources by 512 | 4.5 | 5.7 | 7.0 |

So tiles shall be large, as long as a mask does not hide much of what they then compute in vain.
Beyond 512 they save steps of the grid, whether their tile is skipped or not; that each costs a
third of a microsecond is assumed. Published settings agree: 1,024 made the kernel faster by a third
on a v6e (axlearn, pull request 958), and "generally larger is better but not the largest is best"
(MaxText, pull request 898).
"""

import functools
import itertools
from typing import NamedTuple

import numpy as np

LANES = 128
"""of a TPU's vectors: tiles are multiples of it"""
LARGEST = 1_024
"""queries or sources of a tile"""
SMALL = 384
"""from which on tiles are worth no padding"""
AT_ONCE = 512
"""sources that a tile is computed for at a time, at most"""
STEP, KILO, NARROW = 500, 17.0, 120_000
"""Cycles of all three passes: a step of the grid; 1,024 logits; and a tile that is computed for n
sources at a time, times n."""
BYTES_A_CYCLE = 546
"""of a v5e's memory: 819 GB/s at 1.5 GHz"""
VMEM = 15 * 2**20
"""bytes that a kernel may have beside its core; a v5e's compiler gives it 16 MiB"""


class Tiles(NamedTuple):
    """How the queries and the sources of an attention are cut; the same for all passes."""

    queries: int
    """of a tile"""
    sources: int
    """of a tile"""
    at_once: int
    """sources that a tile is computed for at a time; divides them"""
    padded: tuple[int, int]
    """T and S with padding, in whole tiles, each of which has less than LANES of it"""


def tiles(
    queries: int,
    sources: int,
    features: int,
    itemsize: int,
    low: int | None = None,
    high: int | None = None,
) -> Tiles:
    """The tiles that cost least, by the arithmetic above.

    Args:
      queries: T, at least 1.
      sources: S, at least 1.
      features: of a head's queries or values, whichever has more.
      itemsize: bytes of a number.
      low: query i sees source j where low ≤ j - i; None where there is no such end.
      high: and where j - i ≤ high.
    """
    return _tiles(queries, sources, features, itemsize, low, high, LARGEST)


@functools.lru_cache(maxsize=256)
def _tiles(
    queries: int,
    sources: int,
    features: int,
    itemsize: int,
    low: int | None,
    high: int | None,
    largest: int,
) -> Tiles:
    choices = []
    for rows, columns in itertools.product(_sides(queries, largest), _sides(sources, largest)):
        padded = -(-queries // rows) * rows, -(-sources // columns) * columns
        choice = Tiles(rows, columns, _at_once(columns), padded)
        if vmem(choice, features, itemsize) <= VMEM or rows == columns == LANES:
            choices.append((_cycles(choice, features, itemsize, low, high), choice))
    return min(choices)[1]


def vmem(choice: Tiles, features: int, itemsize: int) -> int:
    """Bytes beside the core of the hungriest pass, that for keys and values, nearly.

    Query, its gradient's source, key, value and both their gradients come and go while the tile
    before is computed, so that there are two of each; the gradients are summed in float32, and the
    logits, the weights and what they are multiplied with are there at once.
    """
    wide = -(-features // LANES) * LANES
    arrays = 2 * wide * itemsize * (2 * choice.queries + 4 * choice.sources)
    sums = 4 * wide * 2 * choice.sources
    return arrays + sums + 2 * 4 * choice.queries * choice.at_once


def steps(choice: Tiles, low: int | None, high: int | None) -> tuple[int, int]:
    """The steps of the kernel's grid, and the tiles among them that are not skipped.

    Every row of tiles has as many steps as that with the most tiles.
    """
    (_, S), first = choice.padded, np.arange(0, choice.padded[0], choice.queries)
    begin = np.zeros_like(first) if low is None else np.clip(first + low, 0, S)
    end = np.full_like(first, S)
    if high is not None:
        end = np.clip(first + choice.queries + high, 0, S)
    seen = np.maximum(-(-end // choice.sources) - begin // choice.sources, 0)
    return len(first) * int(max(seen.max(), 1)), int(seen.sum())


def _cycles(
    choice: Tiles, features: int, itemsize: int, low: int | None, high: int | None
) -> float:
    """Of one head, forward and backward."""
    chunks = choice.sources // choice.at_once
    logits = choice.queries * choice.sources / 1_024
    narrow = min(choice.queries, choice.at_once)
    arithmetic = KILO * logits + chunks * NARROW / narrow
    # Forward and for dq the keys and values of a tile are fetched, for dk and dv its queries.
    wide = -(-features // LANES) * LANES
    moved = 2 * wide * itemsize * (2 * choice.sources + choice.queries)
    grid, seen = steps(choice, low, high)
    return 3 * STEP * grid + seen * max(arithmetic, moved / BYTES_A_CYCLE)


def _sides(length: int, largest: int) -> list[int]:
    """Tiles that cut a length without more padding than vectors want.

    Where these would all be small, as of a prime number of vectors, any that cut it evenly, each
    with the least padding for their number.
    """
    lanes, most = -(-length // LANES), largest // LANES
    exact = [tile for tile in range(1, most + 1) if lanes % tile == 0]
    if exact[-1] < min(lanes, most, SMALL // LANES):
        exact = sorted({-(-lanes // count) for count in range(-(-lanes // most), lanes + 1)})
    return [tile * LANES for tile in exact]


def _at_once(sources: int) -> int:
    """The largest part of a tile, of AT_ONCE at most, that divides it."""
    lanes = sources // LANES
    most = max(part for part in range(1, AT_ONCE // LANES + 1) if lanes % part == 0)
    # A prime number of lanes is better computed whole than lane by lane.
    return most * LANES if most > 1 or lanes <= 2 else sources
