"""The contract of attention: score, normalize, weigh.

- `logits = score(query, key)`, `[*B, H, T, S]`
- `weights = normalize(logits, mask)`, rows sum to one, or to exactly zero
- `output = weigh(weights, value)`, `[*B, T, H, E]`
"""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from attention_jax.functional import fused
from attention_jax.functional.biases import Bias, as_bias
from attention_jax.functional.chunked import chunked
from attention_jax.functional.logits import score_rows
from attention_jax.functional.mask_algebra import as_mask, expand
from attention_jax.functional.masks import Mask, visible
from attention_jax.functional.normalize import Normalize, softmax
from attention_jax.functional.plan import logits_shape, plan_attention
from attention_jax.functional.scores import Score, scaled_dot
from attention_jax.functional.shield import clean, tainted, tainted_by_rows
from attention_jax.functional.weigh import weigh


def attend(
    query: Float[Array, "*B T H K"],
    key: Float[Array, "*B S G J"],
    value: Float[Array, "*B S G E"],
    *,
    score: Score = scaled_dot,
    normalize: Normalize = softmax,
    mask: Bool[Array, "..."] | Mask | None = None,
    bias: Float[Array, "..."] | Bias | None = None,
    backend: str = "auto",
) -> Float[Array, "*B T H E"]:
    """Each query's weighted mean of the values, by how well it matches their keys.

    What is masked influences nothing, neither the output nor a gradient, even where it holds NaN or
    infinity; a row with nothing to see gives zeros. With a mask, a query that sees a key or value
    that is not finite gives NaN.

    Args:
      query: one row for each query position and head.
      key: one row for each source position and key/value head; G divides H. As many features as
        the query has, unless the score takes others.
      value: one row for each source position and key/value head.
      score: `(query, key) -> logits`; learned ones come as `partial(additive, v=v)`.
      normalize: `(logits, mask) -> weights`.
      mask: True = may attend; an array that broadcasts to `[*B, H, T, S]`, or a mask object.
      bias: added to the logits; an array that broadcasts to `[*B, H, T, S]`, or a bias object.
      backend: "reference" keeps all logits and is the three stages as they are written; "chunked"
        takes memory that grows with T + S; "cudnn", "splash" and "tokamax" are kernels of others
        for GPUs and TPUs; "auto" is the one that `plan_attention` names.

    Returns:
      One row for each query position and head, in the dtype of value.

    Raises:
      ValueError: an argument does not fit, or the backend cannot do what is asked; the message
        names the argument, what was found and what would fit.

    Source: Bahdanau et al. 2015; Vaswani et al. 2017, section 3.2.
    """
    options = {"score": score, "normalize": normalize, "mask": mask, "bias": bias}
    return attend_on(None, query, key, value, **options, backend=backend)


def attend_on(
    platform: str | None,
    query: Float[Array, "*B T H K"],
    key: Float[Array, "*B S G J"],
    value: Float[Array, "*B S G E"],
    *,
    backend: str = "auto",
    **options: Any,
) -> Float[Array, "*B T H E"]:
    """What `attend` gives with these options, compiled for a platform that need not be here.

    Args:
      platform: "cpu", "gpu" or "tpu"; None for where it runs here.
      query: as in `attend`, like all that follows.
      key: as in `attend`.
      value: as in `attend`.
      backend: as in `attend`.
      **options: score, normalize, mask and bias, as in `attend`.

    Returns:
      As `attend`.

    Raises:
      ValueError: as `attend`.
    """
    plan = plan_attention(query, key, value, **options, backend=backend, platform=platform)
    backend, mask, hidden = plan.backend, options["mask"], None
    if mask is not None:
        query, bad_queries = clean(query)
        key, bad_keys = clean(key)
        value, bad_values = clean(value)
        bad_sources = bad_keys | bad_values
        if backend == "reference":
            mask = visible(mask, logits_shape(query, key))
            hidden = tainted(bad_queries, bad_sources, mask)
        else:
            hidden = tainted_by_rows(bad_queries, bad_sources, as_mask(mask))
        options |= {"mask": mask}

    output = SERVING[backend](query, key, value, **options)
    # A select and not a product, so that rows which nobody asks about pass no NaN backward.
    return output if hidden is None else jnp.where(hidden[..., None], jnp.nan, output)


def reference(
    query: Float[Array, "*B T H K"],
    key: Float[Array, "*B S G J"],
    value: Float[Array, "*B S G E"],
    *,
    score: Score,
    normalize: Normalize,
    mask: Bool[Array, "..."] | None,
    bias: Float[Array, "..."] | Bias | None,
) -> Float[Array, "*B T H E"]:
    """Attention as it is defined, stage after stage."""
    logits = score_rows(score, query, key)
    if bias is not None:
        logits += expand(as_bias(bias).array(*logits.shape[-2:]), logits.ndim)
    weights = normalize(logits, mask)
    return weigh(weights, value)


SERVING = {
    "reference": reference,
    "chunked": chunked,
    "cudnn": fused.cudnn,
    "splash": fused.splash,
    "tokamax": fused.tokamax,
}
