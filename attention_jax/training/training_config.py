"""How a run trains, and what it keeps, as one frozen config."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from attention_jax.training.optimizer import OptimizerConfig
from attention_jax.training.signals import GRACE


@dataclass(frozen=True)
class TrainingConfig:
    """How long and how to train, and what to keep; a step is one batch."""

    steps: int = 10_000
    """batches of the whole run"""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    """Adam and its learning rate"""
    smoothing: float = 0.1
    """ε of label smoothing"""
    log_every: int = 50
    """steps between lines of metrics.jsonl; only then are metrics fetched from the device"""
    evaluate_every: int = 500
    """steps between validations; one that is the best so far is kept as a checkpoint"""
    checkpoint_every: int = 500
    """steps between checkpoints, so at most this much is lost to a kill"""
    keep: int = 3
    """how many of the last checkpoints stay, besides the best"""
    average: int = 3
    """how many of the last checkpoints the mean is of"""
    patience: int | None = None
    """validations without a better loss before training stops early; None: never"""
    skip_limit: int = 0
    """batches without a finite loss and gradient that are left out before the run stops"""
    grace: float = GRACE
    """seconds that a run may take to finish its step and save it when it is asked to stop"""
    rng: Literal["rbg", "threefry2x32"] = "rbg"
    """generator of dropout: the fastest, or the one that is the same on every device"""
    compute: Literal["float32", "bfloat16"] = "float32"
    """what the model computes in; parameters, loss and optimizer stay float32"""
    vocabulary_chunk: int | None = None
    """tokens whose logits the loss holds at once, which saves memory; None: all of them"""
    embeddings: Path | None = None
    """a file of word vectors that the embeddings of a new run start from; None: from chance"""

    def __post_init__(self):
        """Refuses numbers that make no run."""
        names = ("steps", "log_every", "evaluate_every", "checkpoint_every", "keep", "average")
        for name in names:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.average > self.keep:
            raise ValueError(
                f"average is {self.average}, more than keep, {self.keep}: the mean is of kept ones"
            )
        if not 0 <= self.smoothing < 1:
            raise ValueError(f"smoothing is {self.smoothing}; it must be in [0, 1)")
        if self.patience is not None and self.patience < 1:
            raise ValueError(f"patience is {self.patience}; at least 1, or None, would fit")
        if self.vocabulary_chunk is not None and self.vocabulary_chunk < 1:
            raise ValueError(
                f"vocabulary_chunk is {self.vocabulary_chunk}; at least 1, or None, would fit"
            )
        if self.skip_limit < 0:
            raise ValueError(f"skip_limit is {self.skip_limit}; 0 or more would fit")
        if not 0 < self.grace < math.inf:
            raise ValueError(f"grace is {self.grace}; a number of seconds above 0 would fit")
        for name, fits in (
            ("rng", ("rbg", "threefry2x32")),
            ("compute", ("float32", "bfloat16")),
        ):
            if getattr(self, name) not in fits:
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}; {' or '.join(fits)} would fit"
                )
