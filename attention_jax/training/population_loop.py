"""The training loop of a population: every member's folder becomes that of a run of its own.

Checkpoints are written by the rules of a single run, but all members write when one does: so there
is always a step that all of them have, to go on from. What no rule keeps goes again.
"""

import contextlib
import math
import shutil
import sys
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
from attention_jax.training.log import PATIENCE, Log
from attention_jax.training.loop import Fitted, write_mean
from attention_jax.training.population import PopulationPrograms
from attention_jax.training.programs import compilations
from attention_jax.training.step import Metrics, State
from attention_jax.training.training_config import TrainingConfig


class Member(NamedTuple):
    """One run of a population."""

    seed: int
    config: TrainingConfig
    plan: BatchPlan
    folder: Path


def fit_together(
    programs: PopulationPrograms,
    members: Sequence[Member],
    validation: Sequence[Batch],
    *,
    quiet: bool = False,
    stop_after: int | None = None,
) -> list[Fitted | Diverged]:
    """Trains all members from the last step that all of them have, or from their seeds, to the end.

    Each leaves what `fit` would have left, but for rounding; its times are its share of the
    population's. One whose loss is no number any more is left behind, and the others go on.

    Args:
      programs: of these members, in this order.
      members: unfinished runs whose configs differ in the peak rate alone.
      validation: batches of one shape.
      quiet: shows nothing.
      stop_after: writes checkpoints and stops at this step, as if killed right after it.

    Returns:
      For each member what training gave, or why it could not go on.

    Raises:
      ValueError: the checkpoints are another model's.
      OSError: a checkpoint or a line could not be written.
    """
    before, spent = compilations(), programs.seconds
    start = common_step([member.folder for member in members])
    with contextlib.ExitStack() as stack:
        ledgers, states = [], []
        for member in members:
            ledger, state = _open(stack, programs, member, start)
            ledgers.append(ledger)
            states.append(state)
        run = _Together(programs, members, validation, ledgers, programs.stack(states), quiet)
        states.clear()
        run.train(stop_after)
        for ledger, member in zip(ledgers, members, strict=True):
            ledger.saver.wait()
            if ledger.progress.finished:
                params = programs.single.structs.params
                write_mean(ledger.saver, params, member.config.average, member.folder)
    for ledger, member in zip(ledgers, members, strict=True):
        _drop_unruled(member, ledger.progress.best_step)
    memory, kind = peak_memory()
    seconds, made = (programs.seconds - spent) / len(members), compilations() - before
    return [
        run.lost.get(index)
        or Fitted(
            ledger.progress.step,
            ledger.progress.finished,
            ledger.progress.best_step,
            ledger.progress.best_loss,
            ledger.progress.seconds,
            ledger.progress.tokens,
            seconds,
            made,
            memory,
            kind,
        )
        for index, ledger in enumerate(ledgers)
    ]


def common_step(folders: Sequence[Path]) -> int:
    """The last step that all runs have a checkpoint of, their best until then included; else 0."""
    places = [folder / "checkpoints" for folder in folders]
    steps = [set(checkpoint.finished(place)) for place in places]
    for step in sorted(set.intersection(*steps), reverse=True):
        records = (checkpoint.read_record(place / str(step)) for place in places)
        bests = (record["best_step"] for record in records)
        if all(best is None or best in mine for best, mine in zip(bests, steps, strict=True)):
            return step
    return 0


@dataclass
class _Together:
    """One sitting of a population: the loop."""

    programs: PopulationPrograms
    members: Sequence[Member]
    validation: Sequence[Batch]
    ledgers: Sequence[Ledger]
    state: State
    quiet: bool
    lost: dict[int, Diverged] = field(default_factory=dict)
    pending: list[Metrics] = field(default_factory=list)
    began: float = 0.0
    said: float = -math.inf
    held: list[set[int]] = field(default_factory=list)

    @property
    def active(self) -> dict[int, Ledger]:
        """Those that still train; what the program computes for others is thrown away."""
        return {
            index: ledger
            for index, ledger in enumerate(self.ledgers)
            if index not in self.lost and not ledger.progress.finished
        }

    def train(self, stop_after: int | None) -> None:
        programs, compiled = self.programs, self.programs.seconds
        batches = {member.seed: train_iterator(member.plan) for member in self.members}
        for member, ledger in zip(self.members, self.ledgers, strict=True):
            if ledger.progress.position is not None:
                batches[member.seed].set_state(ledger.progress.position)
        programs.compile(self.state, self.members[0].plan.shapes, self.validation[0])
        for ledger in self.ledgers:
            ledger.compile_seconds = (programs.seconds - compiled) / len(self.ledgers)
        self.held = [_common(ledger.progress) for ledger in self.ledgers]
        self.began = time.perf_counter()
        while active := self.active:
            batch = programs.batch({seed: next(found) for seed, found in batches.items()})
            self.state, metrics = programs.train(self.state, batch)
            self.pending.append(metrics)
            for ledger in active.values():
                ledger.progress.step += 1
            one = next(iter(active.values()))  # all of them are at one step and have one schedule
            if one.line_due:
                self._collect()
                self._report()
            better, stop = False, one.progress.step == stop_after
            if one.validation_due:
                self._collect()
                better = self._validate()
            if better or stop or any(ledger.checkpoint_due for ledger in active.values()):
                self._collect()
                self._save(active, {seed: found.get_state() for seed, found in batches.items()})
            if stop:
                return

    def _collect(self) -> None:
        """Fetches pending metrics, which waits for the devices, and shares them out."""
        found = [self.programs.unstack(metrics) for metrics in jax.device_get(self.pending)]
        self.pending.clear()
        now, active = time.perf_counter(), self.active
        for index, ledger in active.items():
            try:
                ledger.add([step[index] for step in found], (now - self.began) / len(active))
            except Diverged as error:
                self.lost[index] = Diverged(f"{self.members[index].folder}: {error}")
        self.began = now

    def _report(self) -> None:
        active = self.active
        for ledger in active.values():
            ledger.report()
        now = time.monotonic()
        if self.quiet or not active or now - self.said < PATIENCE:
            return
        self.said = now
        one = next(iter(active.values()))
        done, steps = one.progress.step, one.config.steps
        seconds = sum(ledger.progress.seconds for ledger in active.values())
        print(
            f"step {done:,} of {steps:,}: {len(active)} models together, "
            f"{seconds / done * (steps - done):,.0f} s left",
            file=sys.stderr,
            flush=True,
        )

    def _validate(self) -> bool:
        """Whether a member's validation loss is its best so far."""
        losses = self.programs.losses(self.state.params, self.validation)
        better = [ledger.judge(losses[index]) for index, ledger in self.active.items()]
        self.began = time.perf_counter()
        return any(better)

    def _save(self, active: dict[int, Ledger], positions: dict[int, Any]) -> None:
        """Starts writing all members' checkpoints; none loses its last before all have theirs."""
        mine = {index: ledger for index, ledger in active.items() if index not in self.lost}
        for ledger in mine.values():
            ledger.saver.wait()
        states = self.programs.unstack(self.state)
        for index, ledger in mine.items():
            ledger.saver.keeper.held = self.held[index]
            ledger.save(states[index], positions[self.members[index].seed])
            self.held[index] = _common(ledger.progress)
        self.began = time.perf_counter()


def _open(
    stack: contextlib.ExitStack, programs: PopulationPrograms, member: Member, start: int
) -> tuple[Ledger, State]:
    """A member's books and state as they were after step `start`; what came later is dropped."""
    config, folder = member.config, member.folder
    folder.mkdir(parents=True, exist_ok=True)
    _drop(folder, [step for step in checkpoint.finished(folder / "checkpoints") if step > start])
    keep, every = config.keep, config.checkpoint_every
    saver = stack.enter_context(Checkpoints(folder / "checkpoints", keep=keep, every=every))
    if start:
        state, record = saver.load(programs.single.structs, start)
        progress = Progress(**record)
    else:
        state, progress = programs.single.start(member.seed), Progress()
    metrics, steps = folder / "metrics.jsonl", config.steps
    log = stack.enter_context(Log(metrics, step=start, steps=steps, quiet=True))
    return Ledger(config, saver, log, progress), jax.device_get(state)


def _common(progress: Progress) -> set[int]:
    """What stays until all members have written their next: this step, and the best until now."""
    return {step for step in (progress.step, progress.best_step) if step}


def _drop_unruled(member: Member, best: int | None) -> None:
    """Drops checkpoints that were held for the others' sake."""
    steps = checkpoint.finished(member.folder / "checkpoints")
    regular = [step for step in steps if step % member.config.checkpoint_every == 0]
    kept = {*regular[-member.config.keep :], *steps[-1:], best}
    _drop(member.folder, [step for step in steps if step not in kept])


def _drop(folder: Path, steps: Sequence[int]) -> None:
    for step in steps:
        aside = folder / f"dropped-{step}"  # at once: half a checkpoint would be a damaged one
        (folder / "checkpoints" / str(step)).rename(aside)
        shutil.rmtree(aside)
