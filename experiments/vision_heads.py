"""How many heads does a Vision Transformer need, and which of them?

Question: with the same parameters, initial arrays and batches, does it matter whether the width is
cut into 1, 2, 4 or 8 heads? And what does a trained model lose without a head, or an attention?
Source: Dosovitskiy et al. 2021 (the model); Michel et al. 2019, section 3.2 (one head gone).
Command: python experiments/vision_heads.py [--pictures DIR] [--run DIR] [--smoke] [--out DIR]
"""

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path

import jax
import numpy as np
from flax import nnx

from attention_jax.analysis.statistics import paired_difference
from attention_jax.data.images import PicturesConfig, as_floats, load_pictures
from attention_jax.data.rows import in_order
from attention_jax.models.vision import VisionConfig
from attention_jax.tasks.run import load, run
from attention_jax.tasks.vision import HELD, VisionTask, batch_of
from attention_jax.training.optimizer import OptimizerConfig
from attention_jax.training.step import split
from attention_jax.training.training_config import TrainingConfig

MODEL = VisionConfig(patch=7, width=64, layers=2, feed_forward=128, dropout=0.0)


@partial(jax.jit, static_argnums=0)
def wrong(graph, params, batch, gates_LH):
    """How many pictures are told wrong with the heads' outputs times these gates."""

    def gated(place, outputs):
        return outputs * gates_LH[place.layer].reshape(1, 1, -1, 1)

    logits = nnx.merge(graph, params)(as_floats(batch.pictures), heads=gated)
    return ((logits.argmax(-1) != batch.labels) * batch.weights).sum()


def ablation(folder: Path) -> dict[str, float]:
    """The share of test pictures told wrong by a run's model, whole and without parts of it."""
    loaded = load(folder)
    (graph, params), config = split(loaded.model), loaded.task.model
    test = batch_of(load_pictures(loaded.task.data).splits["test"])
    gates = {"nothing": np.ones((config.layers, config.heads), np.float32)}
    for head in config.every_head():
        gates[str(head)] = gates["nothing"].copy()
        gates[str(head)][head.layer, head.head] = 0
    for place in config.places():
        gates[f"{place}, all heads"] = gates["nothing"].copy()
        gates[f"{place}, all heads"][place.layer] = 0
    sums = {
        k: sum(wrong(graph, params, b, g) for b in in_order(test, HELD)) for k, g in gates.items()
    }
    return {name: float(count) / len(test.labels) for name, count in sums.items()}


def main(task: VisionTask, out: Path, heads: tuple[int, ...], seeds: int, judged: Path | None):
    print(
        "| heads | wrong, % of test, by seed | minus 1 head's, 95 % interval |\n| --: | :-- | :-- |"
    )
    errors, folder = {}, out
    for count in heads:
        for seed in range(seeds):
            one = replace(task, seed=seed, model=replace(task.model, heads=count))
            folder = out / f"heads-{count}-seed-{seed}"
            accuracy = run(one, folder, quiet=True)["test_accuracy"]
            errors.setdefault(count, {})[seed] = 100 * (1 - accuracy)
        found = paired_difference(
            errors[count], errors[heads[0]], comparisons=max(1, len(heads) - 1)
        )
        less = f"{found.mean:+.2f} [{found.low:+.2f}, {found.high:+.2f}]" if found else ""
        said = ", ".join(f"{error:.2f}" for error in errors[count].values())
        print(f"| {count} | {said} | {less} |", flush=True)
    print(f"\n{judged or folder}:\n\n| without | wrong, % of test |\n| :-- | --: |")
    for name, share in ablation(judged or folder).items():
        print(f"| {name} | {100 * share:.2f} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="How many heads does a Vision Transformer need?")
    parser.add_argument(
        "--pictures", default="digits", help="as of `learn vision`; default: digits"
    )
    parser.add_argument(
        "--run", type=Path, help="whose heads are taken away; default: the last one"
    )
    parser.add_argument("--out", type=Path, default=Path("runs/vision_heads"))
    parser.add_argument("--smoke", action="store_true", help="a few seconds, to see it work")
    given = parser.parse_args()
    steps, heads, seeds = (4, (1, 2), 1) if given.smoke else (860, (1, 2, 4, 8), 3)
    optimizer = OptimizerConfig(schedule="cosine", peak=3e-3, warmup=steps // 8)
    training = TrainingConfig(steps=steps, optimizer=optimizer, evaluate_every=steps)
    data = PicturesConfig(given.pictures)
    task = VisionTask(data=data, model=MODEL, training=training, which="last")
    main(task, given.out, heads, seeds, given.run)
