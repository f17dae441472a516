"""Text to tokens to batches: `load_corpus`, `Tokenizer`, `encode_pairs`, `BatchPlan`."""

from attention_jax.data.batches import (
    Batch,
    BatchPlan,
    Examples,
    encode_pairs,
    eval_batches,
    train_iterator,
)
from attention_jax.data.corpora import Corpus, DataConfig, load_corpus
from attention_jax.data.lines import DataError, Quarantined
from attention_jax.data.pair import Pair
from attention_jax.data.quarantine import write_quarantine
from attention_jax.data.tokens import END, PAD, START, Tokenizer

__all__ = [
    "END",
    "PAD",
    "START",
    "Batch",
    "BatchPlan",
    "Corpus",
    "DataConfig",
    "DataError",
    "Examples",
    "Pair",
    "Quarantined",
    "Tokenizer",
    "encode_pairs",
    "eval_batches",
    "load_corpus",
    "train_iterator",
    "write_quarantine",
]
