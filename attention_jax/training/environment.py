"""Where a run was made: versions, commit, device, memory."""

import contextlib
import importlib.metadata
import os
import platform
import resource
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jax

PACKAGES = (
    "attention-jax",
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "orbax-checkpoint",
    "grain",
    "numpy",
    "tokenizers",
    "sacrebleu",
    "tensorflow-datasets",
)


def versions(names: Sequence[str] = PACKAGES) -> dict[str, str | None]:
    """Installed versions of packages; None for one that is not there."""
    found: dict[str, str | None] = dict.fromkeys(names)
    for name in names:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def environment() -> dict[str, Any]:
    """Versions, git commit, device and platform, for environment.json."""
    device = jax.local_devices()[0]
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "packages": versions(),
        "commit": _commit(Path(__file__).parent),
        "device": device.device_kind,
        "devices": jax.local_device_count(),
        "backend": device.platform,
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "command": sys.argv[:1] and [Path(sys.argv[0]).name, *sys.argv[1:]],
    }


def peak_memory() -> tuple[int, str]:
    """(bytes, kind): the most that the first accelerator, else that this process, ever held."""
    stats = jax.local_devices()[0].memory_stats()
    if stats and "peak_bytes_in_use" in stats:
        return int(stats["peak_bytes_in_use"]), "device"
    unit = 1 if sys.platform == "darwin" else 1_024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit, "process"


def _commit(folder: Path) -> str | None:
    """The commit of the package's repository, "-dirty" if files changed; None outside of one."""

    def git(*words: str) -> str:
        command = ["git", "-C", str(folder), *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
        return done.stdout.strip()

    try:
        # Fails where the package only lies inside another repository.
        git("ls-files", "--error-unmatch", "__init__.py")
        return git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    except (OSError, subprocess.SubprocessError):
        return None
