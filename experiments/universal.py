"""Does one layer, applied again and again, learn an algorithm, and does it hold beyond its lengths?

Question: a Transformer and a Universal Transformer of the same width and depth, so of the same work
a token and about half of the parameters, with halting and without, and with positions added or told
as distances: how much do they get right within the lengths of training, and up to twice as far?
Source: Dehghani et al. 2018, section 3 (reversal and addition, tested beyond the training lengths);
Shaw et al. 2018, Su et al. 2021, Press et al. 2022 (distances).
Command: python experiments/universal.py [--corpus addition-reversed-3-6 --longest 14] [--smoke]
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Any

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

SIZES: dict[str, Any] = {"width": 64, "feed_forward": 128, "dropout": 0.0, "norm": "pre"}
PLAIN = TransformerConfig(**SIZES, encoder_layers=3, decoder_layers=3)
UNIVERSAL = UniversalConfig(**SIZES, encoder_steps=3, decoder_steps=3)
KINDS = {"Transformer": PLAIN, "Universal": UNIVERSAL, "halting": replace(UNIVERSAL, halting="act")}
PAIRS = [(kind, positions) for positions in ("sinusoidal", "relative") for kind in KINDS]
PAIRS += [("Transformer", "rotary"), ("Transformer", "alibi")]
CELLS = {
    f"{name}, {where}": (score, split)
    for name, score in (("exact", exact), ("symbols", symbol_accuracy))
    for where, split in (("within", "test"), ("beyond", "test_longer"))
}


def base(corpus: str, longest: int, steps: int) -> Experiment:
    optimizer = OptimizerConfig(schedule="cosine", peak=3e-3, warmup=min(100, steps))
    once: dict[str, Any] = {"evaluate_every": steps, "checkpoint_every": steps, "average": 1}
    return Experiment(
        data=DataConfig(corpus, "problem", "answer", 400, longest, batch_tokens=512, shapes=1),
        training=TrainingConfig(steps, optimizer, smoothing=0.0, **once),
        decoding=DecodingConfig(max_length=longest, rows=128),
        scoring=ScoringConfig(tokenize="none"),
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Does one layer learn an algorithm?")
    parser.add_argument("--corpus", default="reverse-8-16", help="with the split test_longer")
    parser.add_argument("--longest", type=int, default=17, help="tokens a side, at most")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("runs/universal"))
    parser.add_argument("--smoke", action="store_true", help="one run, to see it work")
    asked = parser.parse_args()
    if asked.smoke:
        PAIRS, asked.steps, asked.seeds = PAIRS[2:3], 4, 1
    one = base(asked.corpus, asked.longest, asked.steps)
    prepared, out, table = prepare(one.data), asked.out / f"{asked.corpus}-{asked.steps}", {}
    print(f"| {asked.corpus} | parameters | {' | '.join(CELLS)} |", flush=True)
    for kind, positions in PAIRS:
        name, model = f"{kind}, {positions}", replace(KINDS[kind], positions=positions)
        runs = {cell: [] for cell in CELLS}
        for seed in range(asked.seeds):
            folder = out / f"{kind}-{positions}-s{seed}"
            mine = replace(one, name=folder.name, seed=seed, model=model)
            record = run(mine, folder, quiet=True, prepared=prepared)
            for cell, (score, split) in CELLS.items():
                runs[cell].append(score(read_lines(folder, [split])))
        table[name] = {"parameters": record["parameters"], **runs}
        cells = [f"{mean(r):.1%} ({min(r):.1%} to {max(r):.1%})" for r in runs.values()]
        print(f"| {name} | {record['parameters']:,} | {' | '.join(cells)} |", flush=True)
        (out / "table.json").write_text(json.dumps(table, indent=2) + "\n")
