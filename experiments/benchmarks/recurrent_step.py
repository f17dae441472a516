"""How long does a training step of an LSTM encoder-decoder take, against torch's nn.LSTM?

Command: python experiments/benchmarks/recurrent_step.py --torch PYTHON --jax PYTHON [PYTHON ...]

64 sentences of 32 tokens on each side, by width and layers; otherwise as `training_step.py`.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from experiments.benchmarks import inputs
from experiments.benchmarks.bench import command
from experiments.benchmarks.bench.entry import Entry
from experiments.benchmarks.bench.prepared import Prepared, unknown
from experiments.benchmarks.shapes import RECURRENT_STEP
from experiments.benchmarks.training_step import TOLERANCE, step_of

MODULE = "experiments.benchmarks.recurrent_step"
CONTENDERS = {"torch": "torch", "attention_jax": "jax"}


def prepare(contender: str, case: dict) -> Prepared:
    """A training step."""
    batch = inputs.pairs(*(case[name] for name in ("vocabulary", "rows", "length")))
    fields = {name: case[name] for name in ("vocabulary", "width", "layers", "dropout")}
    if contender == "torch":
        from experiments.benchmarks.torch_recurrent import prepare as prepare_torch

        return prepare_torch(fields, batch)
    if contender != "attention_jax":
        raise unknown(contender, CONTENDERS)
    from attention_jax.models.rnn_seq2seq import RnnSeq2Seq, RnnSeq2SeqConfig

    config = RnnSeq2SeqConfig(**fields)
    return step_of(lambda rngs: RnnSeq2Seq(config, rngs=rngs), batch)


def groups(options: argparse.Namespace) -> Iterator[list[Entry]]:
    """One size and dropout after another."""
    who = command.contenders(options, CONTENDERS)
    for name in options.sizes:
        for dropout in options.dropout:
            case = {**RECURRENT_STEP[name], "dropout": dropout}
            title = f"LSTM step, {name}, dropout {dropout:g}"
            yield [Entry(MODULE, one, case, title, TOLERANCE) for one in who]


def main() -> None:
    """Reads the command line and runs it."""
    parser = command.parser(__doc__, rounds=7, seconds=1.0)
    sizes = list(RECURRENT_STEP)
    parser.add_argument("--sizes", nargs="+", default=sizes, choices=sizes)
    parser.add_argument("--dropout", nargs="+", type=float, default=[0.0, 0.3])
    options = parser.parse_args()
    command.run(groups(options), options, peers=["torch"], show=command.table.long)


if __name__ == "__main__":
    main()
