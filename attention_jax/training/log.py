"""What a run reports: metrics as JSON lines in a file, and a live line for whoever watches."""

import json
import math
import os
import sys
import time
from pathlib import Path
from typing import Any, TextIO

PATIENCE = 30.0
"""seconds between lines where there is no terminal"""


class Log:
    """Appends metrics to a file of JSON lines, one flushed line an entry, and shows progress.

    Args:
      path: the file; lines of steps past `step` are dropped, so that a resumed run leaves the file
        of one uninterrupted run. None, of a process that leaves it to another: nothing is written
        or shown.
      step: steps done already.
      steps: of the whole run.
      quiet: shows nothing.
      stream: where progress is shown; a terminal gets a live line, all else a line now and then.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        step: int = 0,
        steps: int = 0,
        quiet: bool = False,
        stream: TextIO | None = None,
    ):
        quiet = quiet or path is None
        if path is not None:
            keep_until(path, step)
        # SIM115: closed by `close`
        self._file = None if path is None else open(path, "a", encoding="utf-8")  # noqa: SIM115
        self._stream = stream or sys.stderr
        self._quiet, self._steps = quiet, steps
        self._shown = -math.inf
        self._live = None
        if not quiet and self._stream.isatty():
            self._live = _live_line(self._stream, step, steps)

    def __enter__(self) -> "Log":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def write(self, step: int, split: str, **values: float) -> None:
        """One line: step, split and values; numbers that JSON has no word for become null."""
        if self._file is not None:
            line = {"step": step, "split": split} | {k: finite(v) for k, v in values.items()}
            self._file.write(json.dumps(line, allow_nan=False) + "\n")
            self._file.flush()
        if split != "train":
            self.say(f"step {step:,}: {split} " + ", ".join(_shown(values)))

    def progress(self, step: int, loss: float, speed: str, left: float) -> None:
        """Shows where the run stands; `left` is in seconds."""
        if self._live is not None:
            self._live.update(
                self._live.task_ids[0],
                completed=step,
                said=f"loss {loss:.4f} {speed} {_duration(left)} left",
            )
        elif not self._quiet and (time.monotonic() - self._shown > PATIENCE or step == self._steps):
            self._shown = time.monotonic()
            print(
                f"step {step:,} of {self._steps:,}: loss {loss:.4f}, {speed}, "
                f"{_duration(left)} left",
                file=self._stream,
                flush=True,
            )

    def say(self, text: str) -> None:
        """One line for whoever watches; not part of the file."""
        if self._live is not None:
            self._live.console.print(text, markup=False, highlight=False)
        elif not self._quiet:
            print(text, file=self._stream, flush=True)

    def sync(self) -> None:
        """Returns when the file has reached the disk."""
        if self._file is not None:
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Ends the live line and closes the file."""
        if self._live is not None:
            self._live.stop()
            self._live = None
        if self._file is not None:
            self._file.close()


def keep_until(path: Path, step: int) -> None:
    """Drops lines of later steps, and a last line that a kill cut short."""
    if not path.exists():
        return
    lines = path.read_bytes().splitlines(keepends=True)
    kept = [line for line in lines if _step(line) <= step]
    if len(kept) < len(lines):
        replace_file(path, b"".join(kept))


def replace_file(path: Path, content: bytes) -> None:
    """Writes a whole file so that, at any moment, either the old or the new one is there."""
    beside = path.with_name(path.name + ".tmp")
    try:
        with open(beside, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def finite(value: Any) -> Any:
    """The value, with None for infinities and NaN, for which JSON has no word."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _step(line: bytes) -> float:
    try:
        return json.loads(line)["step"] if line.endswith(b"\n") else math.inf
    except (ValueError, KeyError, TypeError):
        return math.inf


def _shown(values: dict[str, float]) -> list[str]:
    return [f"{name} {value:.4f}" for name, value in values.items() if isinstance(value, float)]


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _live_line(stream: TextIO, step: int, steps: int) -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    progress = Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[said]}"),
        console=Console(file=stream),
        transient=True,
    )
    progress.add_task("", total=steps, completed=step, said="starting")
    progress.start()
    return progress
