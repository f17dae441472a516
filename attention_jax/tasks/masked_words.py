"""Masked words: an encoder that learns from text alone to tell what is hidden in it.

Source: Devlin et al. 2019, "BERT", section 3.1; without its second task, whether one sentence
follows another, which Liu et al. 2019 ("RoBERTa", section 4.2) found to be of no use.
"""

from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from jaxtyping import Array

from attention_jax.data.masked_text import MaskedTextConfig, read_masked_text
from attention_jax.data.masking import MaskedBatch, masked
from attention_jax.data.rows import RowsPlan, generator, in_order
from attention_jax.data.tokens import PAD, Tokenizer
from attention_jax.models.encoder_only_config import EncoderOnlyConfig
from attention_jax.models.masked_word_head import MaskedWords
from attention_jax.tasks.masked_words_score import score
from attention_jax.tasks.work import Work
from attention_jax.training.chosen import Which
from attention_jax.training.loss import smoothed_cross_entropy
from attention_jax.training.optimizer import OptimizerConfig
from attention_jax.training.training_config import TrainingConfig

__all__ = ["SMALL", "MaskedWordsTask", "objective"]

SMALL = EncoderOnlyConfig(width=128, layers=4, heads=4, feed_forward=512, context=64)
"""an encoder that a CPU trains in minutes"""

HELD_OUT = 1_024
"""held-out rows that training looks at"""


@dataclass(frozen=True)
class MaskedWordsTask:
    """Tell the words that are hidden in text, as BERT does before it learns anything else."""

    kind: Literal["masked_words"] = "masked_words"
    """which task this is"""
    name: str = "run"
    """what reports call it"""
    seed: int = 0
    """of initial weights, the order of rows, masks and dropout"""
    data: MaskedTextConfig = field(default_factory=MaskedTextConfig)
    """text and masks"""
    model: EncoderOnlyConfig = SMALL
    """the encoder; its vocabulary is the text's"""
    training: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(
            steps=4_000,
            smoothing=0.0,
            optimizer=OptimizerConfig(schedule="cosine", peak=1e-3, warmup=200, weight_decay=0.01),
        )
    )
    """the loop and the optimizer"""
    which: Which = "best"
    """the parameters that are judged"""

    def __post_init__(self):
        """Refuses an encoder that cannot read the rows."""
        check_encoder(self.model, self.data.max_length, types=1 + (self.data.other is not None))

    def work(self, folder: Path | None = None) -> Work:
        """Reads the text; the tokenizer is the folder's, if it has one."""
        kept = None if folder is None else folder / "tokenizer.json"
        text = read_masked_text(
            self.data, None if kept is None or not kept.exists() else Tokenizer.load(kept)
        )
        config = replace(self.model, vocabulary=text.mask + 1)
        train, held_out = (
            text.rows["train"],
            MaskedBatch(*(a[:HELD_OUT] for a in text.rows["validation"])),
        )
        size = min(self.data.rows, len(train.tokens))
        return Work(
            make_model=lambda rngs: MaskedWords(config, rngs=rngs),
            objective=objective,
            plan=RowsPlan(train, size=size, seed=self.seed, change=partial(masked, mask=text.mask)),
            validation=in_order(masked(held_out, generator(0, 0), mask=text.mask), size),
            digest=text.digest(),
            score=partial(score, text),
            files={"tokenizer.json": text.tokenizer.to_bytes()},
            notes=text.notes,
            unit="words",
            real=real,
        )


def objective(
    model: Any,
    batch: MaskedBatch,
    *,
    rng: Array | None = None,
    smoothing: float = 0.0,
    **call: Any,
) -> Any:
    """The cross-entropy of the hidden words."""
    types = batch.types if model.config.types else None
    call = {"positions": batch.positions, "rng": rng, **call}
    found = model(batch.tokens, types, batch.places, **call)
    logits, *seen = found if call.get("explain") else (found,)
    sums = smoothed_cross_entropy(logits, batch.labels, batch.weights, smoothing=smoothing)
    return (sums, *seen) if seen else sums


def real(batch: Any) -> dict[str, tuple[Any, Any]]:
    """The tokens that are no padding, of an encoder's batch."""
    there = batch.tokens != PAD
    return {"encoder": (there, there)}


def check_encoder(config: EncoderOnlyConfig, longest: int, types: int = 1) -> None:
    """Refuses an encoder that cannot read rows.

    Raises:
      ValueError: it has too few positions or types, or another padding.
    """
    if config.context < longest:
        raise ValueError(
            f"model.context is {config.context}; at least data.max_length, {longest}, would fit"
        )
    if config.padding != PAD:
        raise ValueError(f"model.padding is {config.padding}; {PAD}, the tokenizer's, would fit")
    if types > 1 and config.types < types:
        raise ValueError(f"model.types is {config.types}; {types} languages need as many")
