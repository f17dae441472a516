"""How long does one step of a language model take, against PyTorch eager on the same cores?

Command: python experiments/benchmarks/language_step.py --torch PYTHON --jax PYTHON [PYTHON ...]

The setting is that of nanoGPT for Shakespeare on a CPU: 4 layers, 4 heads, width 128, 12 rows of 64
characters. On a machine that others use too, `--cores 1 --clock cpu` counts what a step costs its
process: with several threads that clock would count those that only wait.
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
from experiments.benchmarks.bench.process import here
from experiments.benchmarks.shapes import LANGUAGE_STEP

MODULE = "experiments.benchmarks.language_step"
CONTENDERS = {"torch": "torch", "torch fused": "torch", "attention_jax": "jax"}
TOLERANCE = 0.02  # of first losses, from weights of different draws


def prepare(contender: str, case: dict) -> Prepared:
    """A training step on random rows of characters."""
    drawn = inputs.tokens(case["vocabulary"], case["rows"], case["context"] + 1)
    batch = {"tokens": [row[:-1] for row in drawn], "labels": [row[1:] for row in drawn]}
    if contender.startswith("torch"):
        from experiments.benchmarks.torch_language import make_step

        setting = {"fused": contender.endswith("fused"), "cores": len(here())}
        step, label = make_step(case | setting, case["dropout"], batch)
        return Prepared(step, lambda loss: [loss], label)
    if contender != "attention_jax":
        raise unknown(contender, CONTENDERS)
    return prepare_jax({name: case[name] for name in case if name != "rows"}, batch)


def prepare_jax(fields: dict, batch: dict) -> Prepared:
    """The step of this package's task."""
    import jax
    import numpy as np

    from attention_jax.data.windows import Windows
    from attention_jax.models.decoder_only import DecoderOnly, DecoderOnlyConfig
    from attention_jax.tasks.language import TRAINING
    from attention_jax.tasks.language_loss import window_loss
    from attention_jax.training.programs import Programs

    config = DecoderOnlyConfig(**fields)
    programs = Programs(
        lambda rngs: DecoderOnly(config, rngs=rngs),
        TRAINING.optimizer,
        steps=2_000,
        smoothing=0.0,
        rng="rbg",
        objective=window_loss,
    )
    tokens, labels = (np.asarray(batch[name], np.int32) for name in ("tokens", "labels"))
    rows = Windows(tokens, labels, np.ones(tokens.shape, np.float32))
    state = programs.start(0)

    def call() -> float:
        nonlocal state
        state, metrics = programs.step(state, rows)
        return float(jax.block_until_ready((state, metrics))[1].loss)

    return Prepared(call, lambda loss: [loss], f"jax {jax.__version__}, float32")


def groups(options: argparse.Namespace) -> Iterator[list[Entry]]:
    """One dropout after another."""
    who = command.contenders(options, CONTENDERS)
    for dropout in options.dropout:
        case = {**LANGUAGE_STEP, "rows": options.rows, "dropout": dropout}
        title = f"language step, {options.rows} rows, dropout {dropout:g}"
        yield [Entry(MODULE, one, case, title, TOLERANCE) for one in who]


def main() -> None:
    """Reads the command line and runs it."""
    parser = command.parser(__doc__, rounds=9, seconds=0.5)
    parser.add_argument("--dropout", nargs="+", type=float, default=[0.0])
    parser.add_argument("--rows", type=int, default=LANGUAGE_STEP["rows"])
    options = parser.parse_args()
    command.run(groups(options), options, peers=["torch"], show=command.table.long)


if __name__ == "__main__":
    main()
