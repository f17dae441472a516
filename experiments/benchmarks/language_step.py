"""How long does one step of a language model take, against PyTorch eager on the same cores?

Command: python experiments/benchmarks/language_step.py --torch PYTHON --jax PYTHON [PYTHON ...]

The setting is that of nanoGPT for Shakespeare on a CPU: 4 layers, 4 heads, width 128, 12 rows of 64
characters. Contenders take turns in one run, each in a process of its own; see `training_step.py`.
On a machine that others use too, `--cores 1 --clock cpu` counts what a step costs its process: with
several threads that clock would count those that only wait.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
SETTING = {
    "vocabulary": 68, "width": 128, "layers": 4, "heads": 4, "feed_forward": 512, "context": 64,
    "rows": 12, "fused": False, "cores": 2, "clock": "wall",
}  # fmt: skip


def make_batch(size: dict) -> dict:
    """Random rows of characters."""
    import random

    chance = random.Random(0)
    places, end = range(size["context"] + 1), size["vocabulary"] - 1
    rows = [[chance.randint(3, end) for _ in places] for _ in range(size["rows"])]
    return {"tokens": [row[:-1] for row in rows], "labels": [row[1:] for row in rows]}


def jax_step(size: dict, dropout: float, batch: dict):
    """A function that does one training step of this package and returns its loss."""
    import jax
    import numpy as np

    from attention_jax.data.windows import Windows
    from attention_jax.models.decoder_only import DecoderOnly, DecoderOnlyConfig
    from attention_jax.tasks.language import TRAINING
    from attention_jax.tasks.language_loss import window_loss
    from attention_jax.training.programs import Programs

    names = ("vocabulary", "width", "layers", "heads", "feed_forward", "context")
    config = DecoderOnlyConfig(**{name: size[name] for name in names}, dropout=dropout)
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

    def step() -> float:
        nonlocal state
        state, metrics = programs.step(state, rows)
        return float(metrics.loss)

    return step, f"attention_jax, jax {jax.__version__}"


def contender(library: str, size: dict, dropout: float):
    """A contender's step and its name."""
    # Before a library is imported: both make as many threads as there are cores to run on.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: size["cores"]])
    batch = make_batch(size)
    if library == "torch":
        sys.path.insert(0, str(HERE))
        from torch_language import make_step

        return make_step(size, dropout, batch)
    return jax_step(size, dropout, batch)


def main() -> None:
    """Reads the command line, measures, prints a table, and keeps the figures if asked."""
    sys.path.insert(0, str(HERE))
    from training_step import measure, serve

    if sys.argv[1:2] == ["--serve"]:
        size = json.loads(sys.argv[3])
        if size["clock"] == "cpu":
            time.perf_counter = time.process_time
        serve(*contender(sys.argv[2], size, float(sys.argv[4])))
        return
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--torch", required=True, help="an interpreter that has torch")
    parser.add_argument("--jax", nargs="+", default=[sys.executable], help="interpreters")
    parser.add_argument("--dropout", nargs="+", type=float, default=[0.0])
    parser.add_argument("--rows", type=int, default=SETTING["rows"])
    parser.add_argument("--fused", action="store_true", help="torch's fused AdamW")
    parser.add_argument("--cores", type=int, default=SETTING["cores"])
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--out", type=Path, help="a JSON file for the figures")
    options = parser.parse_args()
    names = ("rows", "fused", "cores", "clock")
    size = SETTING | {name: getattr(options, name) for name in names}
    contenders = [("torch", options.torch), *(("jax", python) for python in options.jax)]
    results = []
    for dropout in options.dropout:
        how = {"script": str(HERE / "language_step.py"), "variables": os.environ}
        records = measure(contenders, size, dropout, options.rounds, options.steps, **how)
        results.append({"size": size, "dropout": dropout, "records": records})
        for record in records:
            print(
                f"dropout {dropout}: {record['step_ms']:8.1f} ms ({options.clock})  "
                f"{record['ratio']:.3f} of torch  "
                f"first step {record['first']:.1f} s  {record['name']}",
                flush=True,
            )
    if options.out:
        options.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
