"""Which parameters of a run: the best, the last, or the mean of the last."""

from pathlib import Path
from typing import Any, Literal

from attention_jax.training import checkpoint
from attention_jax.training.manifest import Damaged

Which = Literal["best", "last", "mean"]
"""the parameters: best by validation loss, the last, or the mean of the last checkpoints"""


def read_params(folder: Path, structs: Any, which: Which) -> Any:
    """The parameters that a run's folder holds.

    Args:
      folder: of the run, finished or not.
      structs: shapes and dtypes of the parameters.
      which: of them.

    Raises:
      ValueError: there is no such choice, or the folder does not hold it yet.
      Damaged: it is not what was written; the message says how to have it made again.
    """
    if which not in ("best", "last", "mean"):
        raise ValueError(f"which is {which!r}; best, last or mean would fit")
    try:
        if which == "mean":
            if not (folder / "mean").exists():
                raise ValueError(f"{folder} has no mean yet: its training is not finished")
            return checkpoint.read(folder / "mean", structs).state
        step = step_of(folder, which)
        return checkpoint.read(folder / "checkpoints" / str(step), structs, at="params").state
    except Damaged as error:
        finished = folder / "result.json"
        first = f"delete {finished}, and " if finished.exists() else ""
        raise Damaged(
            f"{error}; {first}`attention-jax train --run {folder}` makes it again"
        ) from error


def step_of(folder: Path, which: Which) -> int:
    """The training step of the parameters that `read_params` gives; the last one for the mean.

    Raises:
      ValueError: the folder has no checkpoint yet.
    """
    steps = checkpoint.finished(folder / "checkpoints")
    if not steps:
        raise ValueError(f"{folder} has no checkpoint yet")
    last = steps[-1]
    if which != "best":
        return last
    best = checkpoint.read_record(folder / "checkpoints" / str(last))["best_step"]
    return last if best is None else int(best)  # a number: the record is no place for a path
