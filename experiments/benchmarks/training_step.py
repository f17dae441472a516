"""How long does one training step take, against PyTorch eager on the same two cores?

Command: python experiments/benchmarks/training_step.py --torch PYTHON --jax PYTHON [PYTHON ...]

Each contender is a process of its own, with the interpreter given; rounds go in turn, so that a
slow minute of the machine hits all alike. Reported: the median over rounds of each round's median
step, and its ratio to PyTorch's.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).resolve().parent


def make_batch(size: dict) -> dict:
    """Random full-length sentences: every position counts."""
    import random

    source = random.Random(0)
    rows, length = size["rows"], size["length"]

    def tokens():
        return [
            [source.randrange(3, size["vocabulary"]) for _ in range(length)] for _ in range(rows)
        ]

    target = tokens()
    return {
        "source": tokens(),
        "target_in": [[1, *row[:-1]] for row in target],
        "target_out": target,
    }


def jax_step(size: dict, dropout: float, batch: dict):
    """A function that does one training step of this package and returns its loss."""
    import jax
    import numpy as np
    import optax
    from flax import nnx

    from attention_jax.data.batches import Batch
    from attention_jax.models.transformer import Transformer, TransformerConfig
    from attention_jax.training.step import initial_state, make_train_step, split

    fields = {name: value for name, value in size.items() if name not in ("rows", "length")}
    config = TransformerConfig(**fields, dropout=dropout)
    graph, _ = split(nnx.eval_shape(lambda: Transformer(config, rngs=nnx.Rngs(0))))
    optimizer = optax.adam(1e-4, b1=0.9, b2=0.98)
    state = jax.jit(
        lambda: initial_state(lambda rngs: Transformer(config, rngs=rngs), optimizer, 0)
    )()
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
    batch = make_batch(size)
    if library == "torch":
        sys.path.insert(0, str(HERE))
        from torch_transformer import make_step

        return make_step(size, dropout, batch)
    return jax_step(size, dropout, batch)


def serve(step, name: str) -> None:
    """A contender's process: for each number read, that many steps, then their times."""
    start = time.perf_counter()
    losses = [step()]
    print(json.dumps({"name": name, "first": time.perf_counter() - start}), flush=True)
    for line in sys.stdin:
        times = []
        for _ in range(int(line)):
            start = time.perf_counter()
            losses.append(step())
            times.append(time.perf_counter() - start)
        print(json.dumps({"times": times, "losses": [losses[0], losses[-1]]}), flush=True)


def measure(
    contenders: list,
    size: dict,
    dropout: float,
    rounds: int,
    steps: int,
    *,
    script: str = __file__,
    variables: Mapping[str, str] = os.environ,
) -> list[dict]:
    """Starts all contenders, lets them take turns, and returns one record each.

    `script` serves them, under these environment variables.
    """
    environment = {**variables, "PYTHONPATH": str(HERE.parents[1])}
    processes, records = [], []
    for library, python in contenders:
        command = [python, script, "--serve", library, json.dumps(size), str(dropout)]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        assert process.stdin is not None and process.stdout is not None
        processes.append(process)
        records.append(json.loads(process.stdout.readline()) | {"medians": []})
    for _ in range(rounds):
        for process, record in zip(processes, records, strict=True):
            process.stdin.write(f"{steps}\n")
            process.stdin.flush()
            answer = json.loads(process.stdout.readline())
            record["medians"].append(statistics.median(answer["times"]))
            record["losses"] = answer["losses"]
    for process in processes:
        process.stdin.close()
        process.wait()
    peer = statistics.median(records[0]["medians"])
    for record in records:
        record["step_ms"] = round(1e3 * statistics.median(record["medians"]), 1)
        record["ratio"] = round(statistics.median(record["medians"]) / peer, 3)
    return records


def main() -> None:
    """Reads the command line, measures, prints a table, and keeps the figures if asked."""
    if sys.argv[1:2] == ["--serve"]:
        serve(*contender(sys.argv[2], json.loads(sys.argv[3]), float(sys.argv[4])))
        return
    from shapes import TRAINING_STEP

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--torch", required=True, help="an interpreter that has torch")
    parser.add_argument("--jax", nargs="+", default=[sys.executable], help="interpreters")
    parser.add_argument("--sizes", nargs="+", default=["tiny"], choices=list(TRAINING_STEP))
    parser.add_argument("--dropout", nargs="+", type=float, default=[0.0, 0.3])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--out", type=Path, help="a JSON file for the figures")
    options = parser.parse_args()
    contenders = [("torch", options.torch), *(("jax", python) for python in options.jax)]
    results = []
    for name in options.sizes:
        for dropout in options.dropout:
            records = measure(
                contenders, TRAINING_STEP[name], dropout, options.rounds, options.steps
            )
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
