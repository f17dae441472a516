"""Can a sentence go through one vector?

Question: a sentence of 1 to 25 symbols is to be written backwards. How far does a recurrent
network come that has one vector to carry it, and what do Bahdanau's and Luong's attention and the
Transformer make of it, at the same width, on the same batches?
Source: the reversal task of JoeyNMT (Kreutzer et al. 2019), whose recurrent network with attention
reaches 95.42 BLEU.
Command: python experiments/reverse.py [--data.corpus reverse-50 --data.max-length 51]
[--smoke | --full] [--help]
"""

from collections.abc import Sequence
from dataclasses import replace

from attention_jax.comparison.command import Size, main
from attention_jax.data import DataConfig
from attention_jax.decoding import DecodingConfig
from attention_jax.experiment import Experiment
from attention_jax.models.bahdanau import BahdanauConfig
from attention_jax.models.luong import LuongConfig
from attention_jax.models.rnn_seq2seq import RnnSeq2SeqConfig
from attention_jax.models.transformer import TransformerConfig
from attention_jax.training.loop import TrainingConfig
from attention_jax.training.optimizer import OptimizerConfig
from attention_jax.training.scores import ScoringConfig

BASE = Experiment(
    data=DataConfig(
        "reverse-25", "symbols", "reversed", vocabulary=400, max_length=26, batch_tokens=2_048
    ),
    model=TransformerConfig(
        width=64,
        encoder_layers=2,
        decoder_layers=2,
        heads=4,
        feed_forward=256,
        dropout=0.0,
        norm="pre",
    ),
    training=TrainingConfig(
        smoothing=0.0, optimizer=OptimizerConfig(schedule="cosine", peak=6e-3, warmup=100)
    ),
    decoding=DecodingConfig(max_length=26, rows=128),
    scoring=ScoringConfig(tokenize="none"),
)

SIZES = {
    "default": Size(800, values=(64,)),
    "full": Size(3_000, values=(64, 256)),
    "smoke": Size(8, values=(16,), seeds=1),
}


def variants(base: Experiment, widths: Sequence[int]) -> list[Experiment]:
    """One vector, two attentions of recurrent networks, and the Transformer, at each width."""
    kinds = RnnSeq2SeqConfig, BahdanauConfig, LuongConfig
    models = []
    for width in widths:
        models += [kind(width=width, dropout=0.0, tied=True) for kind in kinds]
        models.append(replace(base.model, width=width, feed_forward=4 * width))
    return [replace(base, model=model) for model in models]


if __name__ == "__main__":
    main(
        variants,
        BASE,
        SIZES,
        option="width",
        title="Can a sentence go through one vector?",
        folder="runs/reverse",
    )
