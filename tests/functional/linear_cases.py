"""The cases of linear attention, with their oracles."""

from functools import partial

import numpy as np
import pytest

from attention_jax.functional.features import favor, relu_features
from tests.functional.linear_oracle import plain_elu, plain_relu, plain_rows

FORMS = ["chunked", "parallel", "recurrent"]
T, H, G, K, E = 7, 4, 2, 5, 3
W = np.random.default_rng(9).normal(size=(6, K)).astype(np.float32)
DECAYS = np.array([0.5, 0.9, 0.97, 1.0], np.float32)


def arrays(dtype=np.float32, sources=T):
    rng = np.random.default_rng(0)
    sizes = [(2, T, H, K), (2, sources, G, K), (2, sources, G, E)]
    return [rng.normal(size=size).astype(dtype) for size in sizes]


def plain_favor(x):
    x = x / K**0.25
    return np.array([np.exp(w @ x - x @ x / 2) for w in W.astype(np.float64)]) / len(W) ** 0.5


CASES = {
    "elu": ({}, {"phi": plain_elu}),
    "relu": ({"features": relu_features}, {"phi": plain_relu}),
    "favor": ({"features": partial(favor, projection=W)}, {"phi": plain_favor}),
    "favor unnormalized": (
        {"features": partial(favor, projection=W), "normalize": False},
        {"phi": plain_favor, "normalize": False},
    ),
}
CAUSAL_CASES = CASES | {
    "retention": ({"features": None, "decay": DECAYS}, {"phi": plain_rows, "decay": DECAYS}),
    "one decay": ({"decay": 0.75}, {"phi": plain_elu, "decay": [0.75] * H}),
    "decay normalized": (
        {"decay": DECAYS, "normalize": True},
        {"phi": plain_elu, "decay": DECAYS, "normalize": True},
    ),
    "favor with decay": (
        {"features": partial(favor, projection=W), "decay": 0.75},
        {"phi": plain_favor, "decay": [0.75] * H},
    ),
}
EVERY = [(name, False) for name in CASES] + [(name, True) for name in CAUSAL_CASES]
every_case = pytest.mark.parametrize(
    ("name", "causal"), EVERY, ids=lambda x: x if isinstance(x, str) else "causal" if x else "all"
)

# Every case in one form by default, in the others too among the slow tests.
every_form = pytest.mark.parametrize(
    ("name", "causal", "form"),
    [
        pytest.param(*case, form, marks=[] if (i + j) % 3 == 0 else [pytest.mark.slow])
        for i, case in enumerate(EVERY)
        for j, form in enumerate(FORMS)
    ],
)
