"""Where the time of a compiled program goes: JAX's profiler, and what the dearest operations do.

Each operation is held against a roofline (Williams, Waterman and Patterson 2009): it needs at least
the time that its products take at the speed of a large matrix product, and that its bytes take at
the speed of a large copy, both measured here. The share says how near it comes. Bytes that stay in
a cache can lift it above 1.
"""

import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from attention_jax.analysis.hlo import HOLDERS, Hlo

SIDE = 2_048
"""of the matrices whose product is measured"""
COPIED = 1 << 26
"""numbers of the array whose copy is measured: more than a cache holds"""
ROUNDS = 5


@dataclass(frozen=True)
class Ceiling:
    """What the device does at best.

    Attributes:
      flops: operations a second, of a large matrix product.
      bandwidth: bytes a second, read and written, of a large copy.
    """

    flops: float
    bandwidth: float

    def seconds(self, flops: float, moved: float) -> float:
        """The least that work takes."""
        return max(flops / self.flops, moved / self.bandwidth)


@dataclass(frozen=True)
class Operation:
    """An operation of a program, over all times it ran in a call.

    Attributes:
      name: in the compiled program.
      source: which operation of the traced function it comes from.
      calls: how often it ran.
      seconds: that it took, summed over the threads of a device.
      flops: numbers that it computed; see `analysis.hlo`.
      bytes: that it read and wrote.
      time_share: of the time of all operations.
      ceiling_share: of what the device does at best, 1 is all; see the module.
    """

    name: str
    source: str
    calls: float
    seconds: float
    flops: float
    bytes: float
    time_share: float
    ceiling_share: float


def ceiling(dtype: Any = jnp.float32) -> Ceiling:
    """Measures what the device does at best: the medians of some rounds."""
    matrix = jax.random.normal(jax.random.key(0), (SIDE, SIDE), dtype) * SIDE**-0.5
    array = jnp.ones(COPIED, jnp.float32)
    moved = 2 * array.nbytes
    product = _seconds(lambda x, y: x @ y, matrix, matrix + 0)
    return Ceiling(2 * SIDE**3 / product, moved / _seconds(lambda x: x + 1, array))


def profiled(
    call: Callable[[], Any], text: str, folder: Path, *, calls: int, best: Ceiling
) -> list[Operation]:
    """What each operation of a compiled program takes.

    Args:
      call: runs it once and waits for it; it has run before.
      text: of the program.
      folder: where the trace goes, which xprof, TensorBoard and ui.perfetto.dev open.
      calls: how often it is called.
      best: what the device does.

    Returns:
      Its operations, dearest first; what they run in their turn is theirs.

    Raises:
      ValueError: the profiler saw none of them.
    """
    with jax.profiler.trace(str(folder), create_perfetto_trace=True):
        for _ in range(calls):
            call()
    program = Hlo(text)
    spent: dict[str, list[float]] = {}
    for name, seconds in _events(folder):
        found = program.instructions.get(name)
        if found is not None and found.does not in HOLDERS:
            spent.setdefault(name, []).append(seconds)
    if not spent:
        raise ValueError(
            f"the profiler saw none of the program's operations on {jax.default_backend()}"
        )
    every = sum(map(sum, spent.values()))
    operations = []
    for name, times in spent.items():
        seconds, often = sum(times) / calls, len(times) / calls
        flops, moved = often * program.flops(name), often * program.bytes(name)
        operations.append(
            Operation(
                name=name,
                source=program.instructions[name].source,
                calls=often,
                seconds=seconds,
                flops=flops,
                bytes=moved,
                time_share=sum(times) / every,
                ceiling_share=best.seconds(flops, moved) / seconds,
            )
        )
    return sorted(operations, key=lambda one: -one.seconds)


def _events(folder: Path) -> Iterator[tuple[str, float]]:
    """The operations in the newest trace of a folder, each with its seconds."""
    newest = max(folder.rglob("*.xplane.pb"), key=lambda file: file.stat().st_mtime)
    for plane in jax.profiler.ProfileData.from_file(str(newest)).planes:
        lines = list(plane.lines)
        # A GPU's or TPU's operations stand in a line of their own, and again in those of streams.
        own = [line for line in lines if line.name == "XLA Ops"]
        for line in own or lines:
            for event in line.events:
                with warnings.catch_warnings():
                    # The type of statistics has no module, which Python 3.12 remarks on.
                    warnings.simplefilter("ignore", DeprecationWarning)
                    stats = dict(event.stats)
                if "hlo_op" in stats and not event.name.startswith("end: "):
                    yield str(stats["hlo_op"]), event.duration_ns / 1e9


def _seconds(call: Callable[..., Any], first: Any, *others: Any) -> float:
    """Of a call that takes its own result, in the same memory: fresh pages would cost more."""
    program = jax.jit(call, donate_argnums=0)
    first = jax.block_until_ready(program(first, *others))
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        first = jax.block_until_ready(program(first, *others))
        times.append(time.perf_counter() - began)
    return statistics.median(times)
