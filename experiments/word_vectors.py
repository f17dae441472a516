"""Which words are near each other, and does a translator gain from knowing?

Question: word vectors are learned from both sides of the training text. Are a word's nearest
neighbours words of its kind? And is the validation loss of Bahdanau's model and of the Transformer
lower after few steps if their embeddings start there instead of from chance, with 2,000 training
pairs and with all (the vectors have seen all of the text in both)?
Source: Mikolov et al. 2013 (the vectors); Qi et al. 2018, "When and Why are Pre-trained Word
Embeddings Useful for Neural Machine Translation?" (where text is scarce).
Command: python experiments/word_vectors.py [--smoke] [--out FOLDER]
"""

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path

from attention_jax.analysis.statistics import paired_difference
from attention_jax.comparison.plan import SMALL, lasting
from attention_jax.experiment import Experiment, prepare, programs_of
from attention_jax.models.bahdanau import BahdanauConfig
from attention_jax.models.word_vectors import WordVectorsConfig, nearest
from attention_jax.training.embeddings import starting
from attention_jax.training.loop import fit
from attention_jax.training.word_vectors import save_word_vectors, train_word_vectors

WORDS = "red dog happy eats bread two house king rojo perro come pan"
MODELS = {"bahdanau": BahdanauConfig(width=64, dropout=0.0), "transformer": SMALL.model}


def show_nearest(prepared, config: WordVectorsConfig, file: Path) -> None:
    """Learns the vectors, keeps them in a file, and prints words with their neighbours."""
    examples, tokenizer = prepared.examples("train"), prepared.tokenizer
    names, shown = tokenizer.names(), tokenizer.tokens(range(tokenizer.size))
    found = train_word_vectors([*examples.sources, *examples.targets], names, config)
    save_word_vectors(file, found, config)
    read = dict(zip(names, shown, strict=True))
    for word in WORDS.split():
        near = nearest(found.vectors, [read[token] for token in found.tokens], word, 6)
        print(f"{word:>6}: {', '.join(f'{token} {cosine:.2f}' for token, cosine in near)}")


def losses(experiment: Experiment, prepared, folder: Path, begin) -> dict[int, float]:
    """Validation losses by step."""
    plan, held_out = prepared.plan(experiment.seed), prepared.held_out()["validation"]
    programs, training = programs_of(experiment, prepared.tokenizer), experiment.training
    fit(programs, training, plan, held_out, folder, seed=experiment.seed, quiet=True, begin=begin)
    lines = map(json.loads, (folder / "metrics.jsonl").read_text("utf-8").splitlines())
    return {line["step"]: line["loss"] for line in lines if line["split"] == "validation"}


def main(arguments=None) -> None:
    parser = argparse.ArgumentParser(description="Which words are near each other?")
    parser.add_argument("--smoke", action="store_true", help="8 steps, 1 seed, 1 epoch of vectors")
    parser.add_argument("--out", type=Path, default=Path("runs/word_vectors"))
    options = parser.parse_args(arguments)
    steps, seeds, epochs = (8, 1, 1) if options.smoke else (200, 3, 5)
    options.out.mkdir(parents=True, exist_ok=True)
    whole, file = prepare(SMALL.data), options.out / "vectors.safetensors"
    show_nearest(whole, WordVectorsConfig(width=SMALL.model.width, epochs=epochs), file)
    starts = {"chance": None, "vectors": starting(file, whole.tokenizer.names())}
    training = replace(lasting(SMALL.training, steps), evaluate_every=max(steps // 4, 1))
    for pairs in (2_000, None):
        prepared = prepare(replace(SMALL.data, limit=pairs), whole.tokenizer)
        for kind, model in MODELS.items():
            base = replace(SMALL, data=prepared.data, model=model, training=training)
            found = {name: {} for name in starts}
            for seed in range(seeds):
                for name, begin in starts.items():
                    folder = options.out / f"{kind}-{pairs or 'all'}-{name}-s{seed}"
                    found[name][seed] = losses(replace(base, seed=seed), prepared, folder, begin)
            for step in found["chance"][0]:
                at = {name: {s: one[step] for s, one in by.items()} for name, by in found.items()}
                gain = paired_difference(at["vectors"], at["chance"])
                record = {"model": kind, "pairs": pairs, "step": step, **at}
                print(json.dumps(record | (asdict(gain) if gain else {})), flush=True)


if __name__ == "__main__":
    main()
