"""What a run remembers and writes down between steps: sums, lines, the best loss, checkpoints."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from attention_jax.training.checkpoint import Checkpoints
from attention_jax.training.log import Log
from attention_jax.training.metrics import perplexity
from attention_jax.training.optimizer import learning_rate
from attention_jax.training.step import Metrics, State
from attention_jax.training.training_config import TrainingConfig


class Diverged(ValueError):
    """The loss stopped being a number."""


@dataclass
class Progress:
    """What a run must remember besides its state; saved with every checkpoint."""

    step: int = 0
    position: Any = None
    best_step: int | None = None
    best_loss: float | None = None
    bad: int = 0
    finished: bool = False
    seconds: float = 0.0
    tokens: int = 0
    # Sums since the last line of metrics.
    window: dict[str, float] = field(default_factory=dict)


@dataclass
class Ledger:
    """The books of one run, whoever takes its steps: alone or as one of a population."""

    config: TrainingConfig
    saver: Checkpoints
    log: Log
    progress: Progress
    compile_seconds: float = 0.0
    """goes into the next line of metrics"""

    @property
    def line_due(self) -> bool:
        """Whether this step ends a line of metrics."""
        return self._due(self.config.log_every)

    @property
    def validation_due(self) -> bool:
        """Whether this step is followed by a validation."""
        return self._due(self.config.evaluate_every)

    @property
    def checkpoint_due(self) -> bool:
        """Whether this step's state is kept, better or not."""
        return self.progress.finished or self.progress.step % self.config.checkpoint_every == 0

    def add(self, found: Sequence[Metrics], seconds: float) -> None:
        """Adds up the metrics of the last steps, the present one included; they took so long.

        Raises:
          Diverged: a loss is not finite.
        """
        progress = self.progress
        for offset, one in enumerate(found, 1 - len(found)):
            tokens = float(one.tokens)
            if not math.isfinite(one.loss):
                raise Diverged(
                    f"the loss is {one.loss} at step {progress.step + offset}; a lower peak rate "
                    f"than {self.config.optimizer.peak:g}, a longer warmup or clipping may help"
                )
            sums = {
                "loss": float(one.loss) * tokens,
                "nll": float(one.nll) * tokens,
                "tokens": tokens,
                "norm": float(one.gradient_norm),
                "steps": 1,
            }
            for name, value in sums.items():
                progress.window[name] = progress.window.get(name, 0.0) + value
            progress.tokens += int(tokens)
        progress.seconds += seconds
        progress.window["seconds"] = progress.window.get("seconds", 0.0) + seconds

    def report(self) -> None:
        """One line of metrics of the steps since the last one."""
        window, config, done = self.progress.window, self.config, self.progress.step
        tokens = max(window["tokens"], 1.0)
        loss, speed = window["loss"] / tokens, window["tokens"] / window["seconds"]
        extra = {}
        if self.compile_seconds:
            extra["compile_seconds"], self.compile_seconds = self.compile_seconds, 0.0
        self.log.write(
            done,
            "train",
            loss=loss,
            perplexity=perplexity(window["nll"], tokens),
            gradient_norm=window["norm"] / window["steps"],
            learning_rate=learning_rate(config.optimizer, config.steps, done - 1),
            tokens_per_second=speed,
            **extra,
        )
        left = (config.steps - done) * self.progress.seconds / done
        self.log.progress(done, loss, speed, left)
        window.clear()

    def judge(self, loss: float) -> bool:
        """Whether this validation loss is the best so far; the run may be finished by it."""
        progress, patience = self.progress, self.config.patience
        self.log.write(progress.step, "validation", loss=loss, perplexity=perplexity(loss, 1))
        better = loss < (math.inf if progress.best_loss is None else progress.best_loss)
        if better:
            progress.best_step, progress.best_loss = progress.step, loss
        progress.bad = 0 if better else progress.bad + 1
        out = patience is not None and progress.bad >= patience
        progress.finished = progress.step == self.config.steps or out
        return better

    def save(self, state: State, position: Any) -> None:
        """Starts writing a checkpoint; all lines up to it are on disk before.

        Args:
          state: the run's, after this step.
          position: of the batches, to go on from.
        """
        self.progress.position = position
        self.log.sync()
        record = dict(self.progress.__dict__)
        self.saver.save(self.progress.step, state, record, best=self.progress.best_step)

    def _due(self, every: int) -> bool:
        return self.progress.step % every == 0 or self.progress.step == self.config.steps
