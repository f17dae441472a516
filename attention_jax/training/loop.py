"""The training loop, in one place: killed at any moment and resumed, it gives the same bits."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import jax

from attention_jax.data.batches import Batch, BatchPlan, train_iterator
from attention_jax.training import checkpoint
from attention_jax.training.checkpoint import Checkpoints
from attention_jax.training.environment import peak_memory
from attention_jax.training.ledger import Diverged, Ledger, Progress
from attention_jax.training.log import Log
from attention_jax.training.programs import Programs, compilations
from attention_jax.training.step import State
from attention_jax.training.training_config import TrainingConfig

__all__ = ["Diverged", "Fitted", "TrainingConfig", "fit"]


class Fitted(NamedTuple):
    """What training gave, apart from the checkpoints."""

    step: int
    """steps done"""
    finished: bool
    """all steps are done, or patience ran out"""
    best_step: int | None
    best_loss: float | None
    """of validation, in nats a token"""
    train_seconds: float
    """in steps alone: no compilation, validation or checkpoint, all sittings together"""
    tokens: int
    """target tokens trained on"""
    compile_seconds: float
    """tracing and compiling in this sitting"""
    programs: int
    """what XLA compiled in this sitting"""
    peak_bytes: int
    peak_of: str
    """"device": the most that the accelerator held; "process": the most that the process held"""

    @property
    def tokens_per_second(self) -> float:
        """Target tokens a second of `train_seconds`."""
        return self.tokens / self.train_seconds if self.train_seconds else 0.0


def fit(
    programs: Programs,
    config: TrainingConfig,
    plan: BatchPlan,
    validation: Sequence[Batch],
    folder: Path,
    *,
    seed: int,
    quiet: bool = False,
    stop_after: int | None = None,
) -> Fitted:
    """Trains from the folder's last checkpoint, or from the seed, to the end.

    Args:
      programs: of the model, made with this config's optimizer, steps, smoothing and rng.
      config: how.
      plan: the batches.
      validation: batches of one shape.
      folder: gets metrics.jsonl, checkpoints/ and, at the end, mean/.
      seed: decides initial weights and dropout.
      quiet: shows nothing.
      stop_after: writes a checkpoint and stops at this step, as if killed right after it.

    Raises:
      Diverged: the loss is not finite.
      ValueError: the checkpoints are another model's.
      OSError: a checkpoint or a line could not be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    before, spent = compilations(), programs.seconds
    keep, every = config.keep, config.checkpoint_every
    with Checkpoints(folder / "checkpoints", keep=keep, every=every) as saver:
        state, progress = _begin(programs, saver, seed)
        metrics, done = folder / "metrics.jsonl", progress.step
        with Log(metrics, step=done, steps=config.steps, quiet=quiet) as log:
            ledger = Ledger(config, saver, log, progress)
            if not progress.finished:  # all programs before the first step: no step waits for one
                programs.compile(plan.shapes, validation[0].source.shape)
            ledger.compile_seconds = programs.seconds - spent
            _Run(programs, validation, ledger, state).train(plan, stop_after)
        if progress.finished:
            saver.wait()
            write_mean(saver, programs.structs.params, config.average, folder)
    memory, kind = peak_memory()
    return Fitted(
        progress.step,
        progress.finished,
        progress.best_step,
        progress.best_loss,
        progress.seconds,
        progress.tokens,
        programs.seconds - spent,
        compilations() - before,
        memory,
        kind,
    )


@dataclass
class _Run:
    """One sitting of a run: the loop."""

    programs: Programs
    validation: Sequence[Batch]
    ledger: Ledger
    state: State
    pending: list[Any] = field(default_factory=list)
    began: float = 0.0

    def train(self, plan: BatchPlan, stop_after: int | None) -> None:
        ledger, progress = self.ledger, self.ledger.progress
        if progress.finished:
            return
        batches = train_iterator(plan)
        if progress.position is not None:
            batches.set_state(progress.position)
        self.began = time.perf_counter()
        while not progress.finished:
            batch = next(batches)
            step = self.programs.train(batch.source.shape)
            self.state, metrics = step(self.state, batch)
            self.pending.append(metrics)
            progress.step += 1
            if ledger.line_due:
                self._collect()
                ledger.report()
            better = False
            if ledger.validation_due:
                self._collect()
                better = ledger.judge(self.programs.loss(self.state.params, self.validation))
                self.began = time.perf_counter()
            stop = progress.step == stop_after
            if ledger.checkpoint_due or better or stop:
                self._collect()
                ledger.save(self.state, batches.get_state())
                self.began = time.perf_counter()
            if stop:
                return

    def _collect(self) -> None:
        """Fetches pending metrics, which waits for the device, and adds them up."""
        found = jax.device_get(self.pending)
        self.pending.clear()
        now = time.perf_counter()
        self.ledger.add(found, now - self.began)
        self.began = now


def _begin(programs: Programs, saver: Checkpoints, seed: int) -> tuple[State, Progress]:
    if not saver.steps:
        return programs.start(seed), Progress()
    state, record = saver.load(programs.structs)
    # A copy: the first step uses its state up, and numpy's memory is not the device's to use.
    return jax.device_put(state, may_alias=False), Progress(**record)


def write_mean(saver: Checkpoints, structs: Any, average: int, folder: Path) -> None:
    """The mean of the last regular checkpoints and the last one, where that is none of them."""
    steps = sorted({*saver.regular, max(saver.steps)})[-average:]
    trees = [saver.load(structs, step, at="params").state for step in steps]
    checkpoint.write(folder / "mean", checkpoint.mean(trees), {"steps": steps})
