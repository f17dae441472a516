"""What does an encoder learn from hidden words alone?

Question: does it tell a hidden word better than counts of the words beside it do? Read beside its
translation, does it look a hidden word up there, and are a sentence and its translation then alike?
And does a classifier of sentences with few labels do better if it begins with such an encoder?
Source: Devlin et al. 2019, "BERT"; Conneau and Lample 2019, "Cross-lingual Language Model
Pretraining", section 3.3; Wettig et al. 2023, "Should You Mask 15% in Masked Language Modeling?"
(30% of the words are hidden here, which teaches small encoders more a step).
Command: python experiments/masked_words.py [--corpus FOLDER --other de] [--steps N] [--smoke]
"""

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path

from attention_jax.analysis.statistics import paired_difference
from attention_jax.comparison.plan import lasting
from attention_jax.data.labelled_text import LabelledTextConfig
from attention_jax.data.masked_text import MaskedTextConfig
from attention_jax.models.encoder_only_config import EncoderOnlyConfig
from attention_jax.tasks.masked_words import MaskedWordsTask
from attention_jax.tasks.run import run
from attention_jax.tasks.sentences import SentencesTask
from attention_jax.training.optimizer import OptimizerConfig
from attention_jax.training.training_config import TrainingConfig

ENCODER = EncoderOnlyConfig(
    width=96, layers=2, heads=4, feed_forward=256, context=64, activation="relu", dropout=0.0
)
SHARE, ROWS = 0.3, 32
LABELLED, LABEL_STEPS = (100, 400), 300


def schedule(steps: int, peak: float) -> TrainingConfig:
    """Adam with a cosine over all steps."""
    optimizer = OptimizerConfig(schedule="cosine", peak=peak, warmup=200)
    return lasting(TrainingConfig(smoothing=0.0, optimizer=optimizer), steps)


def few_labels(begin: Path, out: Path, steps: int, seeds: int) -> None:
    """Sorts sentences with few labels, from nothing and from what hidden words have taught."""
    for count in LABELLED:
        right = {"nothing": {}, "hidden words": {}}
        for seed in range(seeds):
            for name, start in (("nothing", None), ("hidden words", begin)):
                task = SentencesTask(
                    **{"seed": seed, "begin": start, "model": ENCODER, "pooling": "mean"},
                    data=LabelledTextConfig(limit=count),
                    training=schedule(steps, 1e-3),
                )
                record = run(task, out / f"{count}-{name.split()[0]}-s{seed}", quiet=True)
                right[name][seed] = record["test"]["accuracy"]
        gain = paired_difference(right["hidden words"], right["nothing"])
        found = {"labels": count, **right, "naive_bayes": record["test"]["naive_bayes"]}
        print(json.dumps(found | (asdict(gain) if gain else {})), flush=True)


def main(arguments=None) -> None:
    parser = argparse.ArgumentParser(description="What does an encoder learn from hidden words?")
    parser.add_argument("--smoke", action="store_true", help="4 steps, 1 seed, 300 sentences")
    parser.add_argument("--corpus", default="phrasebook", help="text in two languages")
    parser.add_argument("--other", default="es", help="the other language than English")
    parser.add_argument("--steps", type=int, default=7_000, help="with hidden words")
    parser.add_argument("--out", type=Path, default=Path("runs/masked_words"))
    options = parser.parse_args(arguments)
    steps, seeds, fine = (4, 1, 4) if options.smoke else (options.steps, 3, LABEL_STEPS)
    data = MaskedTextConfig(options.corpus, share=SHARE, rows=ROWS, max_length=24)
    data = replace(data, limit=300) if options.smoke else data
    both = replace(data, other=options.other, max_length=36)
    for name, text in (("alone", data), ("beside", both)):
        task = MaskedWordsTask(name=name, data=text, model=ENCODER, training=schedule(steps, 2e-3))
        print(json.dumps(run(task, options.out / name), indent=2), flush=True)
    if options.corpus == "phrasebook":
        few_labels(options.out / "alone", options.out, fine, seeds)


if __name__ == "__main__":
    main()
