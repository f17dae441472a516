"""Accelerators that are not here: what their makers publish of them, and devices to compile for.

Rates are the published peaks, of one device: a program comes nearer to some than to others. All of
them are in bytes or operations a second, with 10 as the base of the prefixes, memory in bytes.
"""

import importlib.util
import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

GIB, NONE = 2**30, math.nan


@dataclass(frozen=True)
class Chip:
    """One kind of device."""

    name: str
    maker: str
    """what its maker calls it"""
    platform: str
    """"tpu", "cuda" or "cpu", as JAX calls it"""
    bfloat16: float
    """peak operations a second of matrix products of bfloat16 numbers, without sparsity"""
    float32: float
    """the same of float32 numbers as JAX multiplies them unless told otherwise: on TPUs in one
    pass of bfloat16, on GPUs as TF32"""
    memory: float
    """bytes that a program may have"""
    bandwidth: float
    """bytes a second between a device and its memory"""
    link: float
    """bytes a second that a device sends over one link, or, without a grid, over all of them"""
    ring: int = 0
    """sides of the grid that are multiples of it are closed to rings; 0: a switch, no grid"""
    host: int = 1
    """devices that the fast links reach, without a grid"""
    network: float = 0.0
    """bytes a second that a device sends to those of other hosts"""


# https://cloud.google.com/tpu/docs/v5e: 197 TFLOP/s, 16 GB at 819 GB/s, 400 GB/s both ways over 4
# links, 2D torus of 256. https://cloud.google.com/tpu/docs/v6e: 918, 32 GB at 1,638 GB/s, 800 GB/s
# over 4 links. https://cloud.google.com/tpu/docs/v5p: 459, 95 GB at 2,765 GB/s, 1,200 GB/s over 6
# links, 3D torus from 4x4x4 on. Of their memory the compiler lets a program have what stands here.
# https://resources.nvidia.com/en-us-tensor-core/nvidia-tensor-core-gpu-datasheet and
# https://www.nvidia.com/en-us/data-center/h200: 1,979 TFLOP/s bfloat16 and 989 TF32, each with
# sparsity, 900 GB/s of NVLink both ways; H100 80 GB at 3.35 TB/s, H200 141 GB at 4.8 TB/s; between
# hosts 400 Gbit/s a GPU (https://docs.nvidia.com/dgx/dgxh100-user-guide).
CHIPS = {
    chip.name: chip
    for chip in (
        Chip("v5e", "TPU v5e", "tpu", 197e12, 197e12, 15.75 * GIB, 819e9, 50e9, ring=16),
        Chip("v5p", "TPU v5p", "tpu", 459e12, 459e12, 95 * GIB, 2765e9, 100e9, ring=4),
        Chip("v6e", "TPU v6e", "tpu", 918e12, 918e12, 31.25 * GIB, 1638e9, 100e9, ring=16),
        Chip("h100", "NVIDIA H100 SXM", "cuda", 989e12, 495e12, 80e9, 3350e9, 450e9, 0, 8, 50e9),
        Chip("h200", "NVIDIA H200 SXM", "cuda", 989e12, 495e12, 141e9, 4800e9, 450e9, 0, 8, 50e9),
        # No figures: fake devices on the CPU share one memory, and nothing is between them.
        Chip("cpu", "CPU, as fake devices", "cpu", NONE, NONE, NONE, NONE, NONE),
    )
}

SQUARES = {1: (1, 1), 4: (2, 2), 8: (2, 4), 16: (4, 4), 32: (4, 8), 64: (8, 8), 128: (8, 16)}
GRIDS = {
    2: SQUARES | {256: (16, 16)},
    3: {4: (2, 2, 1), 8: (2, 2, 2), 16: (2, 2, 4), 32: (2, 4, 4), 64: (4, 4, 4), 128: (4, 4, 8)}
    | {256: (4, 8, 8), 512: (8, 8, 8), 1024: (8, 8, 16), 2048: (8, 16, 16), 4096: (16, 16, 16)},
}
"""Shapes of slices that can be had, by sides and chips."""

COMPILERS = {
    "tpu": (["libtpu"], "tpu"),
    "cuda": (["jax_cuda13_plugin", "jax_cuda12_plugin"], "cuda13"),
    "cpu": (["jax"], ""),
}
"""By platform, the modules that compile for it, and the extra that installs the first."""

QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "TPU_STDERR_LOG_LEVEL": "3", "TPU_MIN_LOG_LEVEL": "3"}

GPU = """gpu_device_info {{
  threads_per_block_limit: 1024 threads_per_warp: 32
  shared_memory_per_block: 49152 shared_memory_per_core: 233472 threads_per_core_limit: 2048
  core_count: 132 fpus_per_core: 128
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  memory_bandwidth: {bandwidth:.0f} l2_cache_size: {cache} clock_rate_ghz: 1.98
  device_memory_size: {memory:.0f} shared_memory_per_block_optin: 232448
  cuda_compute_capability {{ major: 9 }}
  registers_per_core_limit: 65536 registers_per_block_limit: 65536
}}
platform_name: "CUDA"
dnn_version_info {{ major: 9 minor: 14 }}
device_description_str: "{maker}"
"""
"""What XLA wants to know of a GPU of this generation; both kinds have 132 cores."""


@dataclass(frozen=True)
class Topology:
    """Devices of one kind, and how they are joined."""

    chip: Chip
    shape: tuple[int, ...]
    """sides of the grid; hosts and devices of a host; or devices"""

    @classmethod
    def parse(cls, text: str) -> "Topology":
        """Devices as they are written: `v5e:16x16`, `v5p:64`, `h200:8`, `cpu:8`.

        Raises:
          ValueError: there is no such device, or it cannot be had so.
        """
        name, _, sides = text.strip().lower().partition(":")
        if name not in CHIPS or not re.fullmatch(r"[1-9]\d{0,4}(x[1-9]\d{0,4}){0,2}", sides):
            known = ", ".join(CHIPS)
            raise ValueError(
                f"topology {text!r} is no kind of device with how many there are; such as "
                f"v5e:4x4, v5p:64 or h200:8 would fit, of the kinds {known}"
            )
        chip, shape = CHIPS[name], [int(side) for side in sides.split("x")]
        if chip.ring:
            grids = GRIDS[3 if name == "v5p" else 2]
            if len(shape) == 1 and shape[0] in grids:
                return cls(chip, grids[shape[0]])
            if len(shape) != len(next(iter(grids.values()))):
                fits = ", ".join("x".join(map(str, grid)) for grid in grids.values())
                raise ValueError(f"topology {text!r} is no slice of {chip.maker}; {fits} would fit")
            return cls(chip, tuple(shape))
        if len(shape) > 1:
            raise ValueError(f"topology {text!r}: how many there are would fit, such as {name}:8")
        if shape[0] > chip.host > 1:
            if shape[0] % chip.host:
                near = shape[0] // chip.host * chip.host
                raise ValueError(
                    f"topology {text!r}: hosts have {chip.host} each; up to {chip.host}, or whole "
                    f"hosts, such as {near} or {near + chip.host}, would fit"
                )
            return cls(chip, (shape[0] // chip.host, chip.host))
        return cls(chip, (1, shape[0]) if chip.platform == "cuda" else (shape[0],))

    def __str__(self) -> str:
        grid = "x".join(map(str, self.shape)) if self.chip.ring else str(self.size)
        return f"{self.chip.name}:{grid}"

    @property
    def size(self) -> int:
        """How many devices there are."""
        return math.prod(self.shape)

    @property
    def environment(self) -> dict[str, str]:
        """What must be set before JAX starts, to compile for them without having them."""
        found = {"JAX_PLATFORMS": "cpu"} | QUIET
        if self.chip.platform == "tpu":
            # Several may compile at once: none of them takes a device.
            found |= {"TPU_SKIP_MDS_QUERY": "1", "ALLOW_MULTIPLE_LIBTPU_LOAD": "1"}
        elif self.chip.platform == "cuda":
            found["JAX_SKIP_CUDA_CONSTRAINTS_CHECK"] = "1"
        else:
            found["JAX_NUM_CPU_DEVICES"] = str(self.size)
        return found

    def check_compiler(self) -> None:
        """Refuses to go on without the compiler for them.

        Raises:
          ValueError: it is not installed; the message says what to install.
        """
        modules, extra = COMPILERS[self.chip.platform]
        if not any(map(importlib.util.find_spec, modules)):
            raise ValueError(
                f"to compile for {self.chip.maker} without having one takes {modules[0]}, which is "
                f"not installed: make ACCELERATOR={extra} setup, or pip install 'jax[{extra}]'"
            )

    def devices(self) -> list[Any]:
        """The devices, to be compiled for but not to be run on; those of the CPU are real.

        Raises:
          ValueError: JAX was started without `environment`, or there is no such slice.
        """
        import jax

        self.check_compiler()
        needed = self.environment
        missing = {name for name in needed.keys() - QUIET if os.environ.get(name) != needed[name]}
        if self.chip.platform == "cpu":
            if len(jax.devices("cpu")) < self.size:
                raise ValueError(
                    f"{self}: JAX has {len(jax.devices('cpu'))} CPU devices; "
                    f"JAX_NUM_CPU_DEVICES={self.size} before it starts gives as many"
                )
            return jax.devices("cpu")[: self.size]
        if missing:
            given = " ".join(f"{name}={needed[name]}" for name in sorted(missing))
            raise ValueError(f"{self}: set {given} before Python starts")
        from jax.experimental import topologies

        grid = "x".join(map(str, self.shape))
        if self.chip.platform == "tpu":
            try:
                return topologies.get_topology_desc(platform="tpu", topology_name=str(self)).devices
            except Exception as error:
                raise ValueError(f"{self} is no slice that the compiler knows: {error}") from error
        cache = 50 * 2**20 if self.chip.name == "h100" else 60 * 2**20
        given = {"bandwidth": self.chip.bandwidth, "memory": self.chip.memory, "cache": cache}
        target = GPU.format(maker=self.chip.maker, **given)
        name = f"1x{grid}"
        return topologies.get_topology_desc(
            platform="cuda", topology_name=name, topology=name, target_config=target
        ).devices

    def rate(self, group: Sequence[Any], *, pairs: bool = False) -> float:
        """Bytes a second that each device of a group sends, when all send at once.

        On a grid a group has the links of the sides along which it lies, both ways around where
        such a side is closed to a ring; across hosts each device has its share of the network.

        Args:
          group: devices, as `devices` gives them.
          pairs: each sends to one other alone, over one link.
        """
        chip = self.chip
        if len(group) < 2 or chip.platform == "cpu":
            return math.inf
        if chip.ring:
            lies = [len({device.coords[side] for device in group}) for side in range(3)]
            links = sum(
                2 if count == side and self._closed(side) else 1
                for count, side in zip(lies, self.shape, strict=False)
                if count > 1
            )
            return chip.link * (1 if pairs else links)
        hosts = {device.coords[1] for device in group}
        if len(hosts) == 1:
            return chip.link
        return chip.network if pairs else min(chip.link, chip.network * len(group) / len(hosts))

    def _closed(self, side: int) -> bool:
        sides = self.shape if len(self.shape) == 3 else (side,)
        return all(each % self.chip.ring == 0 for each in sides)
