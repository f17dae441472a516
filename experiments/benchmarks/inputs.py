"""What benchmarks compute with: the same random numbers for every library."""

import functools
import random
from collections.abc import Iterable

import numpy as np


@functools.lru_cache(maxsize=8)
def normal(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Standard normal numbers in float32; the last few are kept, for contenders that share them."""
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def numbers(arrays: Iterable[np.ndarray]) -> list[float]:
    """A few numbers of each result: its mean size, and its first, middle and last element."""
    found = []
    for array in arrays:
        flat = np.asarray(array).reshape(-1)
        found.append(float(np.abs(flat).mean()))
        found += [float(flat[at]) for at in (0, flat.size // 2, flat.size - 1)]
    return found


def tokens(vocabulary: int, rows: int, length: int, *, seed: int = 0) -> list[list[int]]:
    """Rows of random tokens without padding, so that every position counts; 0 to 2 are marks."""
    chance = random.Random(seed)
    return [[chance.randrange(3, vocabulary) for _ in range(length)] for _ in range(rows)]


def pairs(vocabulary: int, rows: int, length: int) -> dict[str, list[list[int]]]:
    """A batch of an encoder-decoder: source, target behind a start mark, and target."""
    target = tokens(vocabulary, rows, length, seed=1)
    return {
        "source": tokens(vocabulary, rows, length),
        "target_in": [[1, *row[:-1]] for row in target],
        "target_out": target,
    }


def ragged(batch: int, length: int) -> list[int]:
    """How many tokens padded rows have: all down to over half; of one row three quarters."""
    if batch == 1:
        return [length * 3 // 4]
    return [length - length * row // (2 * batch) for row in range(batch)]
