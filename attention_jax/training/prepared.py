"""A corpus and its tokenizer, ready for many runs."""

import functools
import hashlib
from dataclasses import dataclass, field

from attention_jax.data import (
    Batch,
    BatchPlan,
    Corpus,
    DataConfig,
    Examples,
    Tokenizer,
    encode_pairs,
    eval_batches,
    load_corpus,
)


@dataclass(frozen=True)
class Prepared:
    """What runs on the same data share.

    Attributes:
      data: what it was made from.
      corpus: the sentence pairs, by split.
      tokenizer: learned from the train split alone.
      encoded: splits as tokens, filled as they are asked for.
    """

    data: DataConfig
    corpus: Corpus
    tokenizer: Tokenizer
    encoded: dict[str, Examples] = field(default_factory=dict, repr=False)

    def examples(self, split: str) -> Examples:
        """A split as tokens, encoded once."""
        if split not in self.encoded:
            limits = {"max_length": self.data.max_length, "max_target": self.data.max_target}
            pairs = self.corpus.splits[split]
            self.encoded[split] = encode_pairs(pairs, self.tokenizer, **limits)
        return self.encoded[split]

    def plan(self, seed: int) -> BatchPlan:
        """All training batches, in the order of the seed."""
        tokens, shapes = self.data.batch_tokens, self.data.shapes
        return BatchPlan(
            self.examples("train"),
            tokens=tokens,
            shapes=shapes,
            seed=seed,
            vocabulary=self.tokenizer.size,
        )

    def held_out(self) -> dict[str, list[Batch]]:
        """Batches of validation and all test splits, all of one shape, so of one program."""
        names = [name for name in self.corpus.splits if name != "train"]
        sizes = {"tokens": self.data.batch_tokens, "vocabulary": self.tokenizer.size}
        every = [eval_batches(self.examples(name), **sizes) for name in names]
        length = max(batches[0].source.shape[1] for batches in every)
        return {name: eval_batches(self.examples(name), length=length, **sizes) for name in names}

    def digest(self) -> str:
        """SHA-256 of the training and validation tokens, in hex: what a run was trained on."""
        return self._digest

    @functools.cached_property
    def _digest(self) -> str:
        parts = (self.examples(split).digest() for split in ("train", "validation"))
        return hashlib.sha256(" ".join(parts).encode()).hexdigest()


def prepare(data: DataConfig, tokenizer: Tokenizer | None = None) -> Prepared:
    """Reads a corpus and learns its vocabulary, from the train split alone.

    Args:
      data: what to read.
      tokenizer: one learned before.
    """
    corpus = load_corpus(data)
    if tokenizer is None:
        texts = (text for pair in corpus.splits["train"] for text in (pair.source, pair.target))
        tokenizer = Tokenizer.train(texts, data.vocabulary)
    return Prepared(data, corpus, tokenizer)
