"""Does training survive kills, damage, signals, full disks and hostile text, and at what cost?

Command: python -m experiments.benchmarks.survival [--part PART] [--counts full|small] [--out FILE]

Each part runs the real command in processes of its own, on the CPU, and compares with runs that
nothing disturbed. Exit code 1 and a line for each promise that was broken. tests/survival runs
about what `small` does; the figures say how many minutes each part took.
"""

import argparse
import importlib
import json
import os
import shutil
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from attention_jax.training.environment import environment

COUNTS: dict[str, dict[str, dict[str, int]]] = {
    "kills": {"full": {"count": 100}, "small": {"count": 2}},
    "flips": {"full": {"count": 1000}, "small": {"count": 60}},
    "signals": {"full": {"count": 20}, "small": {"count": 2}},
    "disks": {"full": {"count": 8}, "small": {"count": 1}},
    "corpus": {"full": {"rounds": 500}, "small": {"rounds": 10}},
    "cost": {"full": {"rounds": 15}, "small": {"rounds": 3}},
}
"""how often each part does what it does"""


def broken(figures: dict[str, Any]) -> list[str]:
    """The promises that the figures of a part say were not kept."""
    return [*figures.get("broken", ()), *figures.get("faults", ())]


def main() -> int:
    """Reads the command line, runs the parts, keeps the figures; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--part", choices=[*COUNTS, "all"], default="all")
    parser.add_argument("--counts", choices=["full", "small"], default="small")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="a JSON file for the figures")
    options = parser.parse_args()
    parts = list(COUNTS) if options.part == "all" else [options.part]
    figures: dict[str, Any] = {}
    problems: list[str] = []
    folder = Path(tempfile.mkdtemp(prefix="survival-"))
    for part in parts:
        print(f"now {part}", file=sys.stderr, flush=True)
        began, settings = datetime.now(UTC), COUNTS[part][options.counts] | {"seed": options.seed}
        check = importlib.import_module(f"experiments.benchmarks.survival.{part}").check
        figures[part] = check(folder / part, **settings)
        figures[part]["minutes"] = round((datetime.now(UTC) - began).total_seconds() / 60, 1)
        problems += [f"{part}: {problem}" for problem in broken(figures[part])]
        if options.out:  # after each part: the next may take long
            options.out.write_text(json.dumps(_report(options, figures), indent=1) + "\n")
    print(json.dumps(figures, indent=1))
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        print(f"the runs are in {folder}", file=sys.stderr)
        return 1
    shutil.rmtree(folder)
    return 0


def _report(options: argparse.Namespace, figures: dict[str, Any]) -> dict[str, Any]:
    words = ["--part", options.part, "--counts", options.counts, "--seed", str(options.seed)]
    return {
        "question": (__doc__ or "").splitlines()[0],
        "command": " ".join(["python -m experiments.benchmarks.survival", *words]),
        "load": os.getloadavg(),
        "environment": {k: v for k, v in environment().items() if k != "command"},
        "figures": figures,
    }


if __name__ == "__main__":
    sys.exit(main())
