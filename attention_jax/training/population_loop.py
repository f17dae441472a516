"""The training loop of a population: every member's folder becomes that of a run of its own.

Checkpoints are written by the rules of a single run, but all members write when one does: so there
is always a step that all of them have, to go on from. What no rule keeps goes again.
"""

import contextlib
import math
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
from attention_jax.training.manifest import Damaged, Origin
from attention_jax.training.population import PopulationPrograms
from attention_jax.training.programs import AHEAD, compilations
from attention_jax.training.restore import Found, drop
from attention_jax.training.signals import Asked, Signals
from attention_jax.training.step import Metrics, State
from attention_jax.training.training_config import TrainingConfig


class Member(NamedTuple):
    """One run of a population."""

    seed: int
    config: TrainingConfig
    plan: BatchPlan
    folder: Path
    origin: Origin | None = None


def fit_together(
    programs: PopulationPrograms,
    members: Sequence[Member],
    validation: Sequence[Batch],
    *,
    quiet: bool = False,
    stop_after: int | None = None,
    signals: Signals | None = None,
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
      signals: when it was asked to stop, the last step is saved and training ends, unfinished.

    Returns:
      For each member what training gave, or why it could not go on.

    Raises:
      ValueError: the checkpoints are another run's, or all of a member are damaged.
      OSError: a checkpoint or a line could not be written.
    """
    before, spent = compilations(), programs.seconds
    signals = signals or Signals()
    found = [
        Found(
            member.folder,
            programs.single.structs,
            member.origin,
            every=member.config.checkpoint_every,
            average=member.config.average,
        )
        for member in members
    ]
    start = common_step(found)
    with contextlib.ExitStack() as stack:
        ledgers, states = [], []
        for member, mine in zip(members, found, strict=True):
            ledger, state = _open(stack, programs, member, mine, start)
            ledgers.append(ledger)
            states.append(state)
        stacked = programs.stack(states)
        run = _Together(programs, members, validation, ledgers, stacked, quiet, signals)
        del states, stacked
        with signals.finishing():
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


def common_step(runs: Sequence[Found]) -> int:
    """The last step that all runs can go on from, what their results need included; else 0.

    Raises:
      Damaged: there would be one, but for damage.
    """
    steps = set.intersection(*(set(found.steps) for found in runs))
    for step in sorted(steps, reverse=True):
        if all(found.complete(step) for found in runs):
            return step
    for damage in (found.damage for found in runs if found.damage):
        raise Damaged(f"no step is left that all members could go on from: {damage[max(damage)]}")
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
    signals: Signals
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
        one = self.ledgers[0]  # all of them are at one step and have one schedule
        if one.validation_due:  # not made before the run was asked to stop
            self._validate()
        while (active := self.active) and self.signals.asked is None:
            self._step(programs.batch({seed: next(found) for seed, found in batches.items()}))
            for ledger in active.values():
                ledger.progress.step += 1
            one = next(iter(active.values()))
            if one.line_due:
                self._collect()
                self._report()
            better = False
            if one.validation_due:
                self._collect()
                better = self._validate()
            stop = one.progress.step == stop_after
            if better or stop or any(ledger.checkpoint_due for ledger in active.values()):
                self._collect()
                self._save(active, {seed: found.get_state() for seed, found in batches.items()})
            if stop:
                return
        if active and one.progress.step > 0:
            self._collect()
            self._save(active, {seed: found.get_state() for seed, found in batches.items()})

    def _step(self, batch: Any) -> None:
        self.state, metrics = self.programs.train(self.state, batch)
        self.pending.append(metrics)
        jax.block_until_ready(self.pending[-AHEAD:][0].loss)

    def _collect(self) -> None:
        """Fetches pending metrics, which waits for the devices, and shares them out."""
        found = [self.programs.unstack(metrics) for metrics in jax.device_get(self.pending)]
        self.pending.clear()
        now, active = time.perf_counter(), self.active
        for index, ledger in active.items():
            mine = [step[index] for step in found]
            good = sum(bool(metrics.sound) for metrics in mine)
            ledger.add(mine[:good], (now - self.began) / len(active))
            if good < len(mine):  # it changed nothing from then on; one alone cannot go back
                try:
                    ledger.leave_out(ledger.progress.step - len(mine) + good + 1, mine[good])
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
        try:
            losses = self.programs.losses(
                self.state.params, self.validation, between=self.signals.check
            )
        except Asked:
            return False
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
    stack: contextlib.ExitStack,
    programs: PopulationPrograms,
    member: Member,
    found: Found,
    start: int,
) -> tuple[Ledger, State]:
    """A member's books and state as they were after step `start`; what came later is dropped."""
    config, folder = member.config, member.folder
    folder.mkdir(parents=True, exist_ok=True)
    if start:
        state, record = found.take(start)
        progress = Progress.of(record)
    else:
        drop(folder, found.steps)
        state, progress = programs.single.start(member.seed), Progress()
    places = {"keep": config.keep, "every": config.checkpoint_every, "origin": member.origin}
    saver = stack.enter_context(Checkpoints(folder / "checkpoints", **places))
    metrics, steps = folder / "metrics.jsonl", config.steps
    log = stack.enter_context(Log(metrics, step=start, steps=steps, quiet=True))
    ledger = Ledger(config, saver, log, progress, saved=start or None)
    return ledger, jax.device_get(state)


def _common(progress: Progress) -> set[int]:
    """What stays until all members have written their next: this step, and the best until now."""
    return {step for step in (progress.step, progress.best_step) if step}


def _drop_unruled(member: Member, best: int | None) -> None:
    """Drops checkpoints that were held for the others' sake."""
    steps = checkpoint.finished(member.folder / "checkpoints")
    regular = [step for step in steps if step % member.config.checkpoint_every == 0]
    kept = {*regular[-member.config.keep :], *steps[-1:], best}
    drop(member.folder, [step for step in steps if step not in kept])
