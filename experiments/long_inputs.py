"""How long may a text be, and what does an attention that is cheaper see of it?

Question: how do time and memory of a training step grow with the length of the text where layers
see everything, their own block alone, or blocks and slots of three tokens in turn? How well does
each summarise reports whose summary cannot be written from what stands near?
Source: Liu et al. 2018, section 4.2.3 and table 4.
Command: python experiments/long_inputs.py [--lengths 256 512] [--steps 0] [--smoke] [--out FOLDER]
"""

import argparse
import json
from pathlib import Path

import jax

from attention_jax.analysis.long_costs import costs
from attention_jax.analysis.series import write
from attention_jax.data import DataConfig
from attention_jax.data.long_documents import tokens_of
from attention_jax.decoding import DecodingConfig
from attention_jax.experiment import Experiment, run
from attention_jax.models.summarise import SummariseConfig
from attention_jax.training.loop import TrainingConfig
from attention_jax.training.optimizer import OptimizerConfig
from attention_jax.training.scores import ScoringConfig

SIGHTS = {"full": ("full",), "local": ("local",), "local + compressed": ("local", "compressed")}
KEPT = "full, all weights kept"  # instead of computing them again piece by piece
USUAL = {"rounds": 5, "steps": 3_000, "persons": 6, "tokens": 4_096, "width": 64}
FIGURES = "loss", "exact_match", "rouge_1", "rouge_2", "rouge_l"
QUANTITIES = {"step_ms": "ms a training step of one text", "megabytes": "MB that it holds"}


def model(sights: str, width: int) -> SummariseConfig:
    """Four layers."""
    layers, sizes = SIGHTS[sights] * (4 // len(SIGHTS[sights])), (width, 4, 4 * width)
    return SummariseConfig("summarise", 600, *sizes, layers, block=64, dropout=0.0)


def quality(sights: str, options: argparse.Namespace) -> dict:
    """How well one of the models summarises after training."""
    persons, quarter = options.persons, max(1, options.steps // 4)
    adam = OptimizerConfig(schedule="cosine", peak=3e-3, warmup=100)
    read, said = tokens_of(persons), 5 * persons + 1
    sizes = {"max_target": said, "batch_tokens": max(options.tokens, read), "shapes": 2}
    one = Experiment(
        data=DataConfig(f"reports-{persons}", "report", "summary", 600, read, **sizes),
        model=model(sights, options.width),
        training=TrainingConfig(options.steps, adam, 0.0, 50, quarter, quarter),
        decoding=DecodingConfig(max_length=said, rows=64),
        scoring=ScoringConfig(tokenize="none", rouge=True),
    )
    return run(one, options.out / "runs" / sights.replace(" + ", "-"))["test"]["test"]


def main(arguments=None) -> None:
    parser = argparse.ArgumentParser(description="How long may a text be?")
    parser.add_argument("--lengths", type=int, nargs="*", default=[256, 512, 1_024, 2_048, 4_096])
    for name, usual in USUAL.items():
        parser.add_argument(f"--{name}", type=int, default=usual)
    parser.add_argument("--models", nargs="+", choices=SIGHTS, default=[*SIGHTS], help="to train")
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("runs/long_inputs"))
    options = parser.parse_args(arguments)
    if options.smoke:
        vars(options).update(lengths=[8], rounds=1, steps=4, persons=1, tokens=256, width=8)
    models, records = {name: model(name, options.width) for name in SIGHTS}, []
    models[KEPT] = models["full"]
    for length in options.lengths:
        records += costs(models, length, rounds=options.rounds, backends={KEPT: "reference"})
        jax.clear_caches()
    print(write(records, "model", "length", QUANTITIES, options.out))
    for name in options.models if options.steps else ():
        found = quality(name, options)
        print(json.dumps({"model": name} | {key: found[key] for key in FIGURES}), flush=True)


if __name__ == "__main__":
    main()
