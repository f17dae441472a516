"""What went wrong while a checkpoint was written, as one OSError of one line."""

import contextlib
import errno
import logging
import os
import shutil
import sys
from pathlib import Path
from typing import Any, NoReturn

_REASONS = {
    errno.ENOENT: "the folder is gone, and with it what was kept there; this checkpoint is not "
    "written",
    errno.EROFS: "the folder cannot be written to: this checkpoint could not be written; the last "
    "good one is kept and the same command goes on from it once it can",
    errno.ENOSPC: "the disk is full: this checkpoint could not be written; the last good one is "
    "kept and the same command goes on from it once there is room",
}
_FULL = ("no space left", "enospc", "resource_exhausted", "disk quota")
_GONE = ("not_found", "no such file")


def check_place(folder: Path, needed: int) -> None:
    """Refuses a folder that cannot take so many bytes now: gone, not to be written to, or full."""
    if not folder.is_dir():
        raise _refused(errno.ENOENT, folder)
    if not os.access(folder, os.W_OK):
        raise _refused(errno.EROFS, folder)
    if shutil.disk_usage(folder).free < needed:
        raise _refused(errno.ENOSPC, folder)


def as_os_error(error: BaseException, folder: Path) -> OSError:
    """Whatever a write raised as an OSError of one line."""
    _Left.behind = True
    if not folder.is_dir():
        return _refused(errno.ENOENT, folder)
    if not os.access(folder, os.W_OK):
        return _refused(errno.EROFS, folder)
    cause: BaseException | None = error
    while cause is not None:
        lost = getattr(cause, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
        if lost or any(word in str(cause).lower() for word in _FULL):
            return _refused(errno.ENOSPC, folder)
        lost = getattr(cause, "errno", None) == errno.ENOENT
        # There again all the same: the storage layer makes folders that it misses.
        if lost or any(word in str(cause).lower() for word in _GONE):
            return _refused(errno.ENOENT, folder)
        cause = cause.__cause__ or cause.__context__
    number = getattr(error, "errno", None) or errno.EIO
    return OSError(number, f"a checkpoint could not be written: {first_line(error)}", str(folder))


def _refused(number: int, folder: Path) -> OSError:
    return OSError(number, _REASONS[number], str(folder))


def first_line(error: BaseException) -> str:
    """The first line of what an error says, without the storage layer's own description."""
    lines = str(error).partition(" [tensorstore_spec")[0].strip().splitlines()
    return lines[0] if lines else type(error).__name__


def quieten() -> None:
    """Orbax logs each thread's part of a failure at length; it also raises it."""
    logging.getLogger("absl").addFilter(_not_orbax)
    logging.getLogger("asyncio").addFilter(_not_orbax)
    if sys.unraisablehook is not _without_late_threads:
        _Left.hook = sys.unraisablehook
        sys.unraisablehook = _without_late_threads


class _Left:
    """Of the process as a whole."""

    behind = False
    """threads may be left that wait for what will not come"""
    hook: Any = None
    """what `sys.unraisablehook` was before"""


def abandon() -> None:
    """`leave` will wait for nothing: others of this run, or of its threads, have ended already."""
    _Left.behind = True


def leave(code: int) -> NoReturn:
    """Ends the process with this exit code.

    After a write that failed, threads of the storage layer may wait for one another, for minutes,
    and Python waits for them. All that was to be kept is on the disk by then, or never will be.
    """
    if _Left.behind:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                stream.flush()
        os._exit(code)
    sys.exit(code)


def _without_late_threads(found: Any) -> None:
    """After a failure threads of the storage layer go on to report to a loop that has ended."""
    if not (
        isinstance(found.exc_value, RuntimeError) and "Event loop is closed" in str(found.exc_value)
    ):
        _Left.hook(found)


def _not_orbax(entry: logging.LogRecord) -> bool:
    return "orbax" not in entry.pathname and "tensorstore" not in entry.getMessage()
