"""The training loop, in one place: killed at any moment and resumed, it gives the same bits.

Of several processes all run it, step by step together; one of them writes.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from attention_jax.data.batches import part_of, train_iterator
from attention_jax.data.plan import Plan
from attention_jax.training import checkpoint, peers
from attention_jax.training.checkpoint import Checkpoints
from attention_jax.training.environment import peak_memory
from attention_jax.training.ledger import Diverged, Ledger, Progress
from attention_jax.training.log import Log
from attention_jax.training.manifest import Origin
from attention_jax.training.programs import AHEAD, Programs, compilations
from attention_jax.training.restore import Found
from attention_jax.training.signals import Asked, Signals
from attention_jax.training.step import Metrics, State
from attention_jax.training.training_config import TrainingConfig

__all__ = ["Diverged", "Fitted", "TrainingConfig", "fit"]

BAD = "bad"
"""folder inside a run's folder, with batches whose loss or gradient was not finite"""


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
    plan: Plan,
    validation: Sequence[Any],
    folder: Path,
    *,
    seed: int,
    quiet: bool = False,
    stop_after: int | None = None,
    origin: Origin | None = None,
    signals: Signals | None = None,
    begin: Callable[[State], State] | None = None,
) -> Fitted:
    """Trains from the folder's last sound checkpoint, or from the seed, to the end.

    Args:
      programs: of the model, made with this config's optimizer, steps, smoothing and rng.
      config: how.
      plan: the batches.
      validation: batches of one shape.
      folder: gets metrics.jsonl, checkpoints/ and, at the end, mean/; bad/ gets batches that gave
        no number, damaged/ checkpoints that are not what was written.
      seed: decides initial weights and dropout.
      quiet: shows nothing.
      stop_after: writes a checkpoint and stops at this step, as if killed right after it.
      origin: of the run: what its checkpoints are told from another's by.
      signals: when it was asked to stop, the last step is saved and training ends, unfinished.
      begin: from a fresh state, on the host, to the one that training begins with, such as
        `embeddings.starting`; not called where there is a checkpoint.

    Raises:
      Diverged: more losses or gradients are not finite than may be left out.
      ValueError: the checkpoints are another run's, or all of them are damaged.
      OSError: a checkpoint or a line could not be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    signals = signals or Signals()
    before, spent = compilations(), programs.seconds
    share, multiple = programs.share, programs.multiple
    held_out = [part_of(batch, *share, multiple=multiple) for batch in validation]
    keep, every = config.keep, config.checkpoint_every
    state, progress = _begin(programs, config, folder, seed, origin, begin)
    places = {"keep": keep, "every": every, "origin": origin}
    with Checkpoints(folder / "checkpoints", **places) as saver:
        metrics = folder / "metrics.jsonl" if peers.writes() else None
        done = progress.step
        with Log(metrics, step=done, steps=config.steps, quiet=quiet) as log:
            kind = {"unit": programs.unit, "likelihood": programs.likelihood}
            ledger = Ledger(config, saver, log, progress, saved=done or None, **kind)
            if not progress.finished:  # all programs before the first step: no step waits for one
                programs.compile(plan.blanks, validation[0])
                peers.barrier("compiled")  # between devices none waits long
            ledger.compile_seconds = programs.seconds - spent
            with signals.finishing():
                _Run(programs, plan, held_out, ledger, state, folder, signals).train(stop_after)
                saver.wait()
            signals.saved = progress.step > 0
        if progress.finished:
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
    plan: Plan
    validation: Sequence[Any]
    ledger: Ledger
    state: State
    folder: Path
    signals: Signals
    pending: list[tuple[Any, Metrics]] = field(default_factory=list)
    asked: deque[jax.Array] = field(default_factory=deque)
    began: float = 0.0

    def train(self, stop_after: int | None) -> None:
        ledger, progress, programs = self.ledger, self.ledger.progress, self.programs
        if progress.finished:
            return
        batches = train_iterator(self.plan, share=programs.share, multiple=programs.multiple)
        if progress.position is not None:
            batches.set_state(progress.position)
        self.began = time.perf_counter()
        if ledger.validation_due:  # not made before the run was asked to stop
            self._validate()
        while not progress.finished and not self._asked():
            self._step(next(batches))
            progress.step += 1
            if ledger.line_due:
                self._collect()
                ledger.report()
            better = False
            if ledger.validation_due:
                self._collect()
                better = self._validate()
            stop = progress.step == stop_after
            if ledger.checkpoint_due or better or stop:
                self._collect()
                ledger.save(programs.whole(self.state), batches.get_state())
                self.began = time.perf_counter()
            if stop:
                return
        if progress.step > 0:
            self._collect()
            ledger.save(programs.whole(self.state), batches.get_state())

    def _asked(self) -> bool:
        """Whether this run was asked to stop; of several processes any, told to all at once.

        The processes agree on the device, and read what they agreed on when the device is there, so
        that no step waits for it.
        """
        if peers.count() == 1:
            return self.signals.asked is not None
        self.asked.append(peers.most(self.signals.asked or 0))
        number = int(jax.device_get(self.asked.popleft())) if len(self.asked) > AHEAD else 0
        if number:
            self.signals.asked = number
        return number > 0

    def _check(self) -> None:
        if self._asked():
            raise Asked

    def _step(self, batch: Any) -> None:
        self.state, metrics = self.programs.step(self.state, batch)
        self.pending.append((batch, metrics))
        jax.block_until_ready(self.pending[-AHEAD:][0][1].loss)

    def _validate(self) -> bool:
        """Whether the loss is the best so far; not judged at all if asked to stop meanwhile."""
        try:
            better = self.ledger.judge(
                self.programs.loss(self.state.params, self.validation, between=self._check)
            )
        except Asked:
            better = False
        self.began = time.perf_counter()
        return better

    def _collect(self) -> None:
        """Fetches pending metrics, which waits for the device, and adds them up.

        After a batch that gave no number the device has changed nothing (`State.sound`): that batch
        is left out, if it may be, and those after it are run now.
        """
        while self.pending:
            found = jax.device_get([metrics for _, metrics in self.pending])
            good = sum(bool(metrics.sound) for metrics in found)
            now = time.perf_counter()
            self.ledger.add(found[:good], now - self.began)
            self.began = now
            left = [batch for batch, _ in self.pending[good:]]
            self.pending.clear()
            if left:
                self._leave_out(self.ledger.progress.step - len(left) + 1, found[good])
                for batch in left[1:]:
                    self._step(batch)

    def _leave_out(self, step: int, metrics: Metrics) -> None:
        state = _on_host(self.programs.whole(self.state))._replace(sound=np.asarray(True))
        kept = self.folder / BAD / str(step)
        # As text: JSON has no word for what is not finite.
        loss, norm = str(float(metrics.loss)), str(float(metrics.gradient_norm))
        record = {"step": step, "loss": loss, "gradient_norm": norm}
        tree = {"state": state, "batch": self.plan[step - 1]._asdict()}  # all processes' parts
        checkpoint.write(kept, tree, record, origin=self.ledger.saver.origin)
        self.ledger.leave_out(step, metrics, kept)
        self.state = self.programs.place(state._replace(step=np.asarray(state.step + 1, np.int32)))


def _begin(
    programs: Programs,
    config: TrainingConfig,
    folder: Path,
    seed: int,
    origin: Origin | None,
    begin: Callable[[State], State] | None,
) -> tuple[State, Progress]:
    every, average = config.checkpoint_every, config.average
    found = Found(folder, programs.structs, origin, every=every, average=average)
    step = found.newest()
    if step is None:
        state = programs.start(seed)
        if begin is not None:
            state = programs.place(begin(_on_host(programs.whole(state))))
        return state, Progress()
    state, record = found.take(step)
    return programs.place(state), Progress.of(record)


def _on_host(tree: Any) -> Any:
    """A tree in full, whoever holds its parts."""
    if peers.count() == 1:
        return jax.device_get(tree)
    from jax.experimental.multihost_utils import process_allgather

    return jax.tree.map(lambda leaf: np.asarray(process_allgather(leaf, tiled=True)), tree)


def write_mean(saver: Checkpoints, structs: Any, average: int, folder: Path) -> None:
    """The mean of the last regular checkpoints and the last one, where that is none of them."""
    steps = sorted({*saver.regular, max(saver.steps)})[-average:]
    trees = [saver.load(structs, step, at="params").state for step in steps]
    checkpoint.write(folder / "mean", checkpoint.mean(trees), {"steps": steps})
