"""Compiled programs, kept on the disk for the next process: JAX's persistent compilation cache.

Commands turn it on, an import never does. What JAX itself is told stays: a folder of one's own in
JAX_COMPILATION_CACHE_DIR, and JAX_ENABLE_COMPILATION_CACHE=0 for none. A program is found again by
what is computed, the versions, XLA's flags, the devices and the CPU's features, so that one from
the folder is, bit for bit, the one that would have been compiled.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

LIMIT = 512 << 20
"""bytes that the folder may hold; what was used longest ago goes"""

WORTHWHILE = 0.1
"""seconds of compiling from which on a program is kept"""

_NO = ("n", "no", "f", "false", "off", "0")  # as JAX reads its switches


def compiled_cache() -> Path | None:
    """Keeps what this process and those that it starts compile, or loads what others have kept.

    A folder that will not do is a line on standard error: then everything is compiled anew.

    Returns:
      The folder, `compiled` in $ATTENTION_JAX_CACHE or ~/.cache/attention_jax; None where JAX has
      been told otherwise or the folder will not do.
    """
    jax = sys.modules.get("jax")
    if jax is not None and jax.config.jax_compilation_cache_dir is not None:
        return None
    if not wanted(os.environ):
        return None
    home = os.environ.get("ATTENTION_JAX_CACHE") or Path.home() / ".cache" / "attention_jax"
    folder = Path(home).absolute() / "compiled"
    try:
        make_ready(folder)
    except (OSError, NotImplementedError) as error:  # the latter where files cannot be locked
        reason = getattr(error, "strerror", None) or str(error)
        print(
            f"attention-jax: compiled programs are not kept: {folder}: {reason}; another folder in "
            "JAX_COMPILATION_CACHE_DIR would fit, or JAX_ENABLE_COMPILATION_CACHE=0",
            file=sys.stderr,
        )
        return None
    settings = {
        "jax_compilation_cache_dir": str(folder),
        "jax_compilation_cache_max_size": LIMIT,
        "jax_persistent_cache_min_compile_time_secs": WORTHWHILE,
    }
    for name, value in settings.items():
        if name.upper() not in os.environ:
            os.environ[name.upper()] = str(value)  # for JAX if it comes later, and other processes
            if jax is not None:
                jax.config.update(name, value)
    return folder


def wanted(environment: Mapping[str, str]) -> bool:
    """Whether nobody has told JAX of another folder, or to keep nothing."""
    said = environment.get("JAX_ENABLE_COMPILATION_CACHE", "1").strip().lower()
    return said not in _NO and "JAX_COMPILATION_CACHE_DIR" not in environment


def make_ready(folder: Path) -> None:
    """Makes the folder, for its owner alone, or clears an old one of what was never finished.

    JAX writes a program and then, in a file beside it, when it was used. A process that is killed
    between the two leaves a torn program, which would be complained of and compiled anew each time.

    Raises:
      OSError: the folder cannot be made or written to, or others may put programs in it.
      NotImplementedError: files in it cannot be locked.
    """
    from filelock import FileLock

    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.stat()
    if hasattr(os, "getuid") and (found.st_uid != os.getuid() or found.st_mode & 0o022):
        raise PermissionError("others may write there, and what lies there is run")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError("it cannot be written to")
    with FileLock(folder / ".lockfile", timeout=10):  # the one that JAX takes to write
        for program in folder.glob("*-cache"):
            if not program.with_name(program.name.removesuffix("-cache") + "-atime").exists():
                program.unlink()
