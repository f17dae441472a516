"""The training loop, in one place: killed at any moment and resumed, it gives the same bits."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax

from attention_jax.data.batches import Batch, BatchPlan, train_iterator
from attention_jax.training import checkpoint
from attention_jax.training.checkpoint import Checkpoints
from attention_jax.training.environment import peak_memory
from attention_jax.training.log import Log
from attention_jax.training.metrics import perplexity
from attention_jax.training.optimizer import OptimizerConfig, learning_rate
from attention_jax.training.programs import Programs, compilations
from attention_jax.training.step import State


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
    rng: Literal["rbg", "threefry2x32"] = "rbg"
    """generator of dropout: the fastest, or the one that is the same on every device"""

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
        if self.rng not in ("rbg", "threefry2x32"):
            raise ValueError(f"rng is {self.rng!r}; rbg or threefry2x32 would fit")


class Diverged(ValueError):
    """The loss stopped being a number."""


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
            run = _Run(programs, config, validation, saver, log, progress, state)
            if not progress.finished:  # all programs before the first step: no step waits for one
                programs.compile(plan.shapes, validation[0].source.shape)
            run.compile_seconds = programs.seconds - spent
            run.train(plan, stop_after)
        if progress.finished:
            saver.wait()
            _write_mean(saver, programs.structs.params, config.average, folder)
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
    """One sitting of a run: the loop, and what it does between steps."""

    programs: Programs
    config: TrainingConfig
    validation: Sequence[Batch]
    saver: Checkpoints
    log: Log
    progress: Progress
    state: State
    pending: list[Any] = field(default_factory=list)
    began: float = 0.0
    compile_seconds: float = 0.0

    def train(self, plan: BatchPlan, stop_after: int | None) -> None:
        config, progress = self.config, self.progress
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
            done = progress.step
            last = done == config.steps
            if done % config.log_every == 0 or last:
                self._collect()
                self._report()
            better = False
            if done % config.evaluate_every == 0 or last:
                self._collect()
                better = self._validate()
                out = config.patience is not None and progress.bad >= config.patience
                progress.finished = last or out
            stop = done == stop_after
            if done % config.checkpoint_every == 0 or better or progress.finished or stop:
                self._collect()
                progress.position = batches.get_state()
                self._save()
            if stop:
                return

    def _collect(self) -> None:
        """Fetches pending metrics, which waits for the device, and adds them up."""
        progress = self.progress
        for offset, found in enumerate(jax.device_get(self.pending), 1 - len(self.pending)):
            tokens = float(found.tokens)
            if not math.isfinite(found.loss):
                raise Diverged(
                    f"the loss is {found.loss} at step {progress.step + offset}; a lower peak rate "
                    f"than {self.config.optimizer.peak:g}, a longer warmup or clipping may help"
                )
            sums = {
                "loss": float(found.loss) * tokens,
                "nll": float(found.nll) * tokens,
                "tokens": tokens,
                "norm": float(found.gradient_norm),
                "steps": 1,
            }
            for name, value in sums.items():
                progress.window[name] = progress.window.get(name, 0.0) + value
            progress.tokens += int(tokens)
        self.pending.clear()
        now = time.perf_counter()
        spent, self.began = now - self.began, now
        progress.seconds += spent
        progress.window["seconds"] = progress.window.get("seconds", 0.0) + spent

    def _report(self) -> None:
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

    def _validate(self) -> bool:
        """Whether the validation loss is the best so far."""
        progress = self.progress
        loss = self.programs.loss(self.state.params, self.validation)
        self.log.write(progress.step, "validation", loss=loss, perplexity=perplexity(loss, 1))
        better = loss < (math.inf if progress.best_loss is None else progress.best_loss)
        if better:
            progress.best_step, progress.best_loss = progress.step, loss
        progress.bad = 0 if better else progress.bad + 1
        self.began = time.perf_counter()
        return better

    def _save(self) -> None:
        """Starts writing a checkpoint; all lines up to it are on disk before."""
        self.log.sync()
        record = dict(self.progress.__dict__)
        self.saver.save(self.progress.step, self.state, record, best=self.progress.best_step)
        self.began = time.perf_counter()


def _begin(programs: Programs, saver: Checkpoints, seed: int) -> tuple[State, Progress]:
    if not saver.steps:
        return programs.start(seed), Progress()
    state, record = saver.load(programs.structs)
    # A copy: the first step uses its state up, and numpy's memory is not the device's to use.
    return jax.device_put(state, may_alias=False), Progress(**record)


def _write_mean(saver: Checkpoints, structs: Any, average: int, folder: Path) -> None:
    """The mean of the last regular checkpoints and the last one, where that is none of them."""
    steps = sorted({*saver.regular, max(saver.steps)})[-average:]
    trees = [saver.load(structs, step, at="params").state for step in steps]
    checkpoint.write(folder / "mean", checkpoint.mean(trees), {"steps": steps})
