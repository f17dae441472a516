"""Do generated digits show what they were to show, and what does it take?

Question: how do steps and guidance change what a Diffusion Transformer makes (Ho and Salimans
2022), and what is left of a Self-Attention GAN's pictures when its generator may not attend (Zhang
et al. 2019)? A convolutional judge that has seen real pictures alone answers.
Command: python experiments/generators.py --runs DIFFUSION SAGAN [--smoke] [--out FOLDER]
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
    steps: tuple[int, ...] = (1, 3, 12)  # at a guidance of 2
    guidance: tuple[float, ...] = (0.0, 1.0, 4.0)  # in the most steps


SMOKE = Size(20, 2, (1,), (4.0,))


def study(diffuser: Path, gan: Path, size: Size) -> list[dict]:
    """A record for each way of making pictures."""
    one, other = load(diffuser), load(gan)
    panel = Panel(load_pictures(one.task.data), size.judge_steps)
    labels = np.arange(size.pictures, dtype=np.int32) % one.task.model.classes
    records, most = [], size.steps[-1]
    for steps, guidance in [(n, 2.0) for n in size.steps] + [(most, by) for by in size.guidance]:
        how = diffusion.SamplingConfig(steps=steps, guidance=guidance)
        made = as_bytes(diffusion.sampled(one.model, labels, how, seed=1))
        way = {"way": f"diffusion, {steps} steps, guidance {guidance:g}"}
        records.append(way | panel.figures(made, labels))
    gamma = other.model.generator.attention.gamma
    for way in ("sagan, as learned", "sagan, without the generator's attention"):
        made = as_bytes(sagan.sampled(other.model, labels, seed=1))
        records.append({"way": way, **panel.figures(made, labels)})
        gamma[...] = 0.0 * gamma[...]
    return [*records, {"way": "scale", **panel.scale(size.pictures)}]


def tiny(out: Path) -> list[Path]:
    """Two runs that have learned next to nothing, in seconds."""
    one = diffusion.DiffusionTask(model=DiffusionConfig(patch=14, width=8, layers=1, heads=2))
    other = sagan.SaganTask(model=SaganConfig(latent=4, features=2, head_size=2))
    small = {"data": PicturesConfig(limit=40, batch=8), "judging": JudgingConfig(10, 0)}
    for task in (one, other):
        task = replace(task, training=replace(task.training, steps=2), **small)
        run(task, out / task.kind, quiet=True)
    return [out / task.kind for task in (one, other)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="What do generated digits show?")
    parser.add_argument("--runs", type=Path, nargs=2, help="of diffusion, and of sagan")
    parser.add_argument("--smoke", action="store_true", help="tiny runs of its own, in seconds")
    parser.add_argument("--out", type=Path, default=Path("runs/generators"))
    options = parser.parse_args()
    if not (options.smoke or options.runs):
        parser.error("--runs DIFFUSION SAGAN, or --smoke, would fit")
    diffuser, gan = tiny(options.out) if options.smoke else options.runs
    found = study(diffuser, gan, SMOKE if options.smoke else Size())
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "records.json").write_text(json.dumps(found, indent=2))
    for one in found:
        numbers = [f"{value:.3f}" for value in one.values() if isinstance(value, float)]
        print(f"| {' | '.join([one['way'], *numbers])} |")
