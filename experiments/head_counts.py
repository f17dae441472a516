"""How many heads, at a fixed width?

Question: with the same parameters, initial arrays, batches and dropout, does it matter whether a
Transformer's width is cut into 1, 2, 4 or 8 heads?
Source: Vaswani et al. 2017, table 3, rows A; there on WMT, here on the phrasebook corpus.
Command: make heads, or python experiments/head_counts.py [--smoke | --full]
"""

from dataclasses import replace

from attention_jax.comparison import main
from attention_jax.data import DataConfig
from attention_jax.decoding import DecodingConfig
from attention_jax.experiment import Experiment
from attention_jax.models.transformer import TransformerConfig
from attention_jax.training.loop import TrainingConfig
from attention_jax.training.optimizer import OptimizerConfig

HEADS = (1, 2, 4, 8)
SEEDS = (0, 1, 2)

BASE = Experiment(
    data=DataConfig(vocabulary=1_500, max_length=32, batch_tokens=2_048),
    model=TransformerConfig(
        width=64, encoder_layers=2, decoder_layers=2, feed_forward=256, dropout=0.0
    ),
    decoding=DecodingConfig(max_length=32, rows=128),
)


def grid(steps: int, heads=HEADS, seeds=SEEDS, **changes) -> list[Experiment]:
    """One experiment a seed and head count; nothing else differs."""
    training = TrainingConfig(
        steps=steps,
        smoothing=0.0,  # a sentence of this corpus has one translation
        optimizer=OptimizerConfig(schedule="cosine", peak=6e-3, warmup=min(100, steps // 4)),
        evaluate_every=max(steps // 8, 1),
        checkpoint_every=steps,
        log_every=max(steps // 20, 1),
    )
    base = replace(BASE, training=training, **changes)
    return [
        replace(base, name=f"h{count}-s{seed}", seed=seed, model=replace(base.model, heads=count))
        for seed in seeds
        for count in heads
    ]


GRIDS = {
    "default": grid(800),
    "full": grid(2_000),
    "smoke": grid(8, heads=(1, 2), seeds=(0,)),
}

if __name__ == "__main__":
    main(
        GRIDS,
        title="How many heads, at a fixed width?",
        sentence="The ball is blue",
        folder="runs/head_counts",
    )
