"""How `chunked` cuts the logits into tiles, and which of them a mask leaves."""

import math

import numpy as np
from jaxtyping import Array

from attention_jax.functional.mask_algebra import Mask
from attention_jax.functional.mask_parts import parts
from attention_jax.functional.online import CLEAR, HIDDEN, PARTLY

CELLS = 2**21  # numbers in one tile: 8 MiB in float32
SIDES = 512, 256  # queries in a block and sources in a piece, at most (measured)


def tile_sides(shape: tuple[int, ...], features: int) -> tuple[int, int]:
    """Queries in a block and sources in a piece, so that a tile has CELLS numbers at most.

    Args:
      shape: the logits' `[*B, H, T, S]`.
      features: how many numbers each logit takes while it is made.
    """
    *several, queries, sources = shape
    cells = max(CELLS // (math.prod(several) * features), 1)
    # An eighth of the queries, so that causality spares most of what it hides.
    rows = min(SIDES[0], max(SIDES[1], queries // 8), queries, max(math.isqrt(2 * cells), 1))
    columns = min(SIDES[1], sources, max(cells // rows, 1))
    # As even as can be, so that the last is hardly padded.
    return even(queries, rows), even(sources, columns)


def even(whole: int, most: int) -> int:
    """The size of as many equal parts as it takes for none to be larger than `most`."""
    parts = math.ceil(whole / most)
    return math.ceil(whole / parts)


def sights(
    mask: Mask | Array | None, queries: int, sources: int, rows: int, columns: int
) -> dict[str, np.ndarray]:
    """The fields of `Sight` for each block of queries, by what position alone tells of the mask."""
    found = parts(mask)
    start = rows * np.arange(math.ceil(queries / rows))
    last = np.minimum(start + rows, queries) - 1
    nothing, everything = np.zeros_like(start), np.full_like(start, sources)
    low = nothing if found.low is None else np.clip(start + found.low, 0, sources)
    high = everything if found.high is None else np.clip(last + found.high + 1, 0, sources)
    first = low // columns
    stop = np.where(high > low, -(-high // columns), first)
    clear = unclear = stop
    if not found.lengths and not found.segments and found.rest is None:
        all_low = nothing if found.low is None else last + found.low
        all_high = everything if found.high is None else start + found.high + 1
        clear = np.clip(-(-all_low // columns), first, stop)
        unclear = np.clip(np.minimum(all_high, sources) // columns, clear, stop)
    piece = np.arange(math.ceil(sources / columns))[None, :]

    def within(low: np.ndarray, high: np.ndarray) -> np.ndarray:
        return (piece >= low[:, None]) & (piece < high[:, None])

    kinds = np.where(within(clear, unclear), CLEAR, np.where(within(first, stop), PARTLY, HIDDEN))
    return {"first": first, "clear": clear, "unclear": unclear, "stop": stop, "kinds": kinds}


def share_seen(mask: Mask | Array | None, shape: tuple[int, ...]) -> float:
    """How many of the tiles are not hidden as a whole, from 0 to 1."""
    if 0 in shape[-2:]:
        return 1.0
    rows, columns = tile_sides(shape, 1)
    kinds = sights(mask, shape[-2], shape[-1], rows, columns)["kinds"]
    return float(np.mean(kinds != HIDDEN))
