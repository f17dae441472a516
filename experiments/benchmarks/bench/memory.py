"""How much memory a call takes above what its process held before (Linux; elsewhere unknown)."""

import contextlib
import ctypes
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PROCESS = Path("/proc/self")


def peak_above(call: Callable[[], Any]) -> tuple[Any, float | None]:
    """What the call gives, and its peak of resident memory less what was held before, in MiB.

    The peak is the kernel's own (VmHWM, set back by clear_refs); None where it cannot be had. Freed
    memory is given back to the system first: what an allocator keeps would hide what a call takes.
    """
    give_back()
    try:
        held = resident("VmRSS")
        (PROCESS / "clear_refs").write_text("5")
    except OSError:
        return call(), None
    result = call()
    return result, resident("VmHWM") - held


def resident(field: str) -> float:
    """VmRSS (now) or VmHWM (the peak since it was last set back), in MiB.

    Raises:
      OSError: the system does not tell.
    """
    for line in (PROCESS / "status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    raise OSError(f"no {field} in {PROCESS / 'status'}")


def give_back() -> None:
    """Gives freed memory back to the system, where the C library is glibc.

    Libraries free what a call took in threads of their own, a little later: it is waited for, about
    until the process stops shrinking.
    """
    with contextlib.suppress(OSError, AttributeError):
        trim, before = ctypes.CDLL(None).malloc_trim, math.inf
        for _ in range(20):
            time.sleep(0.05)
            trim(0)
            now = resident("VmRSS")
            if now > before - 1:
                break
            before = now
