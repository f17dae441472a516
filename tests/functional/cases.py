"""The conformance table: every score × mask × normalizer × backend is a row.

A new mechanism joins with one line in SCORES, MASKS or NORMALIZERS; `test_conformance.py` then
holds it to everything that holds for the others.
"""

import dataclasses
import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from attention_jax import functional as f
from tests.functional import oracle


@dataclasses.dataclass(frozen=True)
class Sizes:
    """The size of each axis of one example."""

    B: tuple[int, ...] = (2,)
    T: int = 5
    S: int = 7
    H: int = 4
    G: int = 2
    K: int = 4
    E: int = 3

    @property
    def rows(self) -> int:
        return int(np.prod(self.B, initial=1))


USUAL = Sizes()
SHAPES = {
    "T≠S, K≠E, two groups": USUAL,
    "no batch, S=1, a group each": Sizes(B=(), T=3, S=1, H=2, G=2),
    "two leading axes, one group": Sizes(B=(2, 1), T=4, S=4, H=3, G=1, K=2, E=5),
}


@dataclasses.dataclass(frozen=True)
class ScoreCase:
    """A score, and the same for one query and one key by the oracle."""

    name: str
    make: Callable[[Sizes, np.random.Generator], tuple[Any, oracle.Match]]


@dataclasses.dataclass(frozen=True)
class MaskCase:
    """A mask, and what it lets see by plain counting: `sees(b, h, t, s)` with b counted flat."""

    name: str
    make: Callable[[Sizes], tuple[Any, oracle.Sees]]


def _additive(letters: str, sizes: Sizes, rng: np.random.Generator) -> tuple[Any, oracle.Match]:
    v = rng.normal(size=[getattr(sizes, letter) for letter in letters]).astype(np.float32)
    return partial(f.additive, v=v), oracle.additive(v)


SCORES = [
    ScoreCase("dot", lambda sizes, rng: (f.dot, oracle.dot)),
    ScoreCase("scaled_dot", lambda sizes, rng: (f.scaled_dot, oracle.scaled_dot)),
    ScoreCase("additive", partial(_additive, "K")),
    ScoreCase("additive by head", partial(_additive, "HK")),
]


def _per_row(sizes: Sizes, numbers: Callable[[int], Any]) -> np.ndarray:
    """`[*B, ...]`: numbers(0), numbers(1), ... along the flat batch."""
    listed = np.asarray([numbers(b) for b in range(sizes.rows)])
    return listed.reshape(sizes.B + listed.shape[1:])


def _lengths(sizes: Sizes) -> tuple[Any, oracle.Sees]:
    def many(b):
        return (3 * b + 2) % (sizes.S + 1)

    return f.Lengths(_per_row(sizes, many)), lambda b, h, t, s: s < many(b)


def _both_lengths(sizes: Sizes) -> tuple[Any, oracle.Sees]:
    def many(b):
        return max(1, sizes.S - 2 * b)

    mask = f.Lengths(_per_row(sizes, many), _per_row(sizes, lambda b: b + 1))
    return mask, lambda b, h, t, s: s < many(b) and t < b + 1


def _segments(sizes: Sizes) -> tuple[Any, oracle.Sees]:
    queries = _per_row(sizes, lambda b: np.arange(sizes.T) // (b + 2))
    keys = _per_row(sizes, lambda b: np.arange(sizes.S) // (b + 3))
    return (
        f.Segments(queries, keys),
        lambda b, h, t, s: t // (b + 2) == s // (b + 3),
    )


def _dense(sizes: Sizes) -> tuple[Any, oracle.Sees]:
    array = np.random.default_rng(3).random((*sizes.B, sizes.H, sizes.T, sizes.S)) < 0.5
    flat = array.reshape(sizes.rows, *array.shape[-3:])
    return array, lambda b, h, t, s: bool(flat[b, h, t, s])


def _steps(sizes: Sizes) -> tuple[Any, oracle.Sees]:
    """Causal with its own offset for each row of the batch, as in decoding."""
    return (
        f.Causal(_per_row(sizes, lambda b: 2 * b - 1)),
        lambda b, h, t, s: s <= t + 2 * b - 1,
    )


MASKS = [
    MaskCase("none", lambda sizes: (None, lambda b, h, t, s: True)),
    MaskCase("causal", lambda sizes: (f.Causal(), lambda b, h, t, s: s <= t)),
    MaskCase("causal steps", _steps),
    MaskCase("window", lambda sizes: (f.Window(1, 2), lambda b, h, t, s: t - 1 <= s <= t + 2)),
    MaskCase("lengths", _lengths),
    MaskCase("both lengths", _both_lengths),
    MaskCase("segments", _segments),
    MaskCase("prefix", lambda sizes: (f.Prefix(2), lambda b, h, t, s: s < 2 or s <= t)),
    MaskCase("dense by head", _dense),
    MaskCase(
        "joined",
        lambda sizes: (
            f.Causal(1) & ~f.Window(0, 0) | f.Lengths(1),
            lambda b, h, t, s: (s <= t + 1 and s != t) or s < 1,
        ),
    ),
    MaskCase("nothing", lambda sizes: (~f.Prefix(sizes.S), lambda b, h, t, s: False)),
]

NORMALIZERS = {"softmax": (f.softmax, oracle.softmax)}

BACKENDS = ["reference"]


@dataclasses.dataclass(frozen=True)
class Row:
    """One mechanism on one backend."""

    score: ScoreCase
    mask: MaskCase
    normalizer: str
    backend: str

    def __str__(self) -> str:
        return f"{self.score.name}/{self.mask.name}/{self.normalizer}/{self.backend}"


ROWS = [Row(*row) for row in itertools.product(SCORES, MASKS, NORMALIZERS, BACKENDS)]


@dataclasses.dataclass(frozen=True)
class Example:
    """A row of the table on arrays of some sizes."""

    sizes: Sizes
    query: np.ndarray
    key: np.ndarray
    value: np.ndarray
    options: dict[str, Any]  # of `attend` and `explain`
    oracle: dict[str, Any]  # of `oracle.attention`
    backend: str

    @property
    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.query, self.key, self.value

    @property
    def seen(self) -> np.ndarray:
        """`[*B, H, T, S]`: what the oracle says may be seen."""
        n = self.sizes
        every = itertools.product(range(n.rows), range(n.H), range(n.T), range(n.S))
        listed = [self.oracle["sees"](*cell) for cell in every]
        return np.asarray(listed, bool).reshape(*n.B, n.H, n.T, n.S)

    def attend(self, query: Any, key: Any, value: Any, **changed: Any) -> Any:
        return f.attend(query, key, value, **self.options, backend=self.backend, **changed)

    def with_mask(self, mask: Any) -> "Example":
        return dataclasses.replace(self, options=self.options | {"mask": mask})


def example(row: Row, sizes: Sizes = USUAL, dtype: Any = np.float32) -> Example:
    """The row on random arrays, the same at every call."""
    rng = np.random.default_rng(0)
    score, match = row.score.make(sizes, rng)
    mask, sees = row.mask.make(sizes)
    normalize, plain = NORMALIZERS[row.normalizer]

    def normal(*axes: Any) -> np.ndarray:
        return rng.normal(size=(*sizes.B, *axes)).astype(dtype)

    return Example(
        sizes=sizes,
        query=normal(sizes.T, sizes.H, sizes.K),
        key=normal(sizes.S, sizes.G, sizes.K),
        value=normal(sizes.S, sizes.G, sizes.E),
        options={"score": score, "normalize": normalize, "mask": mask},
        oracle={"match": match, "normalize": plain, "sees": sees},
        backend=row.backend,
    )
