"""A corpus of 200 pairs and a model of one layer: the smallest run that still learns."""

import random
from pathlib import Path

from attention_jax.data import DataConfig
from attention_jax.decoding import DecodingConfig
from attention_jax.experiment import Experiment
from attention_jax.models.transformer import TransformerConfig
from attention_jax.training.loop import TrainingConfig
from attention_jax.training.optimizer import OptimizerConfig

WORDS = {
    "the": "el",
    "a": "un",
    "red": "rojo",
    "big": "grande",
    "cat": "gato",
    "dog": "perro",
    "house": "casa",
    "sees": "ve",
    "likes": "gusta",
    "has": "tiene",
}


def write_corpus(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    chance = random.Random(0)
    for split, count in (("train", 200), ("val", 24), ("test", 16)):
        lines = [chance.choices(list(WORDS), k=chance.randint(2, 5)) for _ in range(count)]
        for language, say in (("en", str), ("es", WORDS.__getitem__)):
            text = "".join(" ".join(map(say, line)) + "\n" for line in lines)
            (folder / f"{split}.{language}").write_text(text, "utf-8")
    return folder


def tiny(corpus: Path, **training) -> Experiment:
    settings = {"steps": 24, "log_every": 5, "evaluate_every": 8, "checkpoint_every": 6}
    return Experiment(
        name="tiny",
        seed=3,
        data=DataConfig(
            corpus=str(corpus), vocabulary=290, max_length=16, batch_tokens=128, shapes=1
        ),
        model=TransformerConfig(
            width=16, encoder_layers=1, decoder_layers=1, heads=2, feed_forward=32, dropout=0.1
        ),
        training=TrainingConfig(
            optimizer=OptimizerConfig(peak=0.01, warmup=10), **(settings | training)
        ),
        decoding=DecodingConfig(max_length=8, rows=8),
    )
