"""How many heads does a Vision Transformer need, and which of them?

Question: with the same parameters, initial arrays and batches, does it matter whether the width is
cut into 1, 2, 4 or 8 heads? And what does a trained model lose without a head, or an attention?
Source: Dosovitskiy et al. 2021 (the model); Michel et al. 2019, section 3.2 (one head gone).
Command: python experiments/vision_heads.py [--pictures DIR] [--run DIR] [--smoke] [--out DIR]
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from attention_jax.analysis.ablation import losses
from attention_jax.analysis.statistics import paired_difference
from attention_jax.data.images import PicturesConfig, as_floats, load_pictures
from attention_jax.data.rows import in_order
from attention_jax.models.vision import VisionConfig
from attention_jax.tasks.run import load, run
from attention_jax.tasks.vision import HELD, VisionTask, batch_of
from attention_jax.training.loss import Loss
from attention_jax.training.optimizer import OptimizerConfig
from attention_jax.training.step import split
from attention_jax.training.training_config import TrainingConfig

MODEL = VisionConfig(patch=7, width=64, layers=2, feed_forward=128, dropout=0.0)


def wrong(model, batch, *, rng=None, smoothing=0.0, **call):
    """How many pictures are told wrong, in the form of an objective."""
    said = model(as_floats(batch.pictures), **call).argmax(-1)
    count = ((said != batch.labels) * batch.weights).sum()
    return Loss(count, count, batch.weights.sum())


def without(folder: Path) -> dict[str, float]:
    """Per cent of the test pictures that a run's model tells wrong, whole and without parts."""
    loaded = load(folder)
    heads = loaded.task.model.every_head()
    test: Any = in_order(batch_of(load_pictures(loaded.task.data).splits["test"]), HELD)
    gone = {"nothing": []} | {str(head): [head] for head in heads}
    for place in loaded.task.model.places():
        gone[f"{place}, all heads"] = [head for head in heads if head.place == place]
    errors = losses(*split(loaded.model), test, list(gone.values()), objective=wrong)
    return {name: 100 * error for name, error in zip(gone, errors, strict=True)}


def compare(task: VisionTask, out: Path, heads: tuple[int, ...], seeds: int) -> Path:
    """Trains with each number of heads and prints a table; the folder of the last run."""
    errors, folder = {}, out
    for count in heads:
        for seed in range(seeds):
            one = replace(task, seed=seed, model=replace(task.model, heads=count))
            folder = out / f"heads-{count}-seed-{seed}"
            accuracy = run(one, folder, quiet=True)["test_accuracy"]
            errors.setdefault(count, {})[seed] = 100 * (1 - accuracy)
    print("| heads | wrong, %, by seed | minus 1 head's, 95 % interval |\n| --: | :-- | :-- |")
    for count, found in errors.items():
        gap: Any = paired_difference(found, errors[heads[0]], comparisons=len(heads) - 1)
        known = getattr(gap, "low", None) is not None  # not of one seed, nor of 1 head itself
        said = f"{gap.mean:+.2f} [{gap.low:+.2f}, {gap.high:+.2f}]" if known else ""
        print(f"| {count} | {', '.join(f'{error:.2f}' for error in found.values())} | {said} |")
    return folder


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="How many heads does a Vision Transformer need?")
    parser.add_argument("--pictures", default="digits", help="as of learn vision")
    parser.add_argument("--run", type=Path, help="judge the heads of this run, and train none")
    parser.add_argument("--out", type=Path, default=Path("runs/vision_heads"))
    parser.add_argument("--smoke", action="store_true", help="a few seconds, to see it work")
    given = parser.parse_args()
    steps, heads, seeds = (4, (1, 2), 1) if given.smoke else (430, (1, 2, 4, 8), 3)
    optimizer = OptimizerConfig(schedule="cosine", peak=3e-3, warmup=steps // 8)
    training = TrainingConfig(steps=steps, optimizer=optimizer, evaluate_every=steps)
    task = VisionTask(data=PicturesConfig(given.pictures), model=MODEL, training=training)
    folder = given.run or compare(replace(task, which="last"), given.out, heads, seeds)
    print(f"\n{folder}\n\n| without | wrong, % |\n| :-- | --: |")
    print("\n".join(f"| {name} | {error:.2f} |" for name, error in without(folder).items()))
