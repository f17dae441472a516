"""How long a Universal Transformer thinks: the ponder time of tokens, and its mean by length.

Source: Dehghani et al. 2018, section 4 and figure 3 (ponder time by token and by task).
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import jax
import numpy as np
from flax import nnx

from attention_jax.data.batches import Batch
from attention_jax.models.universal import Ponder, Universal

Side = Literal["encoder", "decoder"]


class Mean(NamedTuple):
    """Of the sentences of one length."""

    steps: float
    """N, in the mean over their tokens"""
    tokens: int


def ponder_times(
    graph: nnx.GraphDef, params: Any, batches: Sequence[Batch], side: Side
) -> Mapping[int, Mean]:
    """Steps a token, by the sentence's tokens on that side, its end mark among them.

    Args:
      graph: the structure of a `Universal` that halts.
      params: its parameters.
      batches: sentences and their true targets, which the decoder is shown.
      side: whose tokens.

    Raises:
      ValueError: the model has no halting, or is another.
    """

    @jax.jit
    def pondered(params: Any, batch: Batch) -> Ponder:
        model = nnx.merge(graph, params)
        if not isinstance(model, Universal):
            raise ValueError(f"model is a {type(model).__name__}; a Universal would fit")
        return model.ponder(batch.source, batch.target_in)

    steps, tokens = defaultdict(float), defaultdict(int)
    for batch in batches:
        found = np.asarray(getattr(pondered(params, batch), side).steps, np.float64)
        there = batch.source != 0 if side == "encoder" else batch.weights != 0
        for row, real in zip(found, there, strict=True):
            if length := int(real.sum()):
                steps[length] += float(row[real].sum())
                tokens[length] += length
    return {
        length: Mean(steps[length] / tokens[length], tokens[length]) for length in sorted(steps)
    }
