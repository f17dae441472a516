"""What a training step takes of devices: memory, arithmetic, traffic, and the time for them.

Memory and collectives are the compiler's. Times are the least that the published peaks allow:
arithmetic or memory, whichever takes longer, and then the collectives, as if nothing of them were
hidden behind it (Williams et al. 2009, "Roofline").
"""

import dataclasses
import math
import re
from dataclasses import dataclass
from typing import Any

from attention_jax.parallel.topologies import GIB

HEADROOM = 0.08
"""the part of a device's memory that stays free: for other programs, the runtime, and gaps"""


@dataclass(frozen=True)
class Forecast:
    """What a training step takes on devices; bytes, operations and seconds are of one device."""

    topology: str
    mesh: str
    devices: int
    rows: int
    length: int
    compute: str
    parameters: int
    state: int
    """bytes of parameters and optimizer state"""
    gradients: int
    """bytes of gradients, which are among the temporaries"""
    arguments: int
    """bytes of the state and the batch, as the compiler lays them out"""
    temporaries: int
    results: int
    """bytes of what comes out and has no place among the arguments"""
    memory: float
    """bytes that there are"""
    compiled: bool
    """False where the compiler gave up for want of memory: then times are missing"""
    seconds_to_compile: float
    model_flops: float
    """of the model's matrix products, forward and twice that backward, nothing run again"""
    flops: float
    """of the step, those that are run again included"""
    moved: float
    """bytes between the device and its memory"""
    sent: dict[str, dict[str, float]]
    """by kind of collective, "count" a step and "bytes" that the device sends"""
    arithmetic_seconds: float
    memory_seconds: float
    collective_seconds: float
    optimal_seconds: float | None
    """the compiler's own estimate, where it has one (TPU)"""
    peak: float
    notes: tuple[str, ...] = ()

    @property
    def held(self) -> int:
        """Bytes held at once."""
        return self.arguments + self.temporaries + self.results

    @property
    def usable(self) -> float:
        """Bytes that may be held, with the headroom left free."""
        return self.memory * (1 - HEADROOM)

    @property
    def fits(self) -> bool | None:
        """Whether it does; None where nobody knows the memory."""
        if not self.compiled:
            return False
        return None if math.isnan(self.memory) else self.held <= self.usable

    @property
    def seconds(self) -> float:
        """Of a step."""
        return max(self.arithmetic_seconds, self.memory_seconds) + self.collective_seconds

    @property
    def share_in_collectives(self) -> float:
        """The share of a step that collectives take, if nothing of them is hidden."""
        return self.collective_seconds / self.seconds

    @property
    def tokens_per_second(self) -> float:
        """Target tokens of all devices, padding counted."""
        return self.rows * self.length / self.seconds

    @property
    def share_of_peak(self) -> float:
        """What the model's arithmetic is of the peak (MFU, Chowdhery et al. 2022, appendix B)."""
        return self.model_flops / self.seconds / self.peak

    def to_json(self) -> dict[str, Any]:
        """All of it, with None for what is not known."""
        names = ("held", "usable", "fits", "seconds", "share_in_collectives")
        found = dataclasses.asdict(self)
        found |= {name: getattr(self, name) for name in (*names, "tokens_per_second")}
        found["share_of_peak"] = self.share_of_peak
        return {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in found.items()
        }


def out_of_memory(message: str, state: int) -> dict[str, Any]:
    """What is known of a step that the compiler gave up for want of memory.

    Args:
      message: its own; it says how much would be needed, and how much there is.
      state: bytes of the state, among what is needed.

    Returns:
      Those fields of a `Forecast` that only a compiler can fill.
    """
    units = {"K": 2**10, "M": 2**20, "G": GIB, "T": 2**40}
    amounts = re.findall(r"\(?([\d.]+)([KMGT])\)?", message)
    needed = max((float(number) * units[unit] for number, unit in amounts), default=0.0)
    missing = ("flops", "moved", "arithmetic_seconds", "memory_seconds", "collective_seconds")
    return {
        "arguments": state,
        "temporaries": max(0, int(needed) - state),
        "results": 0,
        "sent": {},
        "optimal_seconds": None,
        **dict.fromkeys(missing, math.nan),
    }
