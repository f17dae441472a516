"""Where a benchmark ran: the processor, the cores, the allocator, the commit, the load."""

import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]


def surroundings(variables: Mapping[str, str], cores: Sequence[int], clock: str) -> dict[str, Any]:
    """What stands in every record of a run.

    Args:
      variables: the environment of the libraries' processes.
      cores: numbers of those that they may run on.
      clock: what seconds are of.

    Returns:
      when, command, commit, device, cores, clock, allocator, load (before the run).
    """
    chosen = {name: value for name, value in variables.items() if name.startswith("MALLOC_")}
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join(map(_named, [sys.executable, *sys.orig_argv[1:]])),
        "commit": commit(),
        "device": processor(),
        "cores": list(cores),
        "clock": clock,
        "allocator": chosen or "as it is",
        "load": round(os.getloadavg()[0], 2),
    }


def processor() -> str:
    """The name of the processor."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def commit() -> str | None:
    """The commit that is measured, "-dirty" if its files changed; None outside of a repository."""
    describe = "describe --always --dirty --abbrev=12 --exclude=*"
    words = ["git", "-C", str(ROOT), *describe.split()]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _named(word: str) -> str:
    """A word of the command; of a path from the root its name: where things lie is nobody's."""
    return Path(word).name if word.startswith("/") else word
