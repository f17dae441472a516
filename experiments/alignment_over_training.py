"""When does attention learn to align?

Question: how do the alignment error rates of the best cross-attention head and of the mean over
heads fall during training, at the position that predicts a word and at that which has read it?
Source: Och and Ney 2003 (the error rate); Garg et al. 2019; Chen et al. 2020 (the two positions).
Command: python experiments/alignment_over_training.py [--smoke] [--out FOLDER]
"""

import argparse
import json
from functools import partial
from pathlib import Path
from typing import get_args

import numpy as np

from attention_jax.analysis.alignment import Reading
from attention_jax.analysis.heads import over_training
from attention_jax.data import DataConfig
from attention_jax.experiment import Experiment, run
from attention_jax.models.transformer import TransformerConfig
from attention_jax.training.loop import TrainingConfig
from attention_jax.training.optimizer import OptimizerConfig
from attention_jax.views.style import looks, panel, styled

DATA = DataConfig(vocabulary=1_500, max_length=32, batch_tokens=2_048)
MODEL = TransformerConfig("tiny", 1_500, 64, 2, 2, heads=4, feed_forward=256, dropout=0.0)
COLUMNS = ("best head", "mean of the heads' errors", "heads' mean, best layer")


def experiment(steps: int, every: int) -> Experiment:
    optimizer = OptimizerConfig(schedule="cosine", peak=6e-3, warmup=min(100, steps // 4))
    training = TrainingConfig(
        steps, optimizer, 0.0, every, every, checkpoint_every=every, keep=steps // every
    )
    return Experiment("alignment", data=DATA, model=MODEL, training=training)


def errors(chosen: dict, judged: dict) -> dict[str, float]:
    """Error rates on one split of the head and of the layer that are best on another."""
    here, there = (
        [head["alignment_error"] for head in one["heads"] if head["part"] == "cross"]
        for one in (chosen, judged)
    )
    mean = judged["mean_alignment_error"][np.argmin(chosen["mean_alignment_error"])]
    return dict(zip(COLUMNS, (there[np.argmin(here)], np.mean(there).item(), mean), strict=True))


def plot(lines: list[dict], path: Path) -> None:
    with styled("light"):
        figure, axes = panel("training step", "alignment error rate", "light")
        for name, (color, marker, _) in looks(COLUMNS, "light").items():
            for reading, dashes in zip(get_args(Reading), ("-", ":"), strict=True):
                points = [(one["step"], one[name]) for one in lines if one["reading"] == reading]
                (line,) = axes.plot(*zip(*points, strict=True), color=color, linestyle=dashes)
                line.set(marker=marker, markersize=4, label=f"{name}, {reading}")
        axes.legend(fontsize=7)
        figure.savefig(path, dpi=160)


def main(arguments=None) -> None:
    parser = argparse.ArgumentParser(description="When does attention learn to align?")
    parser.add_argument("--smoke", action="store_true", help="8 steps and 32 sentences")
    parser.add_argument("--out", type=Path, default=Path("runs/alignment_over_training"))
    options = parser.parse_args(arguments)
    steps, every, sentences = (8, 2, 32) if options.smoke else (800, 50, 512)
    run(experiment(steps, every), options.out / "run")
    lines, look = [], partial(over_training, options.out / "run", sentences=sentences)
    for reading in get_args(Reading):
        sets = (look(split=split, reading=reading) for split in ("validation", "test"))
        for chosen, judged in zip(*sets, strict=True):
            lines.append({"step": judged["step"], "reading": reading, **errors(chosen, judged)})
            print(json.dumps(lines[-1]), flush=True)
    (options.out / "errors.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    plot(lines, options.out / "errors.png")


if __name__ == "__main__":
    main()
