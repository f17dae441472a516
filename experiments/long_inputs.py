"""How long may a text be, and what does an attention that is cheaper see of it?

Question: how do time and memory of a training step grow with the length of the text where layers
see everything, their own block alone, or blocks and slots of three tokens in turn? And how well
does each summarise reports whose summary cannot be written from what stands near?
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
from attention_jax.decoding import DecodingConfig
from attention_jax.experiment import Experiment, run
from attention_jax.models.summarise import SummariseConfig
from attention_jax.training.loop import TrainingConfig
from attention_jax.training.optimizer import OptimizerConfig
from attention_jax.training.scores import ScoringConfig

SIGHTS = {"full": ("full",), "local": ("local",), "local + compressed": ("local", "compressed")}
KEPT = "full, all weights kept"  # instead of computing them again piece by piece
QUANTITIES = {"step_ms": "ms a training step of one text", "megabytes": "MB that it holds"}


def model(sights: str, width: int) -> SummariseConfig:
    """Four layers."""
    layers = SIGHTS[sights] * (4 // len(SIGHTS[sights]))
    sizes = {"width": width, "feed_forward": 4 * width, "block": 64, "dropout": 0.0}
    return SummariseConfig(sights=layers, **sizes)


def quality(sights: str, options: argparse.Namespace) -> dict:
    """How well one of the models summarises after training."""
    adam = OptimizerConfig(schedule="cosine", peak=3e-3, warmup=100)
    quarter = max(1, options.steps // 4)
    longest = 3 + 72 * options.persons
    told = {"max_length": longest, "max_target": 5 * options.persons + 1, "vocabulary": 600}
    corpus = f"reports-{options.persons}", "report", "summary"
    one = Experiment(
        data=DataConfig(*corpus, **told, batch_tokens=max(options.tokens, longest), shapes=2),
        model=model(sights, options.width),
        training=TrainingConfig(
            options.steps, adam, 0.0, evaluate_every=quarter, checkpoint_every=quarter
        ),
        decoding=DecodingConfig(max_length=told["max_target"], rows=64),
        scoring=ScoringConfig(tokenize="none", rouge=True),
    )
    return run(one, options.out / "runs" / sights.replace(" + ", "-"))["test"]["test"]


def main(arguments=None) -> None:
    parser = argparse.ArgumentParser(description="How long may a text be?")
    parser.add_argument("--lengths", type=int, nargs="*", default=[256, 512, 1_024, 2_048, 4_096])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=1_500, help="of training; 0: costs alone")
    parser.add_argument("--models", nargs="+", choices=SIGHTS, default=[*SIGHTS], help="to train")
    parser.add_argument("--persons", type=int, default=8, help="whom a report is about")
    parser.add_argument("--tokens", type=int, default=8_192, help="of texts, in a batch")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--smoke", action="store_true", help="little of all")
    parser.add_argument("--out", type=Path, default=Path("runs/long_inputs"))
    options = parser.parse_args(arguments)
    if options.smoke:
        options.lengths, options.rounds, options.width = [8], 1, 8
        options.steps, options.persons, options.tokens = 4, 1, 256
    records = []
    for length in options.lengths:
        models = {name: model(name, options.width) for name in SIGHTS}
        models[KEPT] = models["full"]
        records += costs(models, length, rounds=options.rounds, backends={KEPT: "reference"})
        jax.clear_caches()
    print(write(records, "model", "length", QUANTITIES, options.out))
    for name in options.models if options.steps else ():
        found = quality(name, options)
        kept = "loss", "exact_match", "rouge_1", "rouge_2", "rouge_l"
        print(json.dumps({"model": name} | {key: found[key] for key in kept}), flush=True)


if __name__ == "__main__":
    main()
