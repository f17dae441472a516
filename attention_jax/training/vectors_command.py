"""The command `attention-jax vectors`: learns word vectors that embeddings can start from."""

import sys
from collections.abc import Sequence
from pathlib import Path

from attention_jax.data import DataConfig
from attention_jax.models.word_vectors import WordVectorsConfig, nearest
from attention_jax.options import parse
from attention_jax.training.prepared import prepare
from attention_jax.training.word_vectors import save_word_vectors, train_word_vectors

PROGRAM = "attention-jax"


def vectors(words: Sequence[str]) -> None:
    """Learns, writes and shows the vectors that the words of the command line ask for.

    Raises:
      ValueError: an option does not fit, or a word that is asked for has no vector.
    """
    import tyro

    text, how = DataConfig(), WordVectorsConfig()

    def asked(
        show: tyro.conf.Positional[tuple[str, ...]] = (),
        out: Path = Path("vectors.safetensors"),
        near: int = 8,
        seed: int = 0,
        data: DataConfig = text,
        vectors: WordVectorsConfig = how,
    ) -> tuple[tuple[str, ...], Path, int, int, DataConfig, WordVectorsConfig]:
        """Learn word vectors from both sides of a training text (skip-gram, negative sampling).

        `attention-jax train --training.embeddings FILE` with the same options of --data, and a
        model whose tokens are as wide, starts from them.

        Args:
          show: words whose neighbours are printed
          out: the file of vectors
          near: how many neighbours
          seed: of initial vectors, order and noise
          data: the text
          vectors: how they are learned
        """
        return show, out, near, seed, data, vectors

    shown, out, near, seed, data, config = parse(asked, f"{PROGRAM} vectors", words)
    if near < 1:
        raise ValueError(f"near is {near}; 1 or more would fit")
    prepared = prepare(data)
    examples, tokenizer = prepared.examples("train"), prepared.tokenizer

    def report(epoch: int, loss: float) -> None:
        print(f"epoch {epoch} of {config.epochs}: {loss:.4f} nats a pair", file=sys.stderr)

    names = tokenizer.names()
    lines = [ids.tolist() for ids in (*examples.sources, *examples.targets)]
    found = train_word_vectors(lines, names, config, seed=seed, report=report)
    save_word_vectors(out, found, config)
    reads = dict(zip(names, tokenizer.tokens(range(tokenizer.size)), strict=True))
    tokens = [reads[name] for name in found.tokens]
    for word in shown:
        around = nearest(found.vectors, tokens, word, near)
        print(f"{word}: {', '.join(f'{token} {cosine:.2f}' for token, cosine in around)}")
    print(f"{len(tokens):,} vectors of width {config.width}: {out}")
