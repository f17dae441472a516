"""What each operation of a compiled program costs, read from the program's own text.

XLA's text has a line for each instruction: its name, the shape of its result, what it does, what it
reads, and which other computations it runs (the body of a fusion, of a loop). Work is counted as it
is in papers: two operations for each product that a matrix product adds up, one for each number
that anything else makes; moving numbers counts none. Bytes are those read and written if nothing
stays in a cache.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

BYTES = {
    **dict.fromkeys(("pred", "s8", "u8", "s4", "u4", "f8e4m3fn", "f8e5m2"), 1),
    **dict.fromkeys(("s16", "u16", "f16", "bf16"), 2),
    **dict.fromkeys(("s32", "u32", "f32"), 4),
    **dict.fromkeys(("s64", "u64", "f64", "c64"), 8),
    "c128": 16,
}
"""of a number; others, such as tokens, take none"""

MOVES = frozenset(
    ("parameter", "constant", "iota", "copy", "copy-start", "copy-done", "bitcast", "reshape")
    + ("bitcast-convert", "transpose", "broadcast", "slice", "dynamic-slice", "concatenate")
    + ("dynamic-update-slice", "pad", "gather", "reverse", "tuple", "get-tuple-element", "convert")
    + ("after-all", "opt-barrier", "rng-bit-generator", "partition-id", "replica-id")
    + ("custom-call", "infeed", "outfeed", "domain")
)
"""that compute nothing, or, as other libraries' kernels, what cannot be told"""

HOLDERS = frozenset({"while", "conditional", "call"})
"""that run other computations instruction by instruction, each of which is seen by itself"""

SHAPE = re.compile(r"\b([a-z]+[0-9]*(?:e[0-9]m[0-9](?:fn)?)?)\[([0-9,]*)\]")
HEAD = re.compile(r"^\s*(?:ROOT )?%?([\w.\-]+) = ")
COMPUTATION = re.compile(r"^(?:ENTRY )?%?([\w.\-]+) \(.*\{\s*$")
CALLED = re.compile(r"\b(?:calls|to_apply|body|condition)=%?([\w.\-]+)")
SOURCE = re.compile(r'op_name="([^"]*)"')


class Sizes(NamedTuple):
    """An array as a program's text has it."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def numbers(self) -> int:
        """How many it holds."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """That it takes."""
        return self.numbers * BYTES.get(self.dtype, 0)


@dataclass(frozen=True)
class Instruction:
    """One line of a program.

    Attributes:
      name: in the program.
      does: XLA's name of what it does, such as dot or fusion.
      makes: its results.
      reads: the names of the instructions whose results it reads.
      rest: its attributes, as text.
    """

    name: str
    does: str
    makes: tuple[Sizes, ...]
    reads: tuple[str, ...]
    rest: str

    @property
    def source(self) -> str:
        """Which operation of the traced function it comes from, such as jit(step)/dot_general."""
        found = SOURCE.search(self.rest)
        return found[1] if found else ""

    @property
    def called(self) -> list[str]:
        """The computations that it runs."""
        return CALLED.findall(self.rest)


class Hlo:
    """The instructions of a compiled program.

    Args:
      text: what `compiled.as_text()` gives.

    Attributes:
      instructions: all, by name, those inside others too.
      entry: the names of those that the program itself runs, in order.

    Raises:
      ValueError: it holds no instruction.
    """

    def __init__(self, text: str):
        self.instructions: dict[str, Instruction] = {}
        self.entry: list[str] = []
        self._computations: dict[str, list[str]] = {}
        members: list[str] = []
        for line in text.splitlines():
            if begun := COMPUTATION.match(line):
                members = self._computations.setdefault(begun[1], [])
                self.entry = members if line.startswith("ENTRY") else self.entry
            elif found := _instruction(line):
                self.instructions[found.name] = found
                members.append(found.name)
        if not self.instructions:
            raise ValueError("the text has no instructions; that of a compiled program would fit")

    def flops(self, name: str) -> int:
        """How many numbers an instruction computes, with all that it runs; see the module.

        A loop counts as one round: how many it makes is not in its text.
        """
        one = self.instructions[name]
        if one.does in ("fusion", *HOLDERS):
            return sum(self.flops(inner) for inner in self._inside(one))
        if one.does == "dot":
            return 2 * one.makes[0].numbers * self._contracted(one)
        if one.does == "convolution":
            return 2 * one.makes[0].numbers * self._window(one)
        if one.does in ("reduce", "reduce-window", "sort", "scatter", "select-and-scatter"):
            return sum(made.numbers for read in one.reads[:1] for made in self._made(read))
        return 0 if one.does in MOVES else sum(made.numbers for made in one.makes)

    def bytes(self, name: str) -> int:
        """How many bytes an instruction reads and writes."""
        one = self.instructions[name]
        read = (made for reads in one.reads for made in self._made(reads))
        return sum(made.bytes for made in (*read, *one.makes))

    def _inside(self, one: Instruction) -> Iterator[str]:
        for computation in one.called:
            yield from self._computations.get(computation, ())

    def _made(self, name: str) -> tuple[Sizes, ...]:
        one = self.instructions.get(name)
        return () if one is None else one.makes

    def _contracted(self, one: Instruction) -> int:
        """The numbers that a matrix product adds up for each of its results."""
        found = re.search(r"lhs_contracting_dims=\{([0-9,]*)\}", one.rest)
        made = self._made(one.reads[0])
        if found is None or not made:
            return 1
        return math.prod(made[0].shape[int(at)] for at in found[1].split(",") if at)

    def _window(self, one: Instruction) -> int:
        """The numbers that a convolution adds up for each of its results."""
        found = re.search(r"dim_labels=\w+_(\w+)->", one.rest)
        made = self._made(one.reads[1])
        if found is None or not made:
            return 1
        sizes: Mapping[str, int] = dict(zip(found[1], made[0].shape, strict=True))
        return math.prod(size for letter, size in sizes.items() if letter != "o")


def _instruction(line: str) -> Instruction | None:
    head = HEAD.match(line)
    if head is None:
        return None
    made, rest = _first(line[head.end() :])
    does, _, rest = rest.strip().partition("(")
    reads, rest = _first(f"({rest}")
    sizes = tuple(
        Sizes(dtype, tuple(int(size) for size in shape.split(",") if size))
        for dtype, shape in SHAPE.findall(made)
    )
    return Instruction(head[1], does, sizes, tuple(re.findall(r"%([\w.\-]+)", reads)), rest)


def _first(text: str) -> tuple[str, str]:
    """A text's first word, or all between its first parenthesis and the one that closes it."""
    if not text.startswith("("):
        word, _, rest = text.partition(" ")
        return word, rest
    depth = 0
    for at, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if not depth:
            return text[: at + 1], text[at + 1 :]
    return text, ""
