"""Held-out sentences as batches, for a look at what a model makes of them."""

from attention_jax.data import (
    Batch,
    DataConfig,
    Pair,
    Tokenizer,
    encode_pairs,
    eval_batches,
    load_corpus,
)


def first_of(
    data: DataConfig, tokenizer: Tokenizer, split: str, sentences: int
) -> tuple[list[Batch], list[Pair]]:
    """The first pairs of a split as batches of one shape, and those that were not too long.

    Args:
      data: which text.
      tokenizer: of the model.
      split: whose pairs.
      sentences: how many, at most.

    Raises:
      ValueError: the split is not there, or `sentences` is below 1.
    """
    if sentences < 1:
        raise ValueError(f"sentences is {sentences}; it must be at least 1")
    splits = load_corpus(data).splits
    if split not in splits:
        raise ValueError(f"split is {split!r}; one of {', '.join(splits)} would fit")
    pairs = splits[split][:sentences]
    examples = encode_pairs(pairs, tokenizer, max_length=data.max_length)
    batches = eval_batches(examples, tokens=data.batch_tokens, vocabulary=tokenizer.size)
    return batches, [pairs[place] for place in examples.kept]
