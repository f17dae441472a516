"""Together or apart: whether a population beats separate runs here, decided by a measurement.

Few large operations suit an accelerator; a core that is busy anyway only pays for what the one
program does in excess. So both ways take a few steps in turn, as they would for the whole run.
"""

import contextlib
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import jax

from attention_jax import configs
from attention_jax.comparison.populations import Population, check
from attention_jax.comparison.workers import default_workers
from attention_jax.data import Tokenizer
from attention_jax.experiment import Experiment, Prepared, prepare, programs_of
from attention_jax.training.allocator import warmed
from attention_jax.training.environment import environment
from attention_jax.training.log import replace_file


@dataclass(frozen=True)
class Decision:
    """Whether to train as one program, and the figures behind it."""

    together: bool
    ratio: float | None
    """seconds together / seconds apart; None: not measured"""
    seconds_together: float | None
    """one step of all members as one program"""
    seconds_apart: float | None
    """one step of all members in worker processes"""
    members: int
    workers: int
    """processes side by side, if apart"""
    reason: str
    """in one sentence"""


class Way(NamedTuple):
    """One way to train all members."""

    together: bool
    workers: int
    """processes; each trains its members one after the other"""


class Taken(NamedTuple):
    """What a way took."""

    seconds: list[float]
    """a step of all members, round by round"""
    compile_seconds: float

    @property
    def median(self) -> float:
        """Seconds a step of all members."""
        return statistics.median(self.seconds)


def decide(
    members: Sequence[Experiment],
    prepared: Prepared,
    *,
    workers: int | None = None,
    rounds: int = 3,
    steps: int = 3,
    record: Path | None = None,
) -> Decision:
    """Whether the members train faster as one program or apart, in worker processes.

    Both ways take a few steps in turn, so that a slow minute of the machine hits both; compile time
    is apart. Members that cannot be one program are for workers, without a measurement.

    Args:
      members: as for `Population`.
      prepared: corpus and tokenizer of their data.
      workers: processes, if apart; None takes `default_workers`.
      rounds: of both ways.
      steps: of each way in a round.
      record: gets the decision, versions and device as JSON.
    """
    count = min(workers or default_workers(), len(members))
    try:
        check(members)
    except ValueError as error:
        decision = Decision(False, None, None, None, len(members), count, f"apart: {error}")
    else:
        ways = {"together": Way(True, 1), "apart": Way(False, count)}
        taken = measure(members, prepared, ways, rounds=rounds, steps=steps)
        one, other = taken["together"].median, taken["apart"].median
        reason = (
            f"a step of {len(members)} models takes {one:.3g} s as one program and {other:.3g} s "
            f"in {count} process{'es' * (count > 1)}, {one / other:.2f} times as long"
        )
        decision = Decision(one < other, one / other, one, other, len(members), count, reason)
    if record is not None:
        found = dataclasses.asdict(decision) | {"environment": environment()}
        record.parent.mkdir(parents=True, exist_ok=True)
        replace_file(record, (json.dumps(found, indent=2, allow_nan=False) + "\n").encode())
    return decision


def measure(
    members: Sequence[Experiment],
    prepared: Prepared,
    ways: Mapping[str, Way],
    *,
    rounds: int,
    steps: int,
    between: Callable[[str], None] = lambda _: None,
) -> dict[str, Taken]:
    """How long a step of all members takes, each way; the ways take turns, in fresh processes.

    Args:
      members: as for `Population`.
      prepared: corpus and tokenizer of their data.
      ways: by name.
      rounds: that count; one more goes before, to warm up.
      steps: of each way in a round.
      between: is told the name of the way that begins, "" at the end.

    Raises:
      ValueError: a process failed; the message has its last line.
    """
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        prepared.tokenizer.save(folder / "tokenizer.json")
        teams = {
            name: [
                stack.enter_context(_Process(share, way, steps, folder))
                for share in _shares(members, way.workers)
            ]
            for name, way in ways.items()
        }
        ready = {name: [process.answer() for process in team] for name, team in teams.items()}
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(1 + rounds):
            for name, team in teams.items():
                between(name)
                for process in team:
                    process.go()
                seconds[name].append(max(process.answer() for process in team) / steps)
        between("")
    return {name: Taken(seconds[name][1:], max(ready[name])) for name in ways}


def _shares(members: Sequence[Experiment], count: int) -> list[list[Experiment]]:
    """Members by process; those of one program to one process, as `Workers` has it."""
    programs = list(dict.fromkeys(replace(one, name="", seed=0) for one in members))
    if len(programs) < count:
        return [list(members[index::count]) for index in range(count)]
    places = [programs.index(replace(one, name="", seed=0)) % count for one in members]
    pairs = list(zip(members, places, strict=True))
    return [[one for one, place in pairs if place == index] for index in range(count)]


class _Process(contextlib.AbstractContextManager):
    """A process that takes steps when told to."""

    def __init__(self, members: Sequence[Experiment], way: Way, steps: int, folder: Path):
        # Side by side on one accelerator, no process may take all of its memory at once.
        variables = {**warmed(), "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
        if way.workers > 1:
            flags = variables.get("XLA_FLAGS", "")
            variables["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false".strip()
        self.log = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by `__exit__`
        self.process = subprocess.Popen(
            [sys.executable, "-m", "attention_jax.comparison.together"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            env=variables,
        )
        order = {
            "members": [configs.to_json(one) for one in members],
            "tokenizer": str(folder / "tokenizer.json"),
            "together": way.together,
            "steps": steps,
        }
        self._say(json.dumps(order))

    def __exit__(self, *_: Any) -> None:
        self.process.terminate()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.log):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def go(self) -> None:
        """Starts the next steps."""
        self._say("go")

    def answer(self) -> float:
        """The seconds that the last order took."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.log.seek(0)
            tail = self.log.read().decode("utf-8", "replace").strip().splitlines()[-1:]
            raise ValueError(f"a process of the measurement ended: {' '.join(tail)}")
        return float(line)

    def _say(self, line: str) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # `answer` tells why
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()


def take_steps() -> None:
    """A process of `measure`: reads its order from standard input, says how long steps take."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever else prints goes to the log
    order = json.loads(sys.stdin.readline())
    members = [configs.from_json(Experiment, one) for one in order["members"]]
    prepared = prepare(members[0].data, Tokenizer.load(Path(order["tokenizer"])))
    began = time.perf_counter()
    make = _together if order["together"] else _apart
    step = make(members, prepared)
    jax.block_until_ready(step(0))
    print(time.perf_counter() - began, file=answers, flush=True)
    done = 1
    for _ in sys.stdin:
        began = time.perf_counter()
        for _ in range(order["steps"]):
            found = step(done)
            done += 1
        jax.block_until_ready(found)
        print(time.perf_counter() - began, file=answers, flush=True)


Step = Callable[[int], Any]
"""takes step number n of all members and gives something that is ready when it is done"""


def _together(members: Sequence[Experiment], prepared: Prepared) -> Step:
    programs = Population(members, prepared).programs
    plans = {one.seed: prepared.plan(one.seed) for one in members}
    state = programs.stack([jax.device_get(programs.single.start(one.seed)) for one in members])

    def step(number: int) -> Any:
        nonlocal state
        batch = programs.batch({seed: plan[number] for seed, plan in plans.items()})
        state, metrics = programs.train(state, batch)
        return metrics

    return step


def _apart(members: Sequence[Experiment], prepared: Prepared) -> Step:
    programs = [programs_of(one, prepared.tokenizer) for one in members]
    plans = {one.seed: prepared.plan(one.seed) for one in members}
    states = [own.start(one.seed) for own, one in zip(programs, members, strict=True)]

    def step(number: int) -> Any:
        every = []
        for index, one in enumerate(members):
            batch = plans[one.seed][number]
            states[index], metrics = programs[index].step(states[index], batch)
            every.append(metrics)
        return every

    return step


if __name__ == "__main__":
    take_steps()
