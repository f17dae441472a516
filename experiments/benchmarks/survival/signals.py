"""Runs asked to stop at random moments: saved, soon, with an exit code, and the same in the end?"""

import random
import shutil
import signal
import statistics
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from attention_jax.training import checkpoint
from attention_jax.training.signals import SAVED
from experiments.benchmarks.survival.runs import (
    Course,
    Sitting,
    metrics_size,
    steps_done,
    trains,
)

SOON, AT_ONCE = 10.0, 1.0
"""seconds that one signal, and a second one, may take"""
STEPS = 300
LIVES = (("early", "SIGTERM", "rival"), ("SIGINT", "twice"), ("SIGTERM",), ("SIGTERM", "twice"))
"""what happens to a run before it may end; one after the other"""


def check(folder: Path, *, count: int, seed: int, workers: int = 2) -> dict[str, Any]:
    """Stops runs and goes on with them until they are done.

    Each run is asked once at a random moment of its training, one in four by Ctrl-C. Some are also
    stopped before their first step, or asked twice, or get a second process for their folder.

    Args:
      folder: for all files; runs that end well are removed.
      count: runs.
      seed: of the moments.
      workers: runs side by side.

    Returns:
      Figures; "broken" names each signal that was not answered as promised.
    """
    often = {"training_evaluate__every": 50, "training_checkpoint__every": 100}
    course = Course.run(folder / "course", training_steps=STEPS, **often)

    def one(number: int) -> _Stopped:
        stopped = _Stopped(course, folder / f"stopped-{number}", random.Random(f"{seed}-{number}"))
        stopped.live(LIVES[number % len(LIVES)])
        return stopped

    # A shell's background job ignores Ctrl-C, and so would all that it starts.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with ThreadPoolExecutor(workers) as pool:
            found = list(pool.map(one, range(count)))
    finally:
        signal.signal(signal.SIGINT, before)
    seconds = {kind: [s for one in found for k, s, _ in one.answers if k == kind] for kind in KINDS}
    codes = Counter(f"{kind}: {code}" for one in found for kind, _, code in one.answers)
    return {
        "runs": count,
        "ended with the same bits": sum(one.same for one in found),
        "exit codes": dict(sorted(codes.items())),
        "seconds to leave": {
            kind: {"median": statistics.median(taken), "most": max(taken), "times": len(taken)}
            for kind, taken in seconds.items()
            if taken
        },
        "broken": [problem for one in found for problem in one.broken],
    }


@dataclass
class _Stopped:
    """One run, and what was asked of it."""

    course: Course
    run: Path
    chance: random.Random
    answers: list[tuple[str, float, int]] = field(default_factory=list)
    """(what was asked, seconds until the process had ended, its exit code)"""
    broken: list[str] = field(default_factory=list)
    same: bool = False

    def live(self, life: tuple[str, ...]) -> None:
        """Does all this to the run, lets it end and looks at what it gave."""
        for kind in life:
            KINDS[kind](self)
        ended = self.course.start(self.run).end()
        self.same = not ended.code and not self.course.differences(self.run)
        if not self.same:
            self._broke(f"after {', '.join(life)}: {ended}")
        if not self.broken:
            shutil.rmtree(self.run)

    def terminate(self) -> None:
        """SIGTERM at a random moment of training."""
        self._ask("SIGTERM", signal.SIGTERM)

    def interrupt(self) -> None:
        """Ctrl-C at a random moment of training."""
        self._ask("SIGINT", signal.SIGINT)

    def early(self) -> None:
        """SIGTERM between the start of the process and about its first step."""
        sitting = self.course.start(self.run)
        sitting.lives(0.6 * self.course.seconds * self.chance.random())
        begun = time.monotonic()
        ended = sitting.end(signal.SIGTERM)
        seconds = self._answered("early", begun, ended.code)
        # Python itself dies of the signal while it imports.
        allowed = (SAVED,) if steps_done(self.run) else (SAVED, 143, -signal.SIGTERM)
        if ended.code not in allowed or seconds > SOON or not ended.clean:
            self._broke(f"SIGTERM before its steps, after {seconds:.1f} s: {ended}")

    def twice(self) -> None:
        """SIGTERM at a random moment of training, and again while that is being obeyed."""
        sitting = self._train()
        sitting.process.send_signal(signal.SIGTERM)
        sitting.lives(0.002 + 0.05 * self.chance.random())
        begun = time.monotonic()
        ended = sitting.end(signal.SIGTERM)
        seconds = self._answered("twice", begun, ended.code)
        # Where the first was obeyed before the second came, there is no more to do than to leave.
        most = {143: AT_ONCE, SAVED: SOON}.get(ended.code, 0.0)
        if seconds > most or not ended.clean:
            self._broke(f"a second SIGTERM, after {seconds:.1f} s: {ended}")

    def rival(self) -> None:
        """A second process for the folder, while the first one stands still in the middle."""
        sitting = self._train()
        sitting.process.send_signal(signal.SIGSTOP)
        try:
            begun = time.monotonic()
            ended = self.course.start(self.run).end()
        finally:
            sitting.process.send_signal(signal.SIGCONT)
        self._answered("rival", begun, ended.code)
        if ended.code != 2 or len(ended.lines) != 1 or "another process" not in ended.said:
            self._broke(f"a second process: {ended}")
        if (first := sitting.end()).code:
            self._broke(f"the first process, after a second was refused: {first}")

    def _train(self) -> Sitting:
        """A process that is at a random moment of its training."""
        sitting, whole = self.course.start(self.run), metrics_size(self.course.folder / "alone")
        sitting.reaches(trains(self.run))
        begun = metrics_size(self.run)
        wanted = begun + 0.95 * (whole - begun) * self.chance.random()
        sitting.reaches(lambda: metrics_size(self.run) >= wanted)
        return sitting

    def _ask(self, kind: str, number: int) -> None:
        sitting, begun = self._train(), time.monotonic()
        ended = sitting.end(number)
        seconds, done = self._answered(kind, begun, ended.code), steps_done(self.run)
        saved = max(checkpoint.finished(self.run / "checkpoints"), default=0)
        if ended.code != SAVED or seconds > SOON or saved != done or "Traceback" in ended.said:
            what = f"{kind} after step {done}, of which {saved} are saved, after {seconds:.1f} s"
            self._broke(f"{what}: {ended}")

    def _answered(self, kind: str, begun: float, code: int) -> float:
        self.answers.append((kind, time.monotonic() - begun, code))
        return self.answers[-1][1]

    def _broke(self, what: str) -> None:
        self.broken.append(f"{self.run.name}: {what}")


KINDS = {
    "early": _Stopped.early,
    "SIGTERM": _Stopped.terminate,
    "SIGINT": _Stopped.interrupt,
    "twice": _Stopped.twice,
    "rival": _Stopped.rival,
}
