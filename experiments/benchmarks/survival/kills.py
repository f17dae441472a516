"""Runs killed with SIGKILL again and again, and gone on with: do they end with the same bits?"""

import random
import shutil
import signal
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from attention_jax.training import checkpoint
from experiments.benchmarks.survival.runs import Course, Ended, Sitting, in_a_save, trains

MOST = 3
"""kills of one run"""
SAVE = 0.08
"""seconds from the first file of a checkpoint to beyond its last"""
TRAINING = 0.4
"""share of a run's time that its steps take, the rest being its start and its end"""


def check(folder: Path, *, count: int, seed: int, workers: int = 2) -> dict[str, Any]:
    """Kills runs at random moments until they are done, and compares them with one left alone.

    A third of the kills fall anywhere in the life of a process, its imports included, the others
    while it trains, half of these just after a checkpoint was begun.

    Args:
      folder: for all files; runs that end well are removed.
      count: runs, each killed 1 to 3 times.
      seed: of the moments.
      workers: runs side by side.

    Returns:
      Figures; "broken" names each run that did not end with the same bits.
    """
    often = {"training_evaluate__every": 5, "training_checkpoint__every": 3}
    course = Course.run(folder / "course", training_steps=60, **often)

    def one(number: int) -> tuple[str | None, list[str]]:
        # Each tenth compiles its programs anew in each of its processes.
        killed = _Killed(course, folder / f"killed-{number}", number % 10 != 9)
        return killed.until_done(random.Random(f"{seed}-{number}"))

    with ThreadPoolExecutor(workers) as pool:
        found = list(pool.map(one, range(count)))
    broken = [problem for problem, _ in found if problem]
    kills = Counter(moment for _, moments in found for moment in moments)
    return {
        "runs": count,
        "ended with the same bits": count - len(broken),
        "kills": kills.total(),
        "kills by moment": dict(kills.most_common()),
        "compared": list(course.wanted),
        "broken": broken,
    }


class _Killed:
    """One run, and how it is killed."""

    def __init__(self, course: Course, run: Path, cached: bool):
        self.course, self.run, self.cached = course, run, cached

    def until_done(self, chance: random.Random) -> tuple[str | None, list[str]]:
        """(what went wrong, the moments of the kills)."""
        moments: list[str] = []
        while not moments:  # a run too fast for its first kill begins again
            shutil.rmtree(self.run, ignore_errors=True)
            for _ in range(chance.randint(1, MOST)):
                ended, moment = self._killed(chance)
                if ended.code != -signal.SIGKILL:
                    break
                moments.append(moment)
            else:
                ended = self.course.start(self.run, cached=self.cached).end()
            if ended.code or not ended.clean:
                return f"{self.run.name}, killed {moments}: {ended}", moments
        if different := self.course.differences(self.run):
            return f"{self.run.name}, killed {moments}: other {', '.join(different)}", moments
        shutil.rmtree(self.run)
        return None, moments

    def _killed(self, chance: random.Random) -> tuple[Ended, str]:
        """How a process ended that was killed at a random moment, and where it was."""
        sitting, old = self.course.start(self.run, cached=self.cached), in_a_save(self.run)
        kind = chance.choice(("anywhere", "training", "save"))
        if kind == "anywhere":
            sitting.lives(1.2 * self.course.seconds * chance.random())
        elif sitting.reaches(trains(self.run)):
            # What is left of the steps gets shorter from kill to kill.
            steps = self.course.options["training.steps"]
            left = 1 - max(checkpoint.finished(self.run / "checkpoints"), default=0) / steps
            sitting.lives(TRAINING * self.course.seconds * left * chance.random())
            if kind == "save":
                self._reach_a_save(sitting, chance)
        ended = sitting.end(signal.SIGKILL)
        return ended, self._moment(old)

    def _reach_a_save(self, sitting: Sitting, chance: random.Random) -> None:
        old = in_a_save(self.run)
        if sitting.reaches(lambda: in_a_save(self.run) - old):
            sitting.lives(SAVE * chance.random())

    def _moment(self, old: set[tuple[str, int]]) -> str:
        """Where a run was when it was killed, by what it left."""
        if in_a_save(self.run) - old:
            return "in a save"
        if not (self.run / "config.json").exists():
            return "before its folder was there"
        if any(self.run.glob("mean*")):
            return "after the last step"
        if checkpoint.finished(self.run / "checkpoints"):
            return "between saves"
        return "before the first checkpoint"
