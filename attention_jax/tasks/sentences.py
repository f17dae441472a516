"""Sentences sorted into classes by an encoder, from nothing or from a masked-word run.

Source: Devlin et al. 2019, "BERT", section 4.1.
"""

from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
from flax import nnx
from jaxtyping import Array

from attention_jax.data.labelled_text import (
    LabelledBatch,
    LabelledText,
    LabelledTextConfig,
    read_labelled_text,
)
from attention_jax.data.marked import mask_of
from attention_jax.data.rows import RowsPlan, in_order
from attention_jax.data.single_words import most_frequent, naive_bayes
from attention_jax.models.encoder_only_config import EncoderOnlyConfig
from attention_jax.models.sentence_head import Pooling, Sentences
from attention_jax.tasks.begun import beginning, tokenizer_of
from attention_jax.tasks.masked_words import SMALL, check_encoder, real
from attention_jax.tasks.work import Work
from attention_jax.training.chosen import Which
from attention_jax.training.loss import smoothed_cross_entropy
from attention_jax.training.optimizer import OptimizerConfig
from attention_jax.training.step import split
from attention_jax.training.training_config import TrainingConfig


@dataclass(frozen=True)
class SentencesTask:
    """Sort sentences into classes: what kind of sentence is it, or labels of your own."""

    kind: Literal["sentences"] = "sentences"
    """which task this is"""
    name: str = "run"
    """what reports call it"""
    seed: int = 0
    """of initial weights, the order of rows and dropout"""
    data: LabelledTextConfig = field(default_factory=LabelledTextConfig)
    """sentences and labels"""
    model: EncoderOnlyConfig = replace(SMALL, layers=2)
    """the encoder; its vocabulary is the text's"""
    pooling: Pooling = "first"
    """what stands for a sentence: its first token's row, or the mean of all"""
    begin: Path | None = None
    """the folder of a masked_words run whose tokens and encoder this one begins with"""
    training: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(
            steps=1_000,
            smoothing=0.0,
            evaluate_every=100,
            optimizer=OptimizerConfig(schedule="cosine", peak=5e-4, warmup=100),
        )
    )
    """the loop and the optimizer"""
    which: Which = "best"
    """the parameters that are judged"""

    def __post_init__(self):
        """Refuses an encoder that cannot read the rows."""
        check_encoder(self.model, self.data.max_length)
        if self.pooling not in ("first", "mean"):
            raise ValueError(f"pooling is {self.pooling!r}; first or mean would fit")

    def work(self, folder: Path | None = None) -> Work:
        """Reads the sentences; the tokenizer is the folder's, or the beginning's, if it has one."""
        text = read_labelled_text(self.data, tokenizer_of(folder, self.begin))
        config = replace(self.model, vocabulary=mask_of(text.tokenizer) + 1)
        size = min(self.data.rows, len(text.rows["train"].tokens))
        return Work(
            make_model=lambda rngs: Sentences(config, len(text.labels), self.pooling, rngs=rngs),
            objective=objective,
            plan=RowsPlan(text.rows["train"], size=size, seed=self.seed),
            validation=in_order(text.rows["validation"], size),
            digest=text.digest(),
            score=partial(score, text),
            files={"tokenizer.json": text.tokenizer.to_bytes()},
            notes=text.notes,
            unit="sentences",
            begin=None if self.begin is None else beginning(self.begin, config),
            real=real,
        )


def objective(
    model: Any,
    batch: LabelledBatch,
    *,
    rng: Array | None = None,
    smoothing: float = 0.0,
    **call: Any,
) -> Any:
    """The cross-entropy of the labels."""
    found = model(batch.tokens, rng=rng, **call)
    logits, *seen = found if call.get("explain") else (found,)
    sums = smoothed_cross_entropy(logits, batch.labels, batch.weights, smoothing=smoothing)
    return (sums, *seen) if seen else sums


def score(text: LabelledText, model: Any, folder: Path | None = None) -> dict[str, Any]:
    """The share of each held-out split's sentences that get their label, and what words alone tell.

    Args:
      text: with the splits.
      model: a `Sentences`.
      folder: of the run; nothing is written.
    """
    found: dict[str, Any] = {"labels": list(text.labels)}
    for name, rows in text.rows.items():
        if name != "train":
            found[name] = {
                "sentences": len(rows.labels),
                "accuracy": float((sorted_into(model, rows) == rows.labels).mean()),
                "most_frequent": most_frequent(text.texts["train"], text.texts[name]),
                "naive_bayes": naive_bayes(text.texts["train"], text.texts[name]),
            }
    return found


def sorted_into(model: Any, rows: LabelledBatch) -> np.ndarray:
    """The class that the model holds most likely for each row."""
    graph, params = split(model)
    classes = jax.jit(lambda params, tokens: nnx.merge(graph, params)(tokens).argmax(-1))
    found = [np.asarray(classes(params, batch.tokens)) for batch in in_order(rows, 128)]
    return np.concatenate(found)[: len(rows.labels)]
