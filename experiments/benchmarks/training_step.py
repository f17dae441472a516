"""How long does one training step take, against PyTorch and against Flax as users write them?

Command: python experiments/benchmarks/training_step.py --torch PYTHON --jax PYTHON [PYTHON ...]

An encoder-decoder on 64 x 32 tokens a side, Adam, label smoothing; the peers are PyTorch eager, the
same with its fused Adam, under torch.compile (which takes most of a minute to start), and in
bfloat16 by autocast, and a plain NNX training step. By default the allocator is kept warm for all;
--no-warm leaves it as it is for all. What is compiled ahead counts as prepared, not as the first
call. Weights are drawn by each library, so first losses must be near, not equal.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from experiments.benchmarks import inputs
from experiments.benchmarks.bench import command
from experiments.benchmarks.bench.entry import Contender, Entry
from experiments.benchmarks.bench.prepared import Prepared, unknown
from experiments.benchmarks.shapes import TRAINING_STEP

MODULE = "experiments.benchmarks.training_step"
CONTENDERS = {
    "torch": "torch", "torch fused": "torch", "torch compile": "torch", "torch bfloat16": "torch",
    "flax": "jax", "attention_jax": "jax", "attention_jax bfloat16": "jax",
}  # fmt: skip
PEERS = ("torch", "flax")
TOLERANCE = 0.02  # of first losses, from weights of different draws


def prepare(contender: str, case: dict) -> Prepared:
    """A training step; see `case`."""
    if contender not in CONTENDERS:
        raise unknown(contender, CONTENDERS)
    batch = inputs.pairs(*(case[name] for name in ("vocabulary", "rows", "length")))
    fields = {name: case[name] for name in case if name not in ("rows", "length")}
    if contender.startswith("torch"):
        from experiments.benchmarks.torch_transformer import prepare as prepare_torch

        return prepare_torch(contender, fields, batch)
    if contender == "flax":
        from experiments.benchmarks.flax_transformer import prepare as prepare_flax

        return prepare_flax(fields, batch)
    from attention_jax.models.transformer import Transformer, TransformerConfig

    config = TransformerConfig(**fields)
    compute = "bfloat16" if contender.endswith("bfloat16") else "float32"
    return step_of(lambda rngs: Transformer(config, rngs=rngs), batch, compute)


def step_of(make: Callable[[Any], Any], batch: dict, compute: str = "float32") -> Prepared:
    """The step by which this package trains a model that translates."""
    import jax
    import numpy as np
    import optax
    from flax import nnx

    from attention_jax.data.batches import Batch
    from attention_jax.training.step import initial_state, split, train_step

    graph, _ = split(nnx.eval_shape(lambda: make(nnx.Rngs(0))))
    optimizer = optax.adam(1e-4, b1=0.9, b2=0.98)
    state = jax.jit(lambda: initial_state(make, optimizer, 0))()
    step = train_step(graph, optimizer, smoothing=0.1, rng="rbg", compute=compute)
    arrays = {name: np.asarray(rows, np.int32) for name, rows in batch.items()}
    padded = Batch(**arrays, weights=np.ones(arrays["source"].shape, np.float32))
    program = jax.jit(step, donate_argnums=0).lower(state, padded).compile()

    def call() -> float:
        nonlocal state
        state, metrics = program(state, padded)
        return float(jax.block_until_ready((state, metrics))[1].loss)

    label = f"jax {jax.__version__}, {compute}"
    return Prepared(call, lambda loss: [loss], label, ahead=True)


def case(size: str, dropout: float) -> dict:
    """One of the sizes, with the fields of the model's config, rows and length."""
    return {**TRAINING_STEP[size], "dropout": dropout}


def entries(who: Sequence[Contender], size: str, dropout: float) -> list[Entry]:
    """One size takes turns."""
    title = f"{size} training step, dropout {dropout:g}"
    return [Entry(MODULE, one, case(size, dropout), title, TOLERANCE) for one in who]


def groups(options: argparse.Namespace) -> Iterator[list[Entry]]:
    """One size and dropout after another."""
    who = command.contenders(options, CONTENDERS)
    for size in options.sizes:
        for dropout in options.dropout:
            yield entries(who, size, dropout)


def main() -> None:
    """Reads the command line and runs it."""
    parser = command.parser(__doc__, rounds=7, seconds=1.5)
    parser.add_argument("--sizes", nargs="+", default=["medium"], choices=list(TRAINING_STEP))
    parser.add_argument("--dropout", nargs="+", type=float, default=[0.0, 0.1])
    options = parser.parse_args()
    command.run(groups(options), options, peers=PEERS, show=command.table.long)


if __name__ == "__main__":
    main()
