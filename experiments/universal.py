"""Does one layer, applied again and again, learn an algorithm, and does it hold beyond its lengths?

Question: a Transformer and a Universal Transformer of the same width and depth, so of the same work
a token and about half of the parameters, with and without halting, and with positions added or told
as distances: how much do they get right within the lengths of training, and up to twice as far?
Source: Dehghani et al. 2018, section 3 (reversal and addition, tested far beyond the training
lengths); Shaw et al. 2018, Su et al. 2021, Press et al. 2022 and Raffel et al. 2020 (distances).
Command: python experiments/universal.py [--corpus addition-reversed-4-8 --longest 18] [--smoke]
"""

import argparse
import json
import statistics
from dataclasses import replace
from pathlib import Path

from attention_jax.analysis.by_length import read_lines
from attention_jax.analysis.by_symbol import exact, symbol_accuracy
from attention_jax.data import DataConfig
from attention_jax.decoding import DecodingConfig
from attention_jax.experiment import Experiment, prepare, run
from attention_jax.models.transformer import TransformerConfig
from attention_jax.models.universal import UniversalConfig
from attention_jax.training.loop import TrainingConfig
from attention_jax.training.optimizer import OptimizerConfig
from attention_jax.training.scores import ScoringConfig

SIZES = {"width": 64, "heads": 4, "feed_forward": 128, "dropout": 0.0, "norm": "pre"}
DEPTH = 2
PLAIN = TransformerConfig(**SIZES, encoder_layers=DEPTH, decoder_layers=DEPTH)
UNIVERSAL = UniversalConfig(**SIZES, encoder_steps=DEPTH, decoder_steps=DEPTH)
KINDS = {"Transformer": PLAIN, "Universal": UNIVERSAL, "halting": replace(UNIVERSAL, halting="act")}
SPLITS = {"within": "test", "beyond": "test_longer"}
SCORES = {"exact": exact, "symbols": symbol_accuracy}


def variants(base: Experiment) -> dict[str, Experiment]:
    """By their names: all kinds with three sorts of positions, the Transformer with all."""
    pairs = [(kind, at) for kind in KINDS for at in ("sinusoidal", "relative", "rotary")]
    pairs += [("Transformer", at) for at in ("t5", "alibi", "none")]
    return {
        f"{kind}, {at}": replace(base, model=replace(KINDS[kind], positions=at))
        for kind, at in pairs
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Does one layer learn an algorithm?")
    parser.add_argument("--corpus", default="reverse-8-16")
    parser.add_argument("--longest", type=int, default=17, help="tokens a side, at most")
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--seeds", type=int, nargs="+", default=(0, 1, 2))
    parser.add_argument("--out", type=Path, default=Path("runs/universal"))
    parser.add_argument("--smoke", action="store_true", help="seconds, to see it work")
    asked = parser.parse_args()
    steps, seeds = (4, (0,)) if asked.smoke else (asked.steps, asked.seeds)
    data = {"vocabulary": 400, "max_length": asked.longest, "batch_tokens": 512, "shapes": 2}
    optimizer = OptimizerConfig(schedule="cosine", peak=3e-3, warmup=min(100, steps))
    every = {"evaluate_every": max(1, steps // 4), "checkpoint_every": steps, "log_every": steps}
    keep = {"keep": 1, "average": 1, "smoothing": 0.0}
    base = Experiment(
        data=DataConfig(asked.corpus, "problem", "answer", **data),
        training=TrainingConfig(steps=steps, optimizer=optimizer, **every, **keep),
        decoding=DecodingConfig(max_length=asked.longest, rows=128),
        scoring=ScoringConfig(tokenize="none"),
    )
    prepared, table = prepare(base.data), {}
    out = asked.out.with_name(f"{asked.out.name}-smoke") if asked.smoke else asked.out
    print(
        "| model | parameters | " + " | ".join(f"{a}, {b}" for b in SCORES for a in SPLITS) + " |"
    )
    for name, variant in variants(base).items():
        runs: dict[str, list[float]] = {f"{s}, {by}": [] for by in SCORES for s in SPLITS}
        for seed in seeds:
            one = replace(variant, name=f"{name}, seed {seed}", seed=seed)
            folder = out / asked.corpus / one.name.replace(", ", "-").replace(" ", "-")
            record = run(one, folder, quiet=True, prepared=prepared)
            for where, split in SPLITS.items():
                lines = read_lines(folder, [split])
                for by, score in SCORES.items():
                    runs[f"{where}, {by}"].append(score(lines))
        table[name] = {"parameters": record["parameters"], **runs}
        cells = [f"{statistics.mean(r):.3f} ({min(r):.3f} to {max(r):.3f})" for r in runs.values()]
        print(f"| {name} | {record['parameters']:,} | {' | '.join(cells)} |", flush=True)
        (out / asked.corpus / "table.json").write_text(json.dumps(table, indent=2) + "\n")


if __name__ == "__main__":
    main()
