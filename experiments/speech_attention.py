"""Does attention to speech go forward by itself, and to where each word is said?

Question: nothing in a Transformer says that sounds come in the order in which they are written. What
does each head that reads the sound learn: does its centre move forward from digit to digit, does it
lie where the digit is said, and is it so in both layers? By speakers who were never heard.
Source: Radford et al. 2022 (the model); Chorowski et al. 2015, section 2 (alignments go forward).
Command: python experiments/speech_attention.py [--seeds 1] [--data.written characters] [--smoke]
"""

import json
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from attention_jax.data.spoken_digits import SpokenDigitsConfig, heard, spoken
from attention_jax.models.speech import SpeechConfig
from attention_jax.options import answered, parse
from attention_jax.tasks.run import load, run
from attention_jax.tasks.speech import SpeechTask
from attention_jax.training.training_config import TrainingConfig
from attention_jax.views.speech_view import attention_over_time, listened

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


def picture(folder: Path, file: Path) -> None:
    """The test clip with the most to say, and where each head listens."""
    loaded = load(folder)
    data = loaded.task.data
    clips = heard(spoken(data, "test"), data)
    at = int(np.argmax((clips.tokens != 0).sum(-1)))
    one = type(clips)(*(x[at : at + 1] for x in clips))
    tokens, found = listened(loaded.model, one, data)
    names, title = [data.names[token] for token in tokens], f"Test clip {at}"
    # Of a text that is not the one that was said nobody knows when its tokens were.
    right = tokens == one.tokens[0, : len(tokens)].tolist()
    spans = one.spans[0, : len(tokens)] if right else None
    frames = one.frames[0, : one.lengths[0]]
    attention_over_time(frames, found["cross"], names, spans=spans, title=title, file=file)


def main() -> None:
    options = parse(Options, PROGRAM, sys.argv[1:])
    task, row = SMALL if options.smoke else options.task, "| {} | {} | {} | {:.3f} | {:.3f} | {:.3f} |"
    for seed in range(options.seeds):
        folder = options.out / f"seed{seed}"
        found = run(replace(task, seed=seed, name=folder.name), folder)
        scores = found["scores"] if "scores" in found else found
        print(json.dumps({"seed": seed} | {k: v for k, v in scores.items() if "_digits" in k or "_exact" in k}))
        print("| seed | attention | head | forward | inside | order |\n|---|---|---|---|---|---|")
        for place, one in scores["following"].items():
            for head, values in enumerate(zip(*(one[n] for n in ("forward", "inside", "order")), strict=True)):
                print(row.format(seed, place, head + 1, *values))
            print(f"a head that looks everywhere alike: inside {one['uniform']:.3f}")
        picture(folder, folder / "attention.png")


if __name__ == "__main__":
    raise SystemExit(answered(PROGRAM, main))
