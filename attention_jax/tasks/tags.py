"""Words tagged by an encoder, such as names of people and places, from nothing or a trained one.

Source: Devlin et al. 2019, "BERT", section 5.3.
"""

from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
from flax import nnx
from jaxtyping import Array

from attention_jax.data.conll import spans
from attention_jax.data.marked import mask_of
from attention_jax.data.rows import RowsPlan, in_order
from attention_jax.data.single_words import tags_by_neighbours, tags_by_word
from attention_jax.data.tagged_text import (
    TaggedBatch,
    TaggedText,
    TaggedTextConfig,
    read_tagged_text,
)
from attention_jax.models.encoder_only_config import EncoderOnlyConfig
from attention_jax.models.tag_head import Tags
from attention_jax.tasks.begun import beginning, tokenizer_of
from attention_jax.tasks.masked_words import SMALL, check_encoder, real
from attention_jax.tasks.work import Work
from attention_jax.training.chosen import Which
from attention_jax.training.loss import smoothed_cross_entropy
from attention_jax.training.optimizer import OptimizerConfig
from attention_jax.training.step import split
from attention_jax.training.training_config import TrainingConfig


@dataclass(frozen=True)
class TagsTask:
    """Tag words: which of them name people, places and things, or tags of your own."""

    kind: Literal["tags"] = "tags"
    """which task this is"""
    name: str = "run"
    """what reports call it"""
    seed: int = 0
    """of initial weights, the order of rows and dropout"""
    data: TaggedTextConfig = field(default_factory=TaggedTextConfig)
    """sentences and tags"""
    model: EncoderOnlyConfig = replace(SMALL, layers=2)
    """the encoder; its vocabulary is the text's"""
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

    def work(self, folder: Path | None = None) -> Work:
        """Reads the sentences; the tokenizer is the folder's, or the beginning's, if it has one."""
        text = read_tagged_text(self.data, tokenizer_of(folder, self.begin))
        config = replace(self.model, vocabulary=mask_of(text.tokenizer) + 1)
        size = min(self.data.rows, len(text.rows["train"].tokens))
        return Work(
            make_model=lambda rngs: Tags(config, len(text.tags), rngs=rngs),
            objective=objective,
            plan=RowsPlan(text.rows["train"], size=size, seed=self.seed),
            validation=in_order(text.rows["validation"], size),
            digest=text.digest(),
            score=partial(score, text),
            files={"tokenizer.json": text.tokenizer.to_bytes()},
            notes=text.notes,
            unit="words",
            begin=None if self.begin is None else beginning(self.begin, config),
            real=real,
        )


def objective(
    model: Any,
    batch: TaggedBatch,
    *,
    rng: Array | None = None,
    smoothing: float = 0.0,
    **call: Any,
) -> Any:
    """The cross-entropy of the tags, at the first token of each word."""
    found = model(batch.tokens, rng=rng, **call)
    logits, *seen = found if call.get("explain") else (found,)
    sums = smoothed_cross_entropy(logits, batch.labels, batch.weights, smoothing=smoothing)
    return (sums, *seen) if seen else sums


def score(text: TaggedText, model: Any, folder: Path | None = None) -> dict[str, Any]:
    """How well names are found in each held-out split, by the model and from single words.

    A name is found if its words and its kind are right (Tjong Kim Sang and De Meulder 2003).

    Args:
      text: with the splits.
      model: a `Tags`.
      folder: of the run; nothing is written.
    """
    found: dict[str, Any] = {"tags": list(text.tags)}
    train = text.texts["train"]
    for name, sentences in text.texts.items():
        if name == "train":
            continue
        gold = [sentence.tags for sentence in sentences]
        ways = {
            "model": tagged(model, text, name),
            "by_word": tags_by_word(train, sentences),
            "by_neighbours": tags_by_neighbours(train, sentences),
        }
        kinds = sorted({tag[2:] for tag in text.tags if tag != "O"})
        found[name] = {"words": sum(map(len, gold))} | {
            way: {"f1": f1(gold, told)} | {kind: f1(gold, told, kind) for kind in kinds}
            for way, told in ways.items()
        }
    return found


def tagged(model: Any, text: TaggedText, name: str) -> list[tuple[str, ...]]:
    """The tags that the model holds most likely for the words of a split."""
    graph, params = split(model)
    best = jax.jit(lambda params, tokens: nnx.merge(graph, params)(tokens).argmax(-1))
    rows = text.rows[name]
    found = np.concatenate([np.asarray(best(params, one.tokens)) for one in in_order(rows, 128)])
    return [
        tuple(text.tags[tag] for tag in row[there])
        for row, there in zip(found, rows.weights != 0, strict=False)
    ]


def f1(gold: Any, told: Any, kind: str | None = None) -> float:
    """The harmonic mean of precision and recall over names, or those of one kind; 0 without any.

    Args:
      gold: tags of each sentence.
      told: likewise.
      kind: of names; None for all.
    """
    right = wanted = found = 0
    for one, other in zip(gold, told, strict=True):
        names, others = (
            {name for name in spans(tags) if kind in (None, name[2])} for tags in (one, other)
        )
        right, wanted, found = right + len(names & others), wanted + len(names), found + len(others)
    return 2 * right / (wanted + found) if right else 0.0
