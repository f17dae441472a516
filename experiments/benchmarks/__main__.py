"""How fast is attention_jax, beside the libraries that people would use instead?

Command: python -m experiments.benchmarks --torch PYTHON [--jax PYTHON ...] [--out FILE]

A few cases of the benchmarks in this folder: attention alone, a training step, decoding; all
contenders in turn, one table, and one picture (--picture docs/performance.png). Without --torch
only the peers in JAX are there: jax.nn and Flax.
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

from experiments.benchmarks import attention, decoding, training_step
from experiments.benchmarks.bench import command
from experiments.benchmarks.bench.entry import Entry
from experiments.benchmarks.shapes import ATTENTION

LENGTHS = (512, 2_048)
ROWS = 16
LEFT_OUT = ("reference", "chunked", "torch compile", "torch bfloat16")
"""backends that the package would not choose here; what takes long to start, or is not float32"""
PEERS = ("torch", "hugging face", "jax.nn", "flax")


def groups(options: argparse.Namespace) -> Iterator[list[Entry]]:
    """The cases, one after another."""

    def who(kinds):
        return command.contenders(options, {k: kinds[k] for k in kinds if k not in LEFT_OUT})

    for size in ATTENTION:
        if size["length"] in options.lengths:
            for both in (False, True):
                yield attention.entries(who(attention.CONTENDERS), size, ["none"], both, 4)
    yield training_step.entries(who(training_step.CONTENDERS), options.size, 0.0)
    with tempfile.TemporaryDirectory() as parent:
        for beams in (1, 4):
            them = who(decoding.CONTENDERS)
            yield decoding.entries(them, options.rows, beams, Path(parent) / "marian")


def main() -> None:
    """Reads the command line and runs it."""
    parser = command.parser(__doc__, rounds=7, seconds=1.0, choose=False)
    parser.add_argument("--lengths", nargs="+", type=int, default=LENGTHS, help="T of attention")
    parser.add_argument("--size", default="medium", choices=list(training_step.TRAINING_STEP))
    parser.add_argument("--rows", type=int, default=ROWS, help="of decoding")
    options = parser.parse_args()
    command.run(groups(options), options, peers=PEERS, show=command.table.long)


if __name__ == "__main__":
    main()
