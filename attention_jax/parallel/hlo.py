"""What a compiled program runs, read from its text: every operation with how often it runs.

The text (`compiled.as_text()`) is a list of computations. One calls another where it fuses,
branches or loops; a loop's body runs as often as XLA knows, or as its condition counts.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

ARRAY = re.compile(r"\b(pred|[a-z]+\d+)[a-z0-9]*\[([\d,]*)\](?:\{([^}]*)\})?")
ELSEWHERE = re.compile(r"S\([1-9]\d*\)")
COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.-]+) \(.*\{$")
CALLED = re.compile(r"\b(?:calls|to_apply|body|true_computation|false_computation)=%?([\w.-]+)")
BRANCHES = re.compile(r"\bbranch_computations=\{([^}]*)\}")
FUSIONS = ("fusion", "fusion-start")
CALLS = (*FUSIONS, "call", "while", "conditional", "async-start", "custom-call")


class Op(NamedTuple):
    """One operation of a computation."""

    name: str
    code: str
    """such as "all-reduce" """
    bytes: int
    """of its result, on one device"""
    stored: int
    """those of them that lie in the device's main memory, and not in a cache beside its cores"""
    operands: tuple[str, ...]
    value: str
    """of a constant; of a parameter, which one it is"""
    options: str
    """all that is written behind the operands"""


class Run(NamedTuple):
    """An operation and where it runs."""

    op: Op
    times: int
    """how often it runs in one call of the program; 1 a loop whose length nobody knows"""
    known: bool
    """False in such a loop"""
    computation: str
    """where it stands"""
    caller: str
    """the computation that runs it: that of the fusion, where it is in one"""


@dataclass(frozen=True)
class Program:
    """A compiled program: its computations by name, each its operations by name."""

    computations: dict[str, dict[str, Op]]
    entry: str

    @classmethod
    def parse(cls, text: str) -> "Program":
        """The program of a text, as `compiled.as_text()` gives it."""
        found: dict[str, dict[str, Op]] = {}
        entry = name = ""
        for line in text.splitlines():
            if opening := COMPUTATION.match(line):
                name = opening[2]
                found[name] = {}
                entry = name if opening[1] else entry
            elif name and (op := _op(line)):
                found[name][op.name] = op
        return cls(found, entry)

    def runs(self) -> list[Run]:
        """All operations that one call runs, from the entry on."""
        return list(self._walk(self.entry, self.entry, 1, True)) if self.entry else []

    def operands(self, run: Run) -> list[Op]:
        """Those whose results an operation takes."""
        ops = self.computations[run.computation]
        return [ops[name] for name in run.op.operands if name in ops]

    def fused(self, op: Op) -> list[Op]:
        """The operations inside a fusion, the last is its result; none of any other."""
        called = CALLED.search(op.options) if op.code in FUSIONS else None
        return list(self.computations.get(called[1], {}).values()) if called else []

    def _walk(self, name: str, caller: str, times: int, known: bool) -> Iterator[Run]:
        for op in self.computations[name].values():
            yield Run(op, times, known, name, caller)
            if op.code not in CALLS:
                continue
            each, sure = times, known
            if op.code == "while":
                trips = self._trips(op)
                each, sure = times * (trips or 1), known and trips is not None
            branches = BRANCHES.search(op.options)
            called = CALLED.findall(op.options)
            called += re.findall(r"[\w.-]+", branches[1]) if branches else []
            for other in called:
                if other in self.computations:
                    at = caller if op.code in FUSIONS else other
                    yield from self._walk(other, at, each, sure)

    def _trips(self, op: Op) -> int | None:
        """How often a loop runs: as XLA says, or, counted from 0, as its condition compares."""
        if said := re.search(r'"known_trip_count":\{"n":"(\d+)"\}', op.options):
            return int(said[1])
        condition = re.search(r"\bcondition=%?([\w.-]+)", op.options)
        ops = self.computations.get(condition[1], {}) if condition else {}
        compared = [each for each in ops.values() if each.code == "compare"]
        if len(compared) != 1 or "direction=LT" not in compared[0].options:
            return None
        limit = ops.get(compared[0].operands[-1])
        return int(limit.value) if limit and limit.value.isdigit() else None


def size(shape: str, *, stored: bool = False) -> int:
    """Bytes of an array, or of all arrays of a tuple, as XLA writes them: `f32[8,128]{1,0}`.

    Args:
      shape: with or without how it lies.
      stored: only those in main memory.
    """
    total = 0
    for kind, sides, lies in ARRAY.findall(shape):
        if stored and ELSEWHERE.search(lies):
            continue
        bits = 8 if kind == "pred" else int(re.sub(r"\D", "", kind))
        total += math.ceil(bits * math.prod(int(side) for side in sides.split(",") if side) / 8)
    return total


def _op(line: str) -> Op | None:
    """The operation on a line: `%name = shape code(operands), options`."""
    name, equals, rest = line.strip().removeprefix("ROOT ").partition(" = ")
    if not equals:
        return None
    end = _closing(rest, 0) if rest.startswith("(") else rest.find(" ")
    shape, rest = rest[:end], rest[end:].lstrip()
    opening = rest.find("(")
    if end <= 0 or opening < 0:
        return None
    end = _closing(rest, opening)
    code, given = rest[:opening], rest[opening + 1 : end - 1]
    operands = tuple(re.findall(r"%([\w.-]+)", given))
    value = given if code in ("constant", "parameter") else ""
    sizes = size(shape), size(shape, stored=True)
    return Op(name.removeprefix("%"), code, *sizes, operands, value, rest[end:])


def _closing(text: str, opening: int) -> int:
    """The place behind the parenthesis that closes the one at `opening`."""
    depth = 0
    for place in range(opening, len(text)):
        depth += {"(": 1, ")": -1}.get(text[place], 0)
        if depth == 0:
            return place + 1
    return -1
