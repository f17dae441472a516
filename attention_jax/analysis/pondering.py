"""How long a Universal Transformer thinks: of the tokens of a sentence, and in the mean by length.

Source: Dehghani et al. 2018, section 3.1 and the figures of its appendix (ponder time by token).
"""

import functools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import jax
import numpy as np
from flax import nnx
from jaxtyping import Array

from attention_jax.data.batches import Batch
from attention_jax.data.tokens import END, START, Tokenizer
from attention_jax.functional.halting import Pondered
from attention_jax.models.universal import Ponder, Universal

Side = Literal["encoder", "decoder"]


class Thought(NamedTuple):
    """How long each token of one side of a sentence was thought about."""

    tokens: tuple[str, ...]
    steps: tuple[int, ...]
    """N"""
    remainders: tuple[float, ...]
    """R, the share that the last step has"""


class Mean(NamedTuple):
    """Of the sentences of one length."""

    steps: float
    """N, in the mean over their tokens"""
    tokens: int


def ponder_sentence(
    graph: nnx.GraphDef, params: Any, tokenizer: Tokenizer, source: str, target: str
) -> dict[Side, Thought]:
    """What one sentence and its translation cost, token by token.

    Args:
      graph: the structure of a `Universal` that halts.
      params: its parameters.
      tokenizer: of the text.
      source: the sentence.
      target: its translation, which the decoder is shown after a start mark.

    Raises:
      ValueError: the model has no halting, or is another.
    """
    read, written = [*tokenizer.encode(source), END], [START, *tokenizer.encode(target)]
    both = (np.asarray([ids], np.int32) for ids in (read, written))
    found = _pondered(graph, params, *both)

    def thought(ids: list[int], mine: Pondered) -> Thought:
        steps, remainders = np.asarray(mine.steps[0], int), np.asarray(mine.remainder[0])
        return Thought(
            tuple(tokenizer.tokens(ids)), tuple(steps.tolist()), tuple(remainders.tolist())
        )

    return {"encoder": thought(read, found.encoder), "decoder": thought(written, found.decoder)}


def ponder_times(
    graph: nnx.GraphDef, params: Any, batches: Sequence[Batch], side: Side
) -> Mapping[int, Mean]:
    """Steps a token, by the number of the sentence's tokens on that side, its end mark among them.

    Args:
      graph: the structure of a `Universal` that halts.
      params: its parameters.
      batches: sentences and their true targets, which the decoder is shown.
      side: whose tokens.

    Raises:
      ValueError: the model has no halting, or is another.
    """
    steps, tokens = defaultdict(float), defaultdict(int)
    for batch in batches:
        pondered = _pondered(graph, params, batch.source, batch.target_in)
        found = np.asarray(getattr(pondered, side).steps, np.float64)
        there = batch.source != 0 if side == "encoder" else batch.weights != 0
        for row, real in zip(found, np.asarray(there), strict=True):
            if length := int(real.sum()):
                steps[length] += float(row[real].sum())
                tokens[length] += length
    return {size: Mean(steps[size] / tokens[size], tokens[size]) for size in sorted(steps)}


@functools.partial(jax.jit, static_argnums=0)
def _pondered(graph: nnx.GraphDef, params: Any, source: Array, target_in: Array) -> Ponder:
    model = nnx.merge(graph, params)
    if not isinstance(model, Universal):
        raise ValueError(f"the model is a {type(model).__name__}; a Universal would fit")
    return model.ponder(source, target_in)
