"""What devices send each other in one call of a compiled program, read from its text.

Bytes are those which a device sends to its neighbours when n devices pass parts around in a ring
(Thakur et al. 2005, "Optimization of Collective Communication Operations in MPICH"; Patarasuk and
Yuan 2009): of an array of x bytes (n-1)/n x to scatter its sum or to exchange it, (n-1) x to gather
all of it, and 2 (n-1)/n x for its sum everywhere. So much at least crosses the links.
"""

import functools
import math
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from attention_jax.parallel.hlo import Program, Run

KINDS: dict[str, Callable[[int], float]] = {
    "all-reduce": lambda n: 2 * (n - 1) / n,
    "all-gather": lambda n: n - 1,
    "reduce-scatter": lambda n: (n - 1) / n,
    "all-to-all": lambda n: (n - 1) / n,
    "collective-permute": lambda n: 1 if n > 1 else 0,
}
"""By kind, what a device of n sends of each byte that it puts in."""

Groups = tuple[tuple[int, ...], ...]
"""Which devices, by their place in the mesh, do it together; for a permute, (from, to)."""


@dataclass(frozen=True)
class Collective:
    """One collective operation of a program."""

    kind: str
    times: int
    """how often it runs in one call"""
    known: bool
    """False in a loop whose length nobody knows, counted as if it ran once"""
    given: int
    """bytes that a device puts in, each time"""
    groups: Groups

    @property
    def sent(self) -> float:
        """Bytes that a device sends in one call of the program."""
        if self.kind == "collective-permute":
            return self.times * self.given * bool(self.groups)
        return self.times * self.given * KINDS[self.kind](max(map(len, self.groups), default=1))


def collectives(program: Program, devices: int) -> list[Collective]:
    """The collectives of a compiled program.

    One that a TPU runs beside other work stands in the text in several fusions, and counts once;
    so does one that is written as a start and an end.

    Args:
      program: as each of the devices runs it.
      devices: how many run it.
    """
    found: list[Collective] = []
    seen: set[tuple[str, str, str]] = set()
    for run in program.runs():
        kind = _kind(run)
        if kind is None:
            continue
        channel = re.search(r"\bchannel_id=(\d+)", run.op.options)
        if run.caller != run.computation and channel:
            once = kind, channel[1], run.caller
            if once in seen:
                continue
            seen.add(once)
        groups = _groups(run.op.options, kind, devices)
        given = sum(each.bytes for each in program.operands(run))
        found.append(Collective(kind, run.times, run.known, given, groups))
    return found


def summed(found: list[Collective]) -> dict[str, dict[str, float]]:
    """By kind: "count", how many run in one call, and "bytes", which a device sends."""
    return {
        kind: {
            "count": sum(each.times for each in found if each.kind == kind),
            "bytes": math.fsum(each.sent for each in found if each.kind == kind),
        }
        for kind in KINDS
        if any(each.kind == kind for each in found)
    }


def _kind(run: Run) -> str | None:
    """The name of a collective in `KINDS`; None for any other operation, and for ends of one."""
    kind = run.op.code.removesuffix("-start").removeprefix("ragged-")
    if kind == "all-reduce" and run.computation.startswith("all-reduce-scatter"):
        return "reduce-scatter"  # what a TPU makes of a sum of which each device keeps a part
    return kind if kind in KINDS else None


@functools.lru_cache(maxsize=1024)
def _iota(shape: tuple[int, ...], dims: tuple[int, ...], order: tuple[int, ...]) -> Groups:
    ids = np.arange(math.prod(dims)).reshape(dims).transpose(order).reshape(shape)
    return tuple(tuple(row) for row in ids.tolist())


def _groups(options: str, kind: str, devices: int) -> Groups:
    """The groups as XLA writes them: in full, as a turned range, or as axes of a mesh."""
    if kind == "collective-permute":
        pairs = re.search(r"source_target_pairs=\{(\{.*?\})\}", options)
        return _listed(pairs[1]) if pairs else ()
    if full := re.search(r"replica_groups=\{(\{.*?\})\}", options):
        return _listed(full[1])
    if turned := re.search(r"replica_groups=\[([\d,]+)\]<=\[([\d,]+)\](?:T\(([\d,]+)\))?", options):
        shape, dims = _numbers(turned[1]), _numbers(turned[2])
        return _iota(shape, dims, _numbers(turned[3]) if turned[3] else tuple(range(len(dims))))
    if axes := re.search(r"replica_groups=mesh\[([^\]]*)\] ?\{([^}]*)\}", options):
        sizes = re.findall(r"'([^']+)'=(\d+)", axes[1])
        names, dims = [name for name, _ in sizes], tuple(int(size) for _, size in sizes)
        inside = [names.index(name) for name in re.findall(r"'([^']+)'", axes[2])]
        order = (*(axis for axis in range(len(dims)) if axis not in inside), *inside)
        width = math.prod(dims[axis] for axis in inside)
        return _iota((math.prod(dims) // width, width), dims, order)
    return (tuple(range(devices)),)


def _listed(text: str) -> Groups:
    return tuple(_numbers(group) for group in re.findall(r"\{([\d,]+)\}", text))


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(","))
