"""A run's folder: whose it is, what is left of a run that never began, and whether it has room."""

import contextlib
import errno
import fcntl
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from attention_jax import configs
from attention_jax.paths import check_links
from attention_jax.training.log import replace_file


@contextlib.contextmanager
def claimed(
    folder: Path, mine: Mapping[str, Any], theirs: Callable[[], Mapping[str, Any]]
) -> Iterator[None]:
    """The folder as one experiment's alone, from its config.json on.

    What fails before the first step, such as data that are refused, leaves a new folder as it was,
    so that it takes the corrected experiment.

    Args:
      folder: new or empty, or that of this very experiment.
      mine: the experiment as JSON.
      theirs: reads that of the folder, if it has a config.json.

    Raises:
      ValueError: the folder is another's, or in use, or a link in it leads out of it.
      OSError: it cannot be written.
    """
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    check_links(folder)
    path = folder / "config.json"
    fresh = not path.exists()
    if not fresh:
        for name, here, there in configs.differences(mine, theirs()):
            if name == "data.cache":  # where sets are kept changes nothing about them
                continue
            raise ValueError(
                f"{folder} holds another run: {name} is {there!r} there and {here!r} here; "
                "another folder, or the same value, would fit"
            )
    elif any(other.name != "config.json.tmp" for other in folder.iterdir()):
        raise ValueError(
            f"{folder} is not empty and holds no run (no config.json); another folder would fit"
        )
    try:
        if fresh:
            replace_file(path, (json.dumps(mine, indent=2, allow_nan=False) + "\n").encode())
        with open(path, encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                fresh = False  # the other's by now
                raise ValueError(f"another process is running {folder} at this moment") from error
            yield
    except BaseException as error:
        if fresh and not (folder / "checkpoints").exists():
            _withdraw(folder, made)
        if isinstance(error, OSError) and error.errno == errno.ENOSPC and error.filename is None:
            error.filename = str(folder)  # a write to an open file does not say where
        raise


def check_room(folder: Path, keep: int, parameters: int) -> None:
    """Refuses to start what the disk cannot hold: parameters and Adam's moments, several times."""
    needed = int((keep + 2) * 3 * 4 * parameters * 1.5)
    # Those that are there already make room for the next ones.
    needed -= sum(path.stat().st_size for path in (folder / "checkpoints").rglob("*"))
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(
            errno.ENOSPC,
            f"the disk has {free / 1e6:,.1f} MB left; the checkpoints may need "
            f"{needed / 1e6:,.1f} MB (--training.keep says how many stay)",
            str(folder),
        )


def _withdraw(folder: Path, made: bool) -> None:
    """Takes back what a run wrote before its first step."""
    for name in ("config.json", "environment.json", "tokenizer.json", "quarantine.jsonl"):
        for path in (folder / name, folder / f"{name}.tmp"):
            path.unlink(missing_ok=True)
    if made:
        with contextlib.suppress(OSError):
            folder.rmdir()
