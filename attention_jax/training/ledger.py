"""What a run remembers and writes down between steps: sums, lines, the best loss, checkpoints."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from attention_jax.training.checkpoint import Checkpoints
from attention_jax.training.log import Log
from attention_jax.training.metrics import perplexity
from attention_jax.training.optimizer import learning_rate
from attention_jax.training.step import Metrics, State
from attention_jax.training.training_config import TrainingConfig


class Diverged(ValueError):
    """A loss or a gradient stopped being a number."""


@dataclass
class Progress:
    """What a run must remember besides its state; saved with every checkpoint."""

    step: int = 0
    position: Any = None
    best_step: int | None = None
    best_loss: float | None = None
    bad: int = 0
    validated: int = 0
    """the step of the last validation"""
    skipped: int = 0
    """batches left out, because a number was not finite"""
    finished: bool = False
    seconds: float = 0.0
    tokens: int = 0
    # Sums since the last line of metrics.
    window: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, record: dict[str, Any]) -> "Progress":
        """What a checkpoint's record says.

        Raises:
          ValueError: it is not that of a run.
        """
        try:
            return cls(**record)
        except TypeError as error:
            raise ValueError(f"the record of a checkpoint is not that of a run: {error}") from None


@dataclass
class Ledger:
    """The books of one run, whoever takes its steps: alone or as one of a population."""

    config: TrainingConfig
    saver: Checkpoints
    log: Log
    progress: Progress
    compile_seconds: float = 0.0
    """goes into the next line of metrics"""
    saved: int | None = None
    """the step of the last checkpoint"""
    unit: str = "tokens"
    """what losses are means over"""
    likelihood: bool = True
    """losses are -log p, so that a perplexity tells something"""

    @property
    def line_due(self) -> bool:
        """Whether this step ends a line of metrics."""
        return self._due(self.config.log_every)

    @property
    def validation_due(self) -> bool:
        """Whether this step is followed by a validation that has not been made yet."""
        due = self.progress.step > 0 and self._due(self.config.evaluate_every)
        return due and self.progress.validated < self.progress.step

    @property
    def checkpoint_due(self) -> bool:
        """Whether this step's state is kept, better or not."""
        return self.progress.finished or self.progress.step % self.config.checkpoint_every == 0

    def add(self, found: Sequence[Metrics], seconds: float) -> None:
        """Adds up the metrics of steps that changed the state; they took so long."""
        progress = self.progress
        for one in found:
            tokens = float(one.tokens)
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

    def leave_out(self, step: int, one: Metrics, kept: Path | None = None) -> None:
        """Counts a batch whose loss or gradient is not finite, and that therefore changed nothing.

        Args:
          step: of the batch.
          one: what it gave.
          kept: where it can be looked at.

        Raises:
          Diverged: it is one more than may be left out.
        """
        config, loss, norm = self.config, float(one.loss), float(one.gradient_norm)
        what = f"loss is {loss}" if not math.isfinite(loss) else f"gradient's norm is {norm}"
        if self.progress.skipped >= config.skip_limit:
            after = f" after {self.progress.skipped} batches left out" * (config.skip_limit > 0)
            look = f"; `attention-jax replay {kept.parents[1]}` looks at the batch" if kept else ""
            raise Diverged(
                f"the {what} at step {step}{after}, which changed nothing{look}; a lower peak rate "
                f"than {config.optimizer.peak:g}, a longer warmup or clipping may help, and "
                "--training.skip-limit leaves such batches out"
            )
        self.progress.skipped += 1
        self.log.write(step, "skipped", loss=loss, gradient_norm=norm)

    def report(self) -> None:
        """One line of metrics of the steps since the last one."""
        window, config, done = self.progress.window, self.config, self.progress.step
        if "steps" not in window:  # all were left out
            return
        tokens = max(window["tokens"], 1.0)
        loss, speed = window["loss"] / tokens, window["tokens"] / window["seconds"]
        extra = self._perplexity(window["nll"], tokens)
        if self.compile_seconds:
            extra["compile_seconds"], self.compile_seconds = self.compile_seconds, 0.0
        self.log.write(
            done,
            "train",
            loss=loss,
            gradient_norm=window["norm"] / window["steps"],
            learning_rate=learning_rate(config.optimizer, config.steps, done - 1),
            **{f"{self.unit}_per_second": speed},
            **extra,
        )
        left = (config.steps - done) * self.progress.seconds / done
        self.log.progress(done, loss, f"{speed:,.0f} {self.unit}/s", left)
        window.clear()

    def judge(self, loss: float) -> bool:
        """Whether this validation loss is the best so far; the run may be finished by it."""
        progress, patience = self.progress, self.config.patience
        progress.validated = progress.step
        self.log.write(progress.step, "validation", loss=loss, **self._perplexity(loss, 1))
        best = math.inf if progress.best_loss is None else progress.best_loss
        better = math.isfinite(loss) and loss < best
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
        if self.saved == self.progress.step:  # asked to stop before the validation that is due
            return
        self.saved = self.progress.step
        self.progress.position = position
        self.log.sync()
        record = dict(self.progress.__dict__)
        self.saver.save(self.progress.step, state, record, best=self.progress.best_step)

    def _perplexity(self, nll: float, count: float) -> dict[str, float]:
        return {"perplexity": perplexity(nll, count)} if self.likelihood else {}

    def _due(self, every: int) -> bool:
        return self.progress.step % every == 0 or self.progress.step == self.config.steps
