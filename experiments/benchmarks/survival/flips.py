"""Single bits flipped in the files of checkpoints: is every changed value refused, and gone on?"""

import contextlib
import io
import os
import random
import shutil
import signal
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from attention_jax.experiment import read_config
from attention_jax.training import checkpoint
from attention_jax.training.restore import DAMAGED, Found
from experiments.benchmarks.survival.runs import Course, programs, state_of

TRAINED = 100
"""of so many flips, one of each fate is followed by the whole training"""


class Flip(NamedTuple):
    """One bit of one file."""

    file: Path
    """from the run's folder on"""
    position: int
    bit: int

    @property
    def step(self) -> int:
        """Whose checkpoint it is in."""
        return int(self.file.parts[1])

    @property
    def kind(self) -> str:
        """What sort of file it is in; names that are digests are left out."""
        named = [part for part in self.file.parts[2:] if len(part) != 32]
        return "/".join([*named, *["*"] * (len(named) < len(self.file.parts) - 2)])

    def do(self, run: Path) -> None:
        """Flips it in a copy of the file, which may be shared with other folders."""
        found = bytearray((run / self.file).read_bytes())
        found[self.position] ^= 1 << self.bit
        (run / self.file).unlink()
        (run / self.file).write_bytes(found)


def check(folder: Path, *, count: int, seed: int) -> dict[str, Any]:
    """Flips bits, one at a time, in the checkpoints of a killed run, and goes on with each.

    Each file of each checkpoint gets a flip; the other flips choose their file by its size. What
    follows a flip is the restoring that every run begins with; for one in a hundred of each fate it
    is the real command, to the end.

    Args:
      folder: for all files.
      count: flips.
      seed: of their places.

    Returns:
      Figures; "broken" names each flip that changed a value in silence, or was not gone on from.
    """
    often = {"training_evaluate__every": 10, "training_checkpoint__every": 4}
    course = Course.run(folder / "course", training_steps=40, **often)
    killed = _killed_run(course, folder / "killed")
    known = {step: state_of(killed, step) for step in checkpoint.finished(killed / "checkpoints")}
    chance = random.Random(seed)
    fates: dict[Flip, str] = {}
    for flip in _flips(killed, count, chance):
        fates[flip] = _fate(killed, folder / "flipped", flip, known)
    broken = [f"{fate}: {flip}" for flip, fate in fates.items() if fate not in _GOOD]
    trained = []
    for fate in _GOOD:
        these = [flip for flip in fates if fates[flip] == fate]
        trained += chance.sample(these, min(len(these), -(-count // TRAINED)))
    for flip in trained:
        run = _copy(killed, folder / "trained", flip)
        ended = course.start(run).end()
        if ended.code or not ended.clean:
            broken.append(f"after {flip} training gave {ended}")
        elif different := course.differences(run):
            broken.append(f"after {flip} training ended with other {', '.join(different)}")
        elif (fates[flip] == _REFUSED) != (run / DAMAGED / str(flip.step)).is_dir():
            broken.append(f"after {flip}, {fates[flip]} at first, training gave {ended}")
    files = Counter(f"{flip.kind}: {fate}" for flip, fate in fates.items())
    return {
        "flips": len(fates),
        "fates": dict(Counter(fates.values()).most_common()),
        "fates by file": dict(sorted(files.items())),
        "trained to the end": len(trained),
        "broken": broken,
    }


_SAME, _REFUSED, _UNREAD = "all values as they were", "refused", "refused, but not needed"
_GOOD = (_REFUSED, _SAME, _UNREAD)


def _killed_run(course: Course, run: Path) -> Path:
    """A run killed after most of its steps; the best checkpoint is not the newest."""
    sitting, wanted = course.start(run), 24
    sitting.reaches(lambda: max(checkpoint.finished(run / "checkpoints"), default=0) >= wanted)
    if sitting.end(signal.SIGKILL).code != -signal.SIGKILL:
        raise RuntimeError("the run was too fast to be killed")
    return run


def _flips(run: Path, count: int, chance: random.Random) -> list[Flip]:
    steps = checkpoint.finished(run / "checkpoints")
    folders = [run / "checkpoints" / str(step) for step in steps]
    sizes = {
        path.relative_to(run): path.stat().st_size
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.stat().st_size
    }
    files = chance.sample(list(sizes), min(count, len(sizes)))
    files += chance.choices(list(sizes), list(sizes.values()), k=count - len(files))
    found: dict[Flip, None] = {}  # in order, and none twice
    for file in files:
        while (flip := Flip(file, chance.randrange(sizes[file]), chance.randrange(8))) in found:
            pass
        found[flip] = None
    return list(found)


def _fate(killed: Path, run: Path, flip: Flip, known: dict[int, Any]) -> str:
    """What became of a run after a flip: one of `_GOOD`, or what should not be."""
    _copy(killed, run, flip)
    try:
        fate = _SAME if state_of(run, flip.step) == known[flip.step] else "other values"
    except ValueError:
        fate = _REFUSED
    except Exception as error:
        return f"read with {error!r}"
    training = read_config(run).training
    every, average = training.checkpoint_every, training.average
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # what is set aside is said
            found = Found(run, programs(run).structs, every=every, average=average)
            step = found.newest()
            state = None if step is None else found.take(step)
    except Exception as error:
        return f"gone on with {error!r}"
    if step is None or state is None:
        return "begun anew"
    digest, record = known[step]
    if record["best_step"] == flip.step in found.damage:  # lost with its checkpoint
        record = record | {"best_step": None, "best_loss": None}
    if (checkpoint.digest(state.state), state.record) != (digest, record):
        return "gone on with other values"
    if fate == _REFUSED:
        return _gone_on(flip, found, step, max(known))
    return "refused without a reason" if fate == _SAME and step != max(known) else fate


def _gone_on(flip: Flip, found: Found, step: int, newest: int) -> str:
    if step == flip.step:
        return "gone on from what was refused"
    if flip.step in found.damage:
        return _REFUSED
    return _UNREAD if step == newest else "an earlier step without a reason"


def _copy(killed: Path, run: Path, flip: Flip) -> Path:
    shutil.rmtree(run, ignore_errors=True)
    shutil.copytree(killed, run, copy_function=os.link)
    for path in run.iterdir():  # what a run writes to in place
        if path.is_file():
            copy = Path(shutil.copy2(path, path.with_name("copy")))
            copy.replace(path)
    flip.do(run)
    return run
