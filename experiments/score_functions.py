"""Which score fails when it is wide?

Question: at 32 to 1,024 features, do additive, dot, scaled dot, general, concat and location learn
one task alike, and is unscaled dot the one that fails? A softmax whose logits lie far apart passes
hardly a gradient: so their variance and the entropy of the weights at the start and the end, too.
Source: Vaswani et al. 2017, section 3.2.1 (the conjecture); Britz et al. 2017, table 5; Luong 2015.
Command: python experiments/score_functions.py [--widths 32 128] [--scores dot] [--smoke] [--help]
"""

import argparse
import itertools
from dataclasses import replace
from pathlib import Path

from attention_jax.analysis.score_runs import train_scored
from attention_jax.analysis.scored import SCORES
from attention_jax.analysis.series import table, write
from attention_jax.data import DataConfig
from attention_jax.decoding import DecodingConfig
from attention_jax.experiment import Experiment, prepare
from attention_jax.models.transformer import TransformerConfig
from attention_jax.training.loop import TrainingConfig
from attention_jax.training.optimizer import OptimizerConfig
from attention_jax.training.scores import ScoringConfig

BASE = Experiment(
    data=DataConfig(vocabulary=1_500, max_length=32, batch_tokens=512, shapes=2),
    model=TransformerConfig(
        width=64, encoder_layers=1, decoder_layers=1, feed_forward=256, dropout=0.0, norm="pre"
    ),
    training=TrainingConfig(
        optimizer=OptimizerConfig(schedule="cosine", peak=4e-3, warmup=100),
        smoothing=0.0,  # a sentence of the phrasebook has one translation
        keep=1,
        average=1,
    ),
    decoding=DecodingConfig(max_length=32, rows=128),
    scoring=ScoringConfig("last"),
)
QUANTITIES = {
    "loss": "test loss, nats a token",
    "exact_match": "test sentences translated exactly",
    "bleu": "test BLEU",
    "variance_start": "variance of the logits at the start",
    "variance_end": "variance of the logits at the end",
    "evenness_start": "entropy ÷ its maximum, at the start",
    "evenness_end": "entropy ÷ its maximum, at the end",
}


def main(arguments=None) -> None:
    parser = argparse.ArgumentParser(description="Which score fails when it is wide?")
    parser.add_argument("--widths", type=int, nargs="+", default=[32, 128, 512, 1_024])
    parser.add_argument("--scores", nargs="+", default=SCORES, choices=SCORES)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--smoke", action="store_true", help="two scores, two steps, width 8")
    parser.add_argument("--out", type=Path, default=Path("runs/score_functions"))
    options = parser.parse_args(arguments)
    if options.smoke:
        options.scores, options.widths, options.seeds, options.steps = SCORES[:2], [8], 1, 2
    every = max(options.steps // 4, 1)
    times = {"steps": options.steps, "evaluate_every": every, "checkpoint_every": options.steps}
    base = replace(BASE, training=replace(BASE.training, **times))
    prepared, records = prepare(base.data), []
    for width, score in itertools.product(options.widths, options.scores):
        seeds = range(options.seeds)
        found = train_scored(base, prepared, score, width, seeds, options.out)
        print(table(found, "score", "width", "loss").splitlines()[-1], width, flush=True)
        records += found
    print(write(records, "score", "width", QUANTITIES, options.out))


if __name__ == "__main__":
    main()
