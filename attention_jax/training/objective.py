"""What training lowers: from a model and a batch to what the batch costs."""

from functools import partial
from typing import Any, Protocol

from jaxtyping import Array

from attention_jax.data.batches import Batch
from attention_jax.training.chunked_loss import Head, chunked_cross_entropy
from attention_jax.training.loss import smoothed_cross_entropy


class Objective(Protocol):
    """What a batch costs a model: sums over what counts, of which training lowers the mean.

    The batch is a named tuple of arrays that lead with its rows, with a field `weights`; a row of
    zeros, weights included, costs nothing.
    """

    def __call__(
        self, model: Any, batch: Any, *, rng: Array | None = None, smoothing: float = 0.0, **call
    ) -> Any:
        """The batch's `Loss`; with `explain` the pair of it and what the model explained.

        Args:
          model: any.
          batch: of the kind that the objective is for.
          rng: of dropout and nothing else: all that is random in data stands in the batch.
          smoothing: of labels, where there are any.
          **call: goes into the model's call.
        """
        ...


def translation(
    model: Any, batch: Batch, *, rng: Array | None = None, smoothing: float = 0.0, **call: Any
) -> Any:
    """The cross-entropy of the target's tokens, each given the source and those before it."""
    found = model(batch.source, batch.target_in, rng=rng, **call)
    logits, *seen = found if call.get("explain") else (found,)
    sums = smoothed_cross_entropy(logits, batch.target_out, batch.weights, smoothing=smoothing)
    return (sums, *seen) if seen else sums


def penalised(
    model: Any, batch: Batch, *, rng: Array | None = None, smoothing: float = 0.0, **call: Any
) -> Any:
    """`translation`, and what the model itself asks to be kept low, as time spent on pondering.

    The model has `penalised(source, target_in, weights, **call)`, which gives what its call gives
    and a penalty: a sum over the positions that count. It is trained on, and no likelihood.
    """
    given = batch.source, batch.target_in, batch.weights
    found, penalty = model.penalised(*given, rng=rng, **call)
    logits, *seen = found if call.get("explain") else (found,)
    sums = smoothed_cross_entropy(logits, batch.target_out, batch.weights, smoothing=smoothing)
    sums = sums._replace(loss=sums.loss + penalty)
    return (sums, *seen) if seen else sums


def in_chunks(
    model: Any,
    batch: Batch,
    *,
    chunk: int,
    rng: Array | None = None,
    smoothing: float = 0.0,
    **call: Any,
) -> Any:
    """`translation`, with the logits of `chunk` tokens at a time and never of all.

    The model has `head`, which tells what logits are made of, and its call takes `finish`.
    """

    def cost(x: Array) -> Any:
        targets = batch.target_out, batch.weights
        head = Head(*model.head(x))
        return chunked_cross_entropy(head, *targets, chunk=chunk, smoothing=smoothing)

    return model(batch.source, batch.target_in, rng=rng, finish=cost, **call)


def objective_of(config: Any, chunk: int | None = None) -> Objective:
    """What a model of this config is trained on, of those that translate.

    Args:
      config: the model's.
      chunk: tokens whose logits are held at once; None holds all.

    Raises:
      ValueError: this kind of model cannot be asked for some of its logits.
    """
    if chunk is None:
        return penalised if getattr(config, "halting", "none") != "none" else translation
    if config.kind != "transformer":
        raise ValueError(
            f"vocabulary_chunk is {chunk}, which is for the kind transformer; None would fit "
            f"{config.kind}"
        )
    return partial(in_chunks, chunk=chunk)
