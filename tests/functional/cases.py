"""The conformance table: every score, mask, normalizer and bias on every backend is in a row.

A new mechanism joins with one line in a file of cases; `test_conformance.py` then holds it to
everything that holds for the others. Not every combination is a row: `test_shapes.py` draws those.
"""

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from attention_jax import functional as f
from tests.functional.bias_cases import BIASES
from tests.functional.case_types import At, BiasCase, MaskCase, NormalizerCase, ScoreCase, Sizes
from tests.functional.local_cases import LOCAL_NORMALIZERS
from tests.functional.mask_cases import MASKS
from tests.functional.normalizer_cases import NORMALIZERS
from tests.functional.relative_cases import RELATIVE_SCORES
from tests.functional.score_cases import SCORES

USUAL = Sizes()
SHAPES = {
    "T≠S, K≠E, two groups": USUAL,
    "no batch, S=1, a group each": Sizes(B=(), T=3, S=1, H=2, G=2),
    "two leading axes, one group": Sizes(B=(2, 1), T=4, S=4, H=3, G=1, K=2, E=5),
}

BACKENDS = ["reference", "chunked"]
ALL_SCORES = SCORES + RELATIVE_SCORES
ALL_NORMALIZERS = NORMALIZERS + LOCAL_NORMALIZERS
UNBIASED = BIASES[0]


@dataclasses.dataclass(frozen=True)
class Row:
    """One mechanism on one backend."""

    score: ScoreCase
    mask: MaskCase
    normalizer: NormalizerCase
    backend: str
    bias: BiasCase = UNBIASED

    def __str__(self) -> str:
        parts = (self.score, self.mask, self.normalizer, self.bias)
        return "/".join([*(part.name for part in parts), self.backend])

    @property
    def by_position(self) -> bool:
        return self.score.by_position or self.normalizer.by_position


def _named(cases: list[Any], name: str) -> Any:
    return next(case for case in cases if case.name == name)


def _rows(backend: str) -> list[Row]:
    """Each mechanism beside the plainest of the other kinds, and under masks that try it."""
    dot, softmax = _named(SCORES, "scaled_dot"), _named(NORMALIZERS, "softmax")
    none, causal, steps, by_head = (
        _named(MASKS, name) for name in ("none", "causal", "causal steps", "dense by head")
    )
    rows = [
        *(Row(dot, mask, softmax, backend) for mask in MASKS),
        *(Row(score, mask, softmax, backend) for score in ALL_SCORES for mask in (none, by_head)),
        *(Row(dot, mask, share, backend) for share in ALL_NORMALIZERS for mask in (causal, steps)),
        *(Row(dot, causal, softmax, backend, bias) for bias in BIASES),
    ]
    return list(dict.fromkeys(rows))


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
        return self._of_cells(lambda at: self.oracle["sees"](*at)).astype(bool)

    @property
    def added(self) -> np.ndarray:
        """`[*B, H, T, S]`: what the oracle says is added to the logits."""
        return self._of_cells(self.oracle["shift"]).astype(np.float32)

    def _of_cells(self, of: Callable[[At], float]) -> np.ndarray:
        n = self.sizes
        every = itertools.product(*map(range, (n.rows, n.H, n.T, n.S)))
        return np.asarray([of(At(*cell)) for cell in every]).reshape(*n.B, n.H, n.T, n.S)

    def attend(self, query: Any, key: Any, value: Any, **changed: Any) -> Any:
        return f.attend(query, key, value, backend=self.backend, **self.options | changed)

    def explain(self, query: Any, key: Any, **changed: Any) -> Any:
        return f.explain(query, key, **self.options | changed)


def example(row: Row, sizes: Sizes = USUAL, dtype: Any = np.float32) -> Example:
    """The row on random arrays, the same at every call."""
    rng = np.random.default_rng(0)
    score, match = row.score.make(sizes, rng)
    normalize, share = row.normalizer.make(sizes, rng)
    mask, sees = row.mask.make(sizes)
    bias, shift = row.bias.make(sizes, rng)
    features = row.score.key_features or sizes.K

    def normal(*axes: Any) -> np.ndarray:
        return rng.normal(size=(*sizes.B, *axes)).astype(dtype)

    return Example(
        sizes=sizes,
        query=normal(sizes.T, sizes.H, sizes.K),
        key=normal(sizes.S, sizes.G, features),
        value=normal(sizes.S, sizes.G, sizes.E),
        options={"score": score, "normalize": normalize, "mask": mask, "bias": bias},
        oracle={"match": match, "share": share, "sees": sees, "shift": shift},
        backend=row.backend,
    )


ROWS = [row for backend in BACKENDS for row in _rows(backend)]
