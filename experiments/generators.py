"""Do generated digits show what they were to show, and what does it take?

Question: how do steps and guidance change what a trained Diffusion Transformer makes (Ho and
Salimans 2022), and what is left of a trained Self-Attention GAN's pictures when its generator may
not attend (Zhang et al. 2019)? A convolutional judge that has seen real pictures alone answers.
Command: python experiments/generators.py --diffusion RUN --sagan RUN [--smoke] [--out FOLDER]
"""

import argparse
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from attention_jax.data.images import PicturesConfig, as_bytes, load_pictures
from attention_jax.models.diffusion import DiffusionConfig
from attention_jax.models.sagan import SaganConfig
from attention_jax.tasks import diffusion, sagan
from attention_jax.tasks.judging import JudgingConfig, Panel
from attention_jax.tasks.run import load, run


@dataclass(frozen=True)
class Size:
    pictures: int = 1_000  # made each way
    judge_steps: int = 1_500
    steps: tuple[int, ...] = (2, 6, 24)  # of Euler, at a guidance of 2
    guidance: tuple[float, ...] = (0.0, 1.0, 4.0)  # in the middle number of steps


SMOKE = Size(20, 2, (1, 2, 3), (0.0, 4.0))


def study(runs: dict[str, Path], size: Size) -> list[dict]:
    """A record for each way of making pictures."""
    one, other = load(runs["diffusion"]), load(runs["sagan"])
    pictures = load_pictures(one.task.data)
    panel = Panel(pictures, size.judge_steps)
    labels = np.arange(size.pictures, dtype=np.int32) % len(pictures.classes)
    middle, records = size.steps[len(size.steps) // 2], []
    ways = [(steps, 2.0) for steps in size.steps] + [(middle, by) for by in size.guidance]
    for steps, guidance in ways:
        how = diffusion.SamplingConfig(one.task.sampling.sampler or "euler", steps, guidance)
        made = as_bytes(diffusion.sampled(one.model, labels, how, seed=1))
        way = f"diffusion, {how.sampler}, {steps} steps, guidance {guidance:g}"
        records.append({"way": way, **panel.figures(made, labels)})
    gamma = other.model.generator.attention.gamma
    for way in ("sagan, as learned", "sagan, without the generator's attention"):
        made = as_bytes(sagan.sampled(other.model, labels, seed=1))
        records.append({"way": way, **panel.figures(made, labels)})
        other.model.generator.attention.gamma[...] = (
            0.0 * other.model.generator.attention.gamma[...]
        )
    return [*records, {"way": "scale", **panel.scale(size.pictures)}]


def tiny(out: Path) -> dict[str, Path]:
    """Two runs that have learned next to nothing, in seconds."""
    config = DiffusionConfig(patch=14, width=8, layers=1, heads=2, feed_forward=8, frequencies=4)
    other = sagan.SaganTask(model=SaganConfig(latent=4, features=2, head_size=2))
    data, judging = PicturesConfig(limit=40, batch=8), JudgingConfig(10, 0)
    tasks = (diffusion.DiffusionTask(model=config), other)
    for task in tasks:
        training = replace(task.training, steps=2)
        changes = {"data": data, "judging": judging, "training": training}
        run(replace(task, **changes), out / task.kind, quiet=True)
    return {task.kind: out / task.kind for task in tasks}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Do generated digits show what they were to show?")
    parser.add_argument("--diffusion", type=Path, help="folder of a run of that task")
    parser.add_argument("--sagan", type=Path, help="folder of a run of that one")
    parser.add_argument("--smoke", action="store_true", help="tiny runs of its own, in seconds")
    parser.add_argument("--out", type=Path, default=Path("runs/generators"))
    options = parser.parse_args()
    runs, size = {"diffusion": options.diffusion, "sagan": options.sagan}, Size()
    if options.smoke:
        runs, size = tiny(options.out), SMOKE
    elif None in runs.values():
        parser.error("--diffusion RUN and --sagan RUN are needed, or --smoke")
    found = study(runs, size)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "records.json").write_text(json.dumps(found, indent=2))
    for one in found:
        numbers = [f"{value:.3f}" for value in one.values() if isinstance(value, float)]
        print(f"| {' | '.join([one['way'], *numbers])} |")
