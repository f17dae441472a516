"""What a language model is judged by: the next token, given those before it in its text."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array

from attention_jax.data.packing import Packed
from attention_jax.data.windows import Windows
from attention_jax.models.decoder_only import DecoderOnly
from attention_jax.training.loss import smoothed_cross_entropy
from attention_jax.training.objective import Objective
from attention_jax.training.step import split


def window_loss(
    model: DecoderOnly,
    batch: Windows,
    *,
    rng: Array | None = None,
    smoothing: float = 0.0,
    **call: Any,
) -> Any:
    """The cross-entropy of each next token, given those before it in the window."""
    return _loss(model, batch, None, rng, smoothing, call)


def packed_loss(
    model: DecoderOnly,
    batch: Packed,
    *,
    rng: Array | None = None,
    smoothing: float = 0.0,
    **call: Any,
) -> Any:
    """The cross-entropy of each next token, given those before it in its document."""
    return _loss(model, batch, batch.segments, rng, smoothing, call)


def held_out_figures(
    model: DecoderOnly, objective: Objective, batches: Sequence[Any], characters: int
) -> dict[str, float]:
    """Perplexity, and what a character costs in bits, over all held-out text.

    Args:
      model: what is judged.
      objective: what a batch costs it.
      batches: the text.
      characters: how many it has. With more than one a token, bits tell what perplexities of
        different tokens do not: who writes the text down in less. The end of a document costs too.
    """
    graph, params = split(model)
    cost = jax.jit(lambda params, batch: objective(nnx.merge(graph, params), batch))
    found = jax.device_get([cost(params, batch) for batch in batches])
    nll, tokens = (math.fsum(float(one[at]) for one in found) for at in (1, 2))
    return {
        "perplexity": math.exp(nll / tokens),
        "bits_per_character": nll / math.log(2) / characters,
    }


def _loss(model, batch, segments, rng, smoothing: float, call: dict[str, Any]) -> Any:
    nothing = jnp.zeros((batch.tokens.shape[0], 0), jnp.int32)
    if segments is not None:
        call = {**call, "segments": segments}
    found = model(nothing, batch.tokens, rng=rng, **call)
    logits, *seen = found if call.get("explain") else (found,)
    sums = smoothed_cross_entropy(logits, batch.labels, batch.weights, smoothing=smoothing)
    return (sums, *seen) if seen else sums
