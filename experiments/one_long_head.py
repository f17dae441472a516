"""Where is a head too small, and do many small ones make one long one?

Question: to recall the value of one key among N, a head must tell that key from all others by its K
features alone. From which size on does a single head fail? And do as many heads of that size as
the width has room for make up for it? The corpus is generated, and every answer is known exactly.
Source: Bhojanapalli et al. 2020, "Low-Rank Bottleneck in Multi-head Attention Models" (a head size
below the length of the text is a bottleneck); Arora et al. 2023, "Zoology" (recall).
Command: python experiments/one_long_head.py [--data.corpus recall-32 --data.max-length 34]
[--smoke | --full] [--help]
"""

from collections.abc import Sequence
from dataclasses import replace

from attention_jax.comparison.command import Size, main
from attention_jax.data import DataConfig
from attention_jax.decoding import DecodingConfig
from attention_jax.experiment import Experiment
from attention_jax.models.transformer import TransformerConfig
from attention_jax.training.loop import TrainingConfig
from attention_jax.training.optimizer import OptimizerConfig
from attention_jax.training.scores import ScoringConfig

BASE = Experiment(
    data=DataConfig(
        "recall-16", "pairs", "values", vocabulary=1_500, max_length=18, batch_tokens=1_024
    ),
    model=TransformerConfig(
        width=32, encoder_layers=1, decoder_layers=1, feed_forward=64, dropout=0.0, norm="pre"
    ),
    training=TrainingConfig(
        smoothing=0.0, optimizer=OptimizerConfig(schedule="cosine", peak=2e-2, warmup=100)
    ),
    decoding=DecodingConfig(max_length=18, rows=128),
    scoring=ScoringConfig(tokenize="none"),
)

SIZES = {
    "default": Size(3_000, values=(2, 4, 8, 32)),
    "full": Size(20_000, values=(1, 2, 4, 8, 16, 32)),
    "smoke": Size(8, values=(2, 32), seeds=1),
}


def variants(base: Experiment, sizes: Sequence[int]) -> list[Experiment]:
    """One head of each size, and as many as the width has room for."""
    width = base.model.width
    both = [(heads, size) for size in sizes for heads in dict.fromkeys((1, max(1, width // size)))]
    return [
        replace(base, model=replace(base.model, heads=heads, head_size=size))
        for heads, size in both
    ]


if __name__ == "__main__":
    main(
        variants,
        BASE,
        SIZES,
        option="head_size",
        title="Where is a head too small, and do many small ones make one long one?",
        folder="runs/one_long_head",
    )
