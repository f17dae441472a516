"""Is a grid of models faster as one program, or as runs of their own?

Command: python experiments/benchmarks/population.py [--rounds 5] [--steps 4] [--out FILE.json]

The grid of experiments/head_counts.py, 4 head counts x 3 seeds, with batches of one shape: one step
of all twelve as one program, against twelve runs in two worker processes, and in one. All processes
are fresh; rounds go in turn, so that a slow minute of the machine hits all alike. Reported: the
median over rounds, and the ratio of medians.
"""

import argparse
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

from attention_jax.comparison.command import SMALL
from attention_jax.comparison.together import Way, measure
from attention_jax.experiment import prepare
from attention_jax.training.environment import environment

HEADS = (1, 2, 4, 8)
SEEDS = (0, 1, 2)


def grid(heads=HEADS, seeds=SEEDS):
    """The default sizes of head_counts.py, with batches of one shape."""
    base = replace(SMALL, data=replace(SMALL.data, shapes=1))
    return [
        replace(base, name=f"h{h}-s{seed}", seed=seed, model=replace(base.model, heads=h))
        for seed in seeds
        for h in heads
    ]


def table(taken: dict, count: int) -> str:
    """The figures as Markdown."""
    lines = [
        f"| {count} models | seconds a step of all | times as long as one program | compiling, s |",
        "| --- | ---: | ---: | ---: |",
    ]
    one = taken["one program"].median
    for name, way in taken.items():
        lines.append(
            f"| {name} | {way.median:.3f} | {way.median / one:.2f} | {way.compile_seconds:.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Reads the command line, measures, prints a table, and keeps the figures if asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=4, help="in a round, of all models")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, help="a JSON file for the figures")
    options = parser.parse_args()
    members = grid()
    ways = {
        "one program": Way(True, 1),
        f"{options.workers} processes": Way(False, options.workers),
        "1 process": Way(False, 1),
    }
    found = prepare(members[0].data)

    def said(name: str) -> None:
        print(f"now {name}" if name else "done", file=sys.stderr, flush=True)

    rounds, steps = options.rounds, options.steps
    taken = measure(members, found, ways, rounds=rounds, steps=steps, between=said)
    print(table(taken, len(members)))
    figures = {
        "question": (__doc__ or "").splitlines()[0],
        "heads": HEADS,
        "seeds": SEEDS,
        "rounds": options.rounds,
        "steps": options.steps,
        "load": os.getloadavg(),
        "seconds": {name: way.seconds for name, way in taken.items()},
        "median": {name: way.median for name, way in taken.items()},
        "compile_seconds": {name: way.compile_seconds for name, way in taken.items()},
        "environment": environment(),
    }
    print(json.dumps(figures["environment"]))
    if options.out:
        options.out.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
