"""A run's folder: whose it is, what is left of a run that never began, and whether it has room."""

import contextlib
import errno
import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from attention_jax import configs
from attention_jax.paths import check_links
from attention_jax.training.log import replace_file
from attention_jax.training.manifest import INCIDENTAL

LOCK = ".lock"
"""file inside a run's folder"""


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
    if not (folder / "config.json").exists() and any(map(_counts, folder.iterdir())):
        raise ValueError(
            f"{folder} is not empty and holds no run (no config.json); another folder would fit"
        )
    with _locked(folder), _taken(folder, mine, theirs, made):
        yield


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """The folder as one process's alone.

    By a file that is never replaced, as a lock is on what is open, and that is open to be written
    to, as NFS wants it.
    """
    path = folder / LOCK
    with contextlib.ExitStack() as stack:
        while True:
            try:
                folder.mkdir(parents=True, exist_ok=True)  # another may just have withdrawn
                file = stack.enter_context(open(path, "a", encoding="utf-8"))
            except FileNotFoundError:
                if path.is_symlink():
                    raise
                continue
            except OSError as error:
                if error.errno in (errno.EROFS, errno.EACCES):  # nothing is written here at all
                    break
                raise
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ValueError(f"another process is running {folder} at this moment") from error
            if path.exists() and os.fstat(file.fileno()).st_ino == path.stat().st_ino:
                break  # else a run that withdrew has deleted it meanwhile
        yield


@contextlib.contextmanager
def _taken(
    folder: Path, mine: Mapping[str, Any], theirs: Callable[[], Mapping[str, Any]], made: bool
) -> Iterator[None]:
    """The folder with this experiment's config.json in it."""
    path = folder / "config.json"
    fresh = rewrite = not path.exists()
    if not fresh:
        for name, here, there in configs.differences(mine, theirs()):
            if name not in INCIDENTAL:
                raise ValueError(
                    f"{folder} holds another run: {name} is {there!r} there and {here!r} here; "
                    "another folder, or the same value, would fit"
                )
            rewrite = rewrite or name.startswith("training.")
    try:
        if rewrite:
            replace_file(path, (json.dumps(mine, indent=2, allow_nan=False) + "\n").encode())
        yield
    except BaseException as error:
        if fresh and not (folder / "checkpoints").exists():
            _withdraw(folder, made)
        if isinstance(error, OSError) and error.errno == errno.ENOSPC and error.filename is None:
            error.filename = str(folder)  # a write to an open file does not say where
        raise


def _counts(path: Path) -> bool:
    """Whether this makes a folder another's; not what a write leaves in one deleted under it."""
    if path.name == "checkpoints":
        return not path.is_dir() or any(step.name.isdecimal() for step in path.iterdir())
    return path.name not in (LOCK, "config.json.tmp")


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
    (folder / LOCK).unlink(missing_ok=True)  # last: from now on the folder is anyone's
    if made:
        with contextlib.suppress(OSError):
            folder.rmdir()
