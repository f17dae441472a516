"""How long does a training step of an LSTM encoder-decoder take, against torch's nn.LSTM?

Command: python experiments/benchmarks/recurrent_step.py --torch PYTHON --jax PYTHON [PYTHON ...]

As `training_step.py`: each contender is a process of its own, all under the same settings of the
memory allocator, and rounds go in turn. Reported: the median over rounds of each round's median
step, and its ratio to PyTorch's.
"""

import argparse
import json
import sys
from pathlib import Path

from training_step import HERE, make_batch, measure, serve

SIZES = {
    f"{width} x {layers}": dict(vocabulary=8_192, width=width, layers=layers, rows=64, length=32)
    for width in (256, 512)
    for layers in (1, 2)
}
"""Width and layers; 64 sentences of 32 tokens on each side."""


def jax_step(size: dict, dropout: float, batch: dict):
    """A function that does one training step of this package and returns its loss."""
    import jax
    import numpy as np
    import optax
    from flax import nnx

    from attention_jax.data.batches import Batch
    from attention_jax.models.rnn_seq2seq import RnnSeq2Seq, RnnSeq2SeqConfig
    from attention_jax.training.step import initial_state, make_train_step, split

    fields = {name: size[name] for name in ("vocabulary", "width", "layers")}
    config = RnnSeq2SeqConfig(**fields, dropout=dropout)

    def make(rngs: nnx.Rngs) -> RnnSeq2Seq:
        return RnnSeq2Seq(config, rngs=rngs)

    graph, _ = split(nnx.eval_shape(lambda: make(nnx.Rngs(0))))
    optimizer = optax.adam(1e-4, b1=0.9, b2=0.98)
    state = jax.jit(lambda: initial_state(make, optimizer, 0))()
    train_step = make_train_step(graph, optimizer, smoothing=0.1)
    arrays = {name: np.asarray(rows, np.int32) for name, rows in batch.items()}
    padded = Batch(**arrays, weights=np.ones(arrays["source"].shape, np.float32))

    def step() -> float:
        nonlocal state
        state, metrics = train_step(state, padded)
        return float(metrics.loss)

    return step, f"attention_jax, jax {jax.__version__}"


def contender(library: str, size: dict, dropout: float):
    """A contender's step and its name."""
    if library == "torch":
        from torch_recurrent import make_step

        return make_step(size, dropout, make_batch(size))
    return jax_step(size, dropout, make_batch(size))


def main() -> None:
    """Reads the command line, measures, prints a table, and keeps the figures if asked."""
    if sys.argv[1:2] == ["--serve"]:
        serve(*contender(sys.argv[2], json.loads(sys.argv[3]), float(sys.argv[4])))
        return
    sys.path.insert(0, str(HERE.parents[1]))
    from attention_jax.training.allocator import warmed

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--torch", required=True, help="an interpreter that has torch")
    parser.add_argument("--jax", nargs="+", default=[sys.executable], help="interpreters")
    parser.add_argument("--sizes", nargs="+", default=list(SIZES), choices=list(SIZES))
    parser.add_argument("--dropout", nargs="+", type=float, default=[0.0, 0.3])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--out", type=Path, help="a JSON file for the figures")
    options = parser.parse_args()
    contenders = [("torch", options.torch), *(("jax", python) for python in options.jax)]
    turns = {"rounds": options.rounds, "steps": options.steps}
    served = {"script": __file__, "variables": warmed()}
    results = []
    for name in options.sizes:
        for dropout in options.dropout:
            records = measure(contenders, SIZES[name], dropout, **turns, **served)
            results.append({"size": name, "dropout": dropout, "records": records})
            for record in records:
                print(
                    f"{name:8} dropout {dropout}: {record['step_ms']:8.1f} ms  "
                    f"{record['ratio']:.3f} of torch  first step {record['first']:.1f} s  "
                    f"{record['name']}",
                    flush=True,
                )
    if options.out:
        options.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
