"""Does attention to speech go forward by itself, and to where each word is said?

Question: nothing in a Transformer says that sounds come in the order in which they are written.
What does each head that reads the sound learn: does its centre move forward from digit to digit,
does it lie where the digit is said, and is it so in both layers? Of speakers who were never heard.
Source: Radford et al. 2022 (the model); Chorowski et al. 2015, section 2 (alignments go forward).
Command: python experiments/speech_attention.py [--seeds 1] [--data.written characters] [--smoke]
"""

import json
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

from attention_jax.data.spoken_digits import SpokenDigitsConfig
from attention_jax.models.speech import SpeechConfig
from attention_jax.options import answered, parse
from attention_jax.tasks.run import load, run
from attention_jax.tasks.speech import SpeechTask
from attention_jax.training.training_config import TrainingConfig
from attention_jax.views.speech_view import picture

PROGRAM = "experiments/speech_attention.py"
SMALL = SpeechTask(
    data=SpokenDigitsConfig(clips=16, held=4, speakers=4, digits=2, mels=8, batch=8),
    model=SpeechConfig(mels=8, width=16, heads=2, feed_forward=32),
    training=TrainingConfig(steps=4, evaluate_every=2, checkpoint_every=2),
)


@dataclass(frozen=True)
class Options:
    """What the command line says."""

    task: SpeechTask = field(default_factory=SpeechTask)
    """data, model and training"""
    seeds: int = 1
    """trainings that differ in nothing but their seed"""
    out: Path = Path("runs/speech_attention")
    """where runs and the picture go"""
    smoke: bool = False
    """seconds instead of minutes; the task's own options then count for nothing"""


def rows(seed: int, following: dict) -> list[str]:
    """A line of a Markdown table for each head."""
    names, found = ("forward", "inside", "order"), []
    for place, one in following.items():
        for head, values in enumerate(zip(*(one[name] for name in names), strict=True), start=1):
            cells = [f"{value:.3f}" for value in (*values, one["uniform"])]
            found.append(f"| {seed} | {place} | {head} | {' | '.join(cells)} |")
    return found


def main() -> None:
    options = parse(Options, PROGRAM, sys.argv[1:])
    task, table = SMALL if options.smoke else options.task, []
    for seed in range(options.seeds):
        folder = options.out / f"seed{seed}"
        found = run(replace(task, seed=seed, name=folder.name), folder)
        kept = "validation_digits", "validation_exact", "test_digits", "test_exact"
        print(json.dumps({"seed": seed} | {name: found[name] for name in kept}), flush=True)
        table += rows(seed, found["following"])
        picture(load(folder), file=folder / "attention.png")
    print("| seed | attention | head | forward | inside | order | inside, if uniform |")
    print("\n".join(["| --- " * 7 + "|", *table]))


if __name__ == "__main__":
    raise SystemExit(answered(PROGRAM, main))
