"""Does our language model learn Shakespeare as well as nanoGPT's does, and how sure is the figure?

Question: nanoGPT prints a validation loss of 1.88 for its setting for a CPU, from 20 random
batches. What is ours over all held-out text, for several seeds, and by how much does such an
estimate scatter? With `--torch`, the same form in PyTorch (which needs safetensors there) learns
from the same batches at the same rates.
Source: Karpathy 2023, nanoGPT (the setting; the code is our own).
Command: python experiments/shakespeare.py --text FILE [--seeds 3] [--torch PYTHON] [--smoke]
"""

import argparse
import json
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
from flax import nnx

from attention_jax.data.passages import PassagesConfig
from attention_jax.data.windows import Windows, drawn_windows
from attention_jax.interop import read_tensors, write_tensors
from attention_jax.models.decoder_only import DecoderOnly
from attention_jax.tasks.language import LanguageTask
from attention_jax.tasks.run import load, run
from attention_jax.training.optimizer import learning_rate
from attention_jax.training.step import split

PEER = Path(__file__).parent / "benchmarks" / "torch_language.py"
BATCHES, ESTIMATES = 20, 2_000
"""random batches of an estimate as nanoGPT prints it; estimates drawn to see them scatter"""


def losses(model: DecoderOnly, held: Windows) -> np.ndarray:
    """The negative log-likelihood of each label, [N, T], in nats."""
    graph, params = split(model)

    @jax.jit
    def nll(params, tokens, labels):
        logits = nnx.merge(graph, params)(tokens[:, :0], tokens)
        chosen = jax.numpy.take_along_axis(jax.nn.log_softmax(logits), labels[..., None], -1)
        return -chosen[..., 0]

    return np.asarray(nll(params, held.tokens, held.labels))


def peer(python: str, task: LanguageTask, held: Windows, size: int) -> np.ndarray:
    """The same of a model of PyTorch that has learned from the task's own batches."""
    model, steps = task.model, task.training.steps
    plan = task.work().plan
    batches = [plan[n] for n in range(steps)]
    names = ("width", "layers", "heads", "feed_forward", "context")
    setting = {name: getattr(model, name) for name in names}
    setting |= {"vocabulary": size, "cores": 1, "fused": True, "seed": task.seed}
    rates = [learning_rate(task.training.optimizer, steps, n) for n in range(steps)]
    arrays = {
        "tokens": np.stack([batch.tokens for batch in batches]),
        "labels": np.stack([batch.labels for batch in batches]),
        "rates": np.array(rates),
        "held_tokens": held.tokens,
        "held_labels": held.labels,
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "batches.safetensors"
        write_tensors(file, arrays)
        subprocess.run([python, str(PEER), json.dumps(setting), str(file)], check=True)
        return read_tensors(f"{file}.losses")["losses"]


def scatter(model: DecoderOnly, text: np.ndarray, rows: int) -> tuple[float, float]:
    """Mean and standard deviation of estimates from `BATCHES` random batches of the held-out text.

    Windows that begin anywhere are as many as characters; a drawn tenth stands for them.
    """
    length, chance = model.config.context, np.random.Generator(np.random.PCG64(0))
    windows = drawn_windows(text, length, min(len(text) // 10, 10_000))(chance)
    parts = np.array_split(np.arange(len(windows.tokens)), max(1, len(windows.tokens) // 1_000))
    each = [losses(model, Windows(*(side[part] for side in windows))).mean(1) for part in parts]
    each = np.concatenate(each)
    drawn = chance.integers(0, len(each), (ESTIMATES, BATCHES * rows))
    estimates = each[drawn].mean(1)
    return float(estimates.mean()), float(estimates.std())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--text", type=Path, help="tiny Shakespeare; else the phrasebook")
    parser.add_argument("--torch", help="an interpreter that has torch")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--peak", type=float, default=1e-3, help="rate; nanoGPT's is 1e-3")
    parser.add_argument("--smoke", action="store_true", help="4 steps, one seed")
    parser.add_argument("--out", type=Path, default=Path("runs/shakespeare"))
    given = parser.parse_args()
    task = LanguageTask(data=PassagesConfig(given.text))
    training = replace(task.training, optimizer=replace(task.training.optimizer, peak=given.peak))
    if given.smoke:
        training = replace(training, steps=4, evaluate_every=2, checkpoint_every=2)
    for seed in range(1 if given.smoke else given.seeds):
        one = replace(task, seed=seed, name=f"seed{seed}", training=training)
        run(one, given.out / one.name, quiet=True)
        loaded = load(given.out / one.name)
        rows = loaded.work.validation
        real = np.concatenate([batch.weights for batch in rows]).any(1)
        held = Windows(*(np.concatenate(sides)[real] for sides in zip(*rows, strict=True)))
        found = np.average(losses(loaded.model, held), weights=held.weights)
        text = held.tokens[held.weights != 0]
        mean, deviation = scatter(loaded.model, text, one.data.rows)
        record = {
            "seed": seed,
            "held_out_loss": round(float(found), 4),
            "of_20_batches": {"mean": round(mean, 4), "deviation": round(deviation, 4)},
        }
        if given.torch:
            size = loaded.model.config.vocabulary
            theirs = peer(given.torch, one, held, size)
            record["torch"] = round(float(np.average(theirs, weights=held.weights)), 4)
        print(json.dumps(record), flush=True)


if __name__ == "__main__":
    main()
