"""Attention to keys and values that a model has made itself and keeps: decoding, step by step."""

from jaxtyping import Array, Bool, Float

from attention_jax.functional.attend import reference
from attention_jax.functional.biases import Bias
from attention_jax.functional.masks import Mask
from attention_jax.functional.normalize import Normalize, softmax
from attention_jax.functional.scores import Score, scaled_dot


def recall(
    query: Float[Array, "*B T H K"],
    key: Float[Array, "*B S G J"],
    value: Float[Array, "*B S G E"],
    *,
    score: Score = scaled_dot,
    normalize: Normalize = softmax,
    mask: Bool[Array, "..."] | Mask | None = None,
    bias: Float[Array, "..."] | Bias | None = None,
) -> Float[Array, "*B T H E"]:
    """What `attend` gives while all numbers are finite; of others it keeps nothing out.

    `attend` looks for NaN and infinity in every key and value, each time: of a few queries over
    many kept sources that costs as much as the attention, and keeps XLA from writing the sources of
    the next step in place.

    Args:
      query: as in `attend`, like all that follows.
      key: as in `attend`.
      value: as in `attend`.
      score: as in `attend`.
      normalize: as in `attend`.
      mask: as in `attend`, but what it hides must be finite.
      bias: as in `attend`.

    Returns:
      One row for each query position and head, in the dtype of value.
    """
    options = {"score": score, "normalize": normalize, "mask": mask, "bias": bias}
    return reference(query, key, value, **options)
