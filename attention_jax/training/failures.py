"""What went wrong while a checkpoint was written, as one OSError of one line."""

import errno
import logging
import os
import shutil
from pathlib import Path

_FULL = ("no space left", "enospc", "resource_exhausted", "disk quota")


def check_place(folder: Path, needed: int) -> None:
    """Refuses a folder that cannot take so many bytes now: gone, not to be written to, or full."""
    if not folder.is_dir():
        raise OSError(
            errno.ENOENT,
            "the folder is gone, and with it what was kept there; this checkpoint is not written",
            str(folder),
        )
    if not os.access(folder, os.W_OK):
        raise OSError(
            errno.EROFS,
            "the folder cannot be written to: this checkpoint could not be written; the last good "
            "one is kept and the same command goes on from it once it can",
            str(folder),
        )
    if shutil.disk_usage(folder).free < needed:
        raise full(folder)


def as_os_error(error: BaseException, folder: Path) -> OSError:
    """Whatever a write raised as an OSError of one line."""
    cause: BaseException | None = error
    while cause is not None:
        lost = getattr(cause, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
        if lost or any(word in str(cause).lower() for word in _FULL):
            return full(folder)
        cause = cause.__cause__ or cause.__context__
    number = getattr(error, "errno", None) or errno.EIO
    return OSError(number, f"a checkpoint could not be written: {first_line(error)}", str(folder))


def full(folder: Path) -> OSError:
    """The disk is full."""
    return OSError(
        errno.ENOSPC,
        "the disk is full: this checkpoint could not be written; the last good one is kept and the "
        "same command goes on from it once there is room",
        str(folder),
    )


def first_line(error: BaseException) -> str:
    """The first line of what an error says, without the storage layer's own description."""
    lines = str(error).partition(" [tensorstore_spec")[0].strip().splitlines()
    return lines[0] if lines else type(error).__name__


def quieten() -> None:
    """Orbax logs each thread's part of a failure at length; it also raises it."""
    logging.getLogger("absl").addFilter(_not_orbax)
    logging.getLogger("asyncio").addFilter(_not_orbax)


def _not_orbax(entry: logging.LogRecord) -> bool:
    return "orbax" not in entry.pathname and "tensorstore" not in entry.getMessage()
