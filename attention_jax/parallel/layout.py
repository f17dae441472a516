"""How devices are laid out, and the one table from axis letters to the axes of a mesh.

- `data`: rows of a batch apart, every parameter everywhere (data parallelism).
- `fsdp`: rows apart, and parameters and optimizer state cut up too, gathered where they are needed
  (Rajbhandari et al. 2020, "ZeRO"; Zhao et al. 2023, "PyTorch FSDP").
- `model`: heads, feed-forward features and the vocabulary apart (Shoeybi et al. 2019,
  "Megatron-LM").
- `sequence`: positions apart, with attention that makes keys and values travel (`sequence.attend`).
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, PartitionSpec

AXES = ("data", "fsdp", "model", "sequence")

TABLE: dict[str, tuple[str, ...]] = {
    "B": ("data", "fsdp"),
    "T": ("sequence",),
    "S": ("sequence",),
    "H": ("model",),
    "G": ("model",),
    "F": ("model",),
    "V": ("model",),
    "D": ("fsdp",),
}
"""Which axes of the mesh cut an axis; letters that are not here stay whole."""


@dataclass(frozen=True)
class Layout:
    """How many devices stand along each axis of a mesh."""

    data: int = 1
    """parts of a batch, each with all parameters"""
    fsdp: int = 1
    """parts of a batch, and of all parameters and optimizer state"""
    model: int = 1
    """parts of the heads, the feed-forward features and the vocabulary"""
    sequence: int = 1
    """parts of the positions"""
    exchange: Literal["ring", "all_to_all"] = "ring"
    """what attention sends between parts of a sequence: keys and values around, or heads across"""

    def __post_init__(self):
        """Refuses axes without a device."""
        for name in AXES:
            if getattr(self, name) < 1:
                raise ValueError(f"mesh: {name}={getattr(self, name)}; 1 or more would fit")
        if self.exchange not in ("ring", "all_to_all"):
            raise ValueError(f"exchange is {self.exchange!r}; ring or all_to_all would fit")

    @classmethod
    def parse(cls, text: str) -> "Layout":
        """A layout as it is written, such as `data=32,model=8` or `sequence=8,exchange=all_to_all`.

        Raises:
          ValueError: it cannot be read; the message says at which part.
        """
        found: dict[str, Any] = {}
        for part in text.split(","):
            name, _, value = (word.strip() for word in part.partition("="))
            fits = re.fullmatch("[0-9]{1,7}", value) if name in AXES else name == "exchange"
            if not fits or name in found:
                raise ValueError(
                    f"mesh {text!r}: {part.strip()!r} is no axis with its devices, or comes twice; "
                    f"such as data=4,model=2 would fit, of the axes {', '.join(AXES)}"
                )
            found[name] = int(value) if name in AXES else value
        return cls(**found)

    def __str__(self) -> str:
        given = [f"{name}={getattr(self, name)}" for name in AXES if getattr(self, name) > 1]
        if self.exchange != "ring":
            given.append(f"exchange={self.exchange}")
        return ",".join(given) or "data=1"

    @property
    def size(self) -> int:
        """How many devices it takes."""
        return math.prod(getattr(self, name) for name in AXES)

    @property
    def batches(self) -> int:
        """Into how many parts it cuts a batch."""
        return self.data * self.fsdp

    def mesh(self, devices: Sequence[Any] | None = None) -> Mesh:
        """The devices, with all four axes; neighbours in the list are neighbours in `sequence`.

        Args:
          devices: as many as the layout takes, in their order; None takes all there are, and, on
            TPUs, orders them by how they are wired.

        Raises:
          ValueError: there are more or fewer.
        """
        shape = tuple(getattr(self, name) for name in AXES)
        there = jax.devices() if devices is None else list(devices)
        if len(there) != self.size:
            raise ValueError(
                f"mesh {self} takes {self.size} devices, and there are {len(there)} "
                f"({there[0].device_kind}); axes whose product is {len(there)} would fit"
            )
        if there[0].platform == "tpu":
            from jax.experimental import mesh_utils

            grid = mesh_utils.create_device_mesh(shape, there, allow_split_physical_axes=True)
        else:
            grid = np.asarray(there, object).reshape(shape)
        # Auto: with the Explicit axes of `jax.make_mesh` an embedding's gather is an error.
        return Mesh(grid, AXES, axis_types=(AxisType.Auto,) * len(AXES))


def spec(letters: str) -> PartitionSpec:
    """How an array with these axes is cut: `spec("B T")` is P(("data", "fsdp"), "sequence").

    An axis of the mesh cuts one axis of an array, the first that asks for it. So rows of a batch
    take `fsdp` in front of the width, and a parameter, "D F", is cut along its width by it.
    """
    taken: set[str] = set()
    parts: list[Any] = []
    for letter in letters.split():
        free = tuple(axis for axis in TABLE.get(letter, ()) if axis not in taken)
        taken.update(free)
        parts.append(free[0] if len(free) == 1 else free or None)
    return PartitionSpec(*parts)


def fitting(letters: str, shape: Sequence[int], mesh: Mesh) -> PartitionSpec:
    """The same for an array of this shape: an axis that its devices do not divide stays whole."""
    parts = []
    for part, size in zip(spec(letters), shape, strict=True):
        axes = (part,) if isinstance(part, str) else part or ()
        parts.append(part if size % math.prod(mesh.shape[axis] for axis in axes) == 0 else None)
    return PartitionSpec(*parts)
