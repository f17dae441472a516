"""How long a TPU kernel takes, by the instructions that the TPU's compiler scheduled for it.

A TPU core runs one bundle of instructions a cycle, in the order that the compiler fixed, so that a
kernel's text tells its time but for waiting on memory. Where `dumping` is in the environment before
JAX starts, libtpu writes that text of every kernel into a folder; the options are its own and not
documented (seen in libtpu 0.0.50).
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

BUNDLE = re.compile(r"^\s*(0x[0-9a-f]+|0)\s*(LB|LH|LE|PB|PF|CT)?\s*:")
REGION = re.compile(r"(Start|End) region (\d+)")
LEAST = 20
"""bundles of a branch worth telling apart"""


def dumping(folder: Path) -> dict[str, str]:
    """What must be set before JAX starts."""
    options = {
        "xla_jf_dump_to": str(folder),
        "xla_jf_dump_llo_text": "true",
        "xla_jf_dump_llo_pass_label_regex": ".*final_bundles.*",
    }
    given = " ".join(f"--{name}={value}" for name, value in options.items())
    return {"LIBTPU_INIT_ARGS": f"{os.environ.get('LIBTPU_INIT_ARGS', '')} {given}".strip()}


@dataclass(frozen=True)
class Kernel:
    """Bundles of a Pallas kernel whose grid is one loop."""

    step: int
    """run at every step of the grid"""
    tile: int
    """run besides at the steps whose tile is not skipped"""
    row: int
    """run besides where a row of tiles begins or ends"""

    def cycles(self, steps: int, tiles: int, rows: int, waiting: float = 0.0) -> float:
        """Of all the grid.

        Args:
          steps: of the grid.
          tiles: that are not skipped.
          rows: of tiles.
          waiting: cycles in which memory moves what a tile needs, behind the arithmetic of another.
        """
        return (
            (steps - tiles) * self.step
            + tiles * max(self.step + self.tile, waiting)
            + (rows * self.row)
        )


def kernel(text: str) -> Kernel:
    """What the text of final bundles says.

    Raises:
      ValueError: it has no loop.
    """
    begin, place, opened, products = None, 0, {}, []
    leaves: list[tuple[int, int]] = []
    for line in text.splitlines():
        if found := BUNDLE.match(line):
            place = int(found[1], 16)
            if found[2] == "LB" and begin is None:
                begin = place
            if "vmatmul" in line or "vmatpush" in line or "vmatprep" in line:
                products.append(place)
        for side, number in REGION.findall(line):
            if side == "Start":
                opened[number] = place
            elif number in opened and begin is not None and opened[number] >= begin:
                start = opened[number]
                if not any(start <= other for other, _ in leaves) and place - start >= LEAST:
                    leaves.append((start, place + 1))
    if begin is None:
        raise ValueError("the text of a kernel has no loop; one of a Pallas kernel would fit")
    # Branches may share bundles, where the compiler moved the beginning of one forward.
    tile, row = set(), set()
    for start, stop in leaves:
        run = any(start <= product < stop for product in products)
        (tile if run else row).update(range(start, stop))
    return Kernel(place + 1 - begin - len(tile | row), len(tile), len(row - tile))


def kernels(folder: Path) -> dict[str, Kernel]:
    """Those of the Pallas kernels that were dumped into a folder, by name; it is emptied."""
    found = {}
    for path in sorted(folder.iterdir()):
        name = re.match(r"\d+-(\w+?)(\.\d+)?-\d+-final_bundles\.txt", path.name)
        if name and "splash" in name[1]:
            found[name[1]] = kernel(path.read_text())
        path.unlink()
    return found
