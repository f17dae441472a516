"""Where a run goes on: its newest checkpoint that is sound, and all that its result still needs.

What is damaged is named and set aside, never deleted; what came after it is made again, bit for
bit, by training.
"""

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from attention_jax.training import checkpoint, peers
from attention_jax.training.checkpoint import Restored
from attention_jax.training.manifest import (
    Damaged,
    Origin,
    check_origin,
    other_versions,
    read_manifest,
)

DAMAGED = "damaged"
"""folder inside a run's folder"""


@dataclass
class Found:
    """The checkpoints of one run, each read once and no more of them than the answer needs.

    Args:
      folder: of the run.
      structs: shapes and dtypes of the state.
      origin: of the run that goes on.
      every: steps between regular checkpoints.
      average: how many regular ones the mean is of.
    """

    folder: Path
    structs: Any
    origin: Origin | None = None
    every: int = 1
    average: int = 1
    damage: dict[int, Damaged] = field(default_factory=dict, init=False)
    _sound: set[int] = field(default_factory=set, init=False)

    @property
    def steps(self) -> list[int]:
        """All steps with a checkpoint, damaged ones included."""
        return checkpoint.finished(self.folder / "checkpoints")

    def newest(self) -> int | None:
        """The newest step that can be gone on from; None without any checkpoint.

        That is the newest `complete` one, so that the run ends with the bits of one that was never
        damaged; without such a one it is the newest that is `sound`. Of several processes all come
        here, and look alike: Orbax counts what each of them reads.

        Raises:
          Damaged: all checkpoints are damaged; they are left where they are.
          ValueError: they are another run's, or not all processes see the same.
        """
        found = peers.gather(self._newest())
        if len(set(found)) > 1:
            raise ValueError(
                f"the newest sound checkpoint in {self.folder} is of step "
                f"{', '.join(map(str, found))} as the processes see it, in their order; a folder "
                "that all of them share would fit"
            )
        return found[0]

    def _newest(self) -> int | None:
        steps = self.steps
        for fits in (self.complete, self.sound):
            for step in reversed(steps):
                if fits(step):
                    return step
        if self.damage:
            raise Damaged(
                f"all {len(steps)} checkpoints in {self.folder / 'checkpoints'} are damaged; the "
                f"newest: {self.damage[max(self.damage)]}. A copy in its place, or another folder, "
                "would fit"
            )
        return None

    def complete(self, step: int) -> bool:
        """Whether this checkpoint, its best one and those of the mean until it are sound."""
        if not self.sound(step):
            return False
        steps = self.steps
        regular = [one for one in steps if one % self.every == 0 and one <= step]
        best = checkpoint.read_record(self._path(step)).get("best_step")
        needed = {*regular[-self.average :], *([] if best is None else [best])}
        return all(one in steps and self.sound(one) for one in sorted(needed))

    def sound(self, step: int) -> bool:
        """Whether this checkpoint is what was written; a foreign one is refused."""
        if step not in self.damage and step not in self._sound:
            try:
                path = self._path(step)
                check_origin(path, self.origin or {}, read_manifest(path).origin)
                checkpoint.read(path, self.structs)
                self._sound.add(step)
            except Damaged as error:
                self.damage[step] = error
        return step in self._sound

    def take(self, step: int) -> Restored:
        """The state of this step; what is damaged or came later is no checkpoint any more.

        Of several processes all come here, and each reads; one of them moves and drops.
        """
        if peers.writes():
            self._clear(step)
        peers.barrier("cleared")
        restored = checkpoint.read(self._path(step), self.structs)
        if restored.record.get("best_step") in self.damage:
            restored.record.update(best_step=None, best_loss=None)
        return restored

    def _clear(self, step: int) -> None:
        """Sets aside what is damaged and drops what came later, and says so."""
        for bad, error in self.damage.items():
            aside = self._set_aside(bad)
            _say(f"{error}: set aside in {aside}; going on from step {step}")
        drop(self.folder, [one for one in self.steps if one > step])
        found = read_manifest(self._path(step))
        if others := other_versions(self.origin or {}, found.origin):
            _say(
                f"{self._path(step)} was written with {', '.join(others)}; the last bits of what "
                "follows may be other than with those"
            )
        if found.record.get("best_step") in self.damage:
            _say("the best checkpoint was lost with it: from here on the best is looked for anew")

    def _path(self, step: int) -> Path:
        return self.folder / "checkpoints" / str(step)

    def _set_aside(self, step: int) -> Path:
        """Moves a checkpoint to where nothing looks for one."""
        (self.folder / DAMAGED).mkdir(exist_ok=True)
        aside, number = self.folder / DAMAGED / str(step), 1
        while aside.exists():
            number += 1
            aside = self.folder / DAMAGED / f"{step}-{number}"
        self._path(step).rename(aside)
        return aside


def drop(folder: Path, steps: Sequence[int]) -> None:
    """Deletes checkpoints of a run, each at once: half of one would be a damaged one."""
    for step in steps:
        aside = folder / f"dropped-{step}"
        if aside.exists():  # a kill came between the two
            shutil.rmtree(aside)
        (folder / "checkpoints" / str(step)).rename(aside)
        shutil.rmtree(aside)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
