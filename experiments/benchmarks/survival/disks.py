"""Disks that fill up, turn read-only or vanish under a run: is the last good step still there?"""

import contextlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from attention_jax.training import checkpoint
from experiments.benchmarks.survival.runs import (
    ROOT,
    Course,
    Ended,
    Sitting,
    in_a_save,
    state_of,
    trains,
)

SIZE = "20m"
"""of the disk that fills up"""
SAVE = 0.06
"""seconds from the first file of a checkpoint to about its last"""

_Case = Callable[[Course, Path, random.Random], Ended]


def check(folder: Path, *, count: int, seed: int) -> dict[str, Any]:
    """Takes the disk from under runs, gives it back, and goes on with them until they are done.

    It mounts file systems: as root, else in a namespace of its own (`unshare`), else not at all.

    Args:
      folder: for all files; runs that end well are removed.
      count: disks that fill up in the middle of a save; the other cases come a quarter as often.
      seed: of the moments.

    Returns:
      Figures; "broken" names each case that did not keep its promise. Only "skipped", with the
      reason, where nothing can be mounted.
    """
    folder.mkdir(parents=True, exist_ok=True)
    refused = _try_to_mount(folder / "trial")
    if refused is None:
        return _check(folder, count, seed)
    apart = ["unshare", "--map-root-user", "--mount"]
    if shutil.which("unshare") is None or subprocess.run([*apart, "true"]).returncode:
        return {"skipped": f"nothing can be mounted here: {refused}", "broken": []}
    command = [*apart, sys.executable, "-m", __name__, str(folder), str(count), str(seed)]
    path = {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=os.environ | path, stdout=subprocess.PIPE)
    done.check_returncode()
    return json.loads(done.stdout)


def _check(folder: Path, count: int, seed: int, workers: int = 2) -> dict[str, Any]:
    course = Course.run(
        folder / "course",
        model_width=64,
        model_feed__forward=128,
        training_steps=60,
        training_evaluate__every=10,
        training_checkpoint__every=4,
        training_keep=2,
        training_average=2,
    )
    often = {case: -(-count // share) for case, _, share in CASES}
    cases = [(case, words, number) for case, words, _ in CASES for number in range(often[case])]

    def one(case: tuple[_Case, str, int]) -> tuple[str, str | None]:
        happen, words, number = case
        run = folder / f"{happen.__name__.strip('_')}-{number}"
        ended = happen(course, run, random.Random(f"{seed}-{run.name}"))
        try:
            problem = _problem(course, run, ended, words)
        finally:
            _clear(run)
        said = (ended.lines or [""])[-1].replace(str(run), "RUN")
        return said, problem and f"{run.name}: {problem}"

    with ThreadPoolExecutor(workers) as pool:
        found = list(pool.map(one, cases))
    broken = [problem for _, problem in found if problem]
    return {
        "cases": dict(Counter((happen.__doc__ or "").rstrip(".") for happen, _, _ in cases)),
        "ended with the same bits": len(cases) - len(broken),
        "said": dict(Counter(said for said, _ in found).most_common()),
        "broken": broken,
    }


def _problem(course: Course, run: Path, ended: Ended, words: str) -> str | None:
    """What was not as promised about how a run ended, or goes on from there."""
    if ended.code != 2 or len(ended.lines) != 1 or not re.search(words, ended.said.lower()):
        return f"{ended}"
    if steps := checkpoint.finished(run / "checkpoints"):
        try:
            state_of(run, steps[-1])
        except ValueError as error:
            return f"the last good step cannot be read: {error}"
    again = course.start(run).end()
    if again.code or not again.clean:
        return f"{ended}, and then {again}"
    different = course.differences(run)
    return f"in the end it had other {', '.join(different)}" if different else None


def _filled(course: Course, run: Path, chance: random.Random) -> Ended:
    """A disk of 20 MB that fills up in the middle of a save."""
    _mount(run, "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs")
    sitting = _saving(course, run, chance)
    with contextlib.suppress(OSError), open(run / "filler", "wb", buffering=0) as file:
        while True:
            file.write(bytes(2**20))
    with contextlib.suppress(OSError), open(run / "filler", "ab", buffering=0) as file:
        while True:  # the last page too
            file.write(bytes(2**12))
    ended = sitting.end()
    (run / "filler").unlink()
    return ended


def _locked(course: Course, run: Path, chance: random.Random) -> Ended:
    """A folder that turns read-only in the middle of training."""
    sitting = _saving(course, run, chance)
    with _read_only(run):
        return sitting.end()


def _locked_before(course: Course, run: Path, chance: random.Random) -> Ended:
    """A folder that is read-only from the start, with half a run in it."""
    _saving(course, run, chance).end(9)
    with _read_only(run):
        return course.start(run).end()


def _deleted(course: Course, run: Path, chance: random.Random) -> Ended:
    """A folder that is deleted in the middle of training."""
    sitting = _saving(course, run, chance)
    if chance.random() < 0.5:
        run.rename(run.with_name("away"))  # all at once
        shutil.rmtree(run.with_name("away"))
    else:
        shutil.rmtree(run, ignore_errors=True)
    return sitting.end()


CASES = (
    (_filled, "full", 1),
    (_locked, "read-only|cannot be written to", 4),
    (_locked_before, "read-only|cannot be written to", 4),
    (_deleted, "gone", 4),
)
"""what happens to a disk, words of which one must be said, how much rarer than the first it is"""


def _saving(course: Course, run: Path, chance: random.Random) -> Sitting:
    """A process that writes a checkpoint, and not its first."""
    sitting = course.start(run)
    sitting.reaches(trains(run))
    wanted = course.options["training.steps"] * 0.7 * chance.random()
    sitting.reaches(lambda: max(checkpoint.finished(run / "checkpoints"), default=0) > wanted)
    old = in_a_save(run)
    sitting.reaches(lambda: in_a_save(run) - old)
    sitting.lives(SAVE * chance.random())
    return sitting


@contextlib.contextmanager
def _read_only(run: Path) -> Iterator[None]:
    """The folder again, over itself: files that are open stay as they are, names lead to here."""
    _mount(run, "--bind", str(run))
    try:
        # Refused while a file that was opened here since is written to.
        _insistently("mount", "-o", "remount,bind,ro", str(run))
        yield
    finally:
        _insistently("umount", str(run))


def _insistently(*command: str) -> None:
    """Runs a command until it succeeds, for some seconds."""
    for _ in range(200):
        if subprocess.run(command, capture_output=True).returncode == 0:
            return
        time.sleep(0.02)
    subprocess.run(command, check=True)


def _mount(where: Path, *arguments: str) -> None:
    where.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", *arguments, str(where)], check=True, capture_output=True, text=True)


def _clear(run: Path) -> None:
    if run.is_mount():
        _insistently("umount", str(run))
    shutil.rmtree(run, ignore_errors=True)


def _try_to_mount(trial: Path) -> str | None:
    """Why nothing can be mounted; None if it can."""
    try:
        _mount(trial, "-t", "tmpfs", "tmpfs")
        _mount(trial, "--bind", str(trial))
    except subprocess.CalledProcessError as error:
        return error.stderr.strip()
    except OSError as error:
        return str(error)
    subprocess.run(["umount", str(trial)], check=True)
    subprocess.run(["umount", str(trial)], check=True)
    return None


if __name__ == "__main__":
    print(json.dumps(_check(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
