"""Where is a small head too small?

Question: a width of 32 is cut into 1 head of 32 features or into 16 heads of 2. To recall which
value belongs to a key, a head must tell the key from all others by its features alone. From which
head size on does it fail? The corpus is generated, and every answer is known exactly.
Source: Bhojanapalli et al. 2020, "Low-Rank Bottleneck in Multi-head Attention Models" (a head size
below the length of the text is a bottleneck); Arora et al. 2023, "Zoology" (multi-query recall).
Command: python experiments/one_long_head.py [--data.corpus recall-16 --data.max-length 50]
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
        "recall-8", "pairs", "values", vocabulary=700, max_length=26, batch_tokens=1_024, shapes=1
    ),
    model=TransformerConfig(
        width=32, encoder_layers=1, decoder_layers=2, feed_forward=64, dropout=0.0, norm="pre"
    ),
    training=TrainingConfig(
        smoothing=0.0, optimizer=OptimizerConfig(schedule="cosine", peak=1e-2, warmup=100)
    ),
    decoding=DecodingConfig(max_length=26, rows=128),
    scoring=ScoringConfig(tokenize="none"),
)

SIZES = {
    "default": Size(2_500, values=(1, 2, 4, 8, 16)),
    "full": Size(20_000, values=(1, 2, 4, 8, 16)),
    "smoke": Size(8, values=(1, 16), seeds=1),
}


def variants(base: Experiment, heads: Sequence[int]) -> list[Experiment]:
    """Nothing but the number of heads differs, and so their size."""
    return [replace(base, model=replace(base.model, heads=count)) for count in heads]


if __name__ == "__main__":
    main(
        variants,
        BASE,
        SIZES,
        option="heads",
        title="Where is a small head too small?",
        folder="runs/one_long_head",
    )
