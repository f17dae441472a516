"""Sentences with a label each: what a sentence classifier learns from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from attention_jax.data.lines import DataError
from attention_jax.data.marked import Side, marked, marked_length
from attention_jax.data.pair import Pair
from attention_jax.data.row_checks import check_sizes, digest_of, left_out
from attention_jax.data.sentence_kinds import sentence_kinds
from attention_jax.data.text import Splits, read_folder, read_tsv, split_pairs
from attention_jax.data.tokens import Tokenizer


class LabelledBatch(NamedTuple):
    """Sentences and their labels.

    Attributes:
      tokens: [B, S] int32: START, tokens, END, then PAD.
      labels: [B] int32.
      weights: [B] float32: 1 for every row that is a sentence.
    """

    tokens: Any
    labels: Any
    weights: Any


@dataclass(frozen=True)
class LabelledTextConfig:
    """Which sentences, and how they become rows."""

    corpus: str = "phrasebook"
    """"phrasebook" (built in: sentences by what their grammar made them), a file of lines
    label TAB sentence (.tsv or .tsv.gz), or a folder with train.tsv, val.tsv and test.tsv"""
    vocabulary: int = 2_000
    """tokens, at most; of a run that begins from another, that one's are taken"""
    max_length: int = 32
    """tokens of a row, marks included; longer sentences are left out"""
    rows: int = 32
    """of a batch"""
    limit: int | None = None
    """at most this many training sentences; None takes all"""

    def __post_init__(self):
        """Refuses what no rows can be made of."""
        check_sizes(self)


@dataclass(frozen=True)
class LabelledText:
    """Sentences as rows.

    Attributes:
      tokenizer: of the sentences.
      labels: by number, in the order of the alphabet.
      texts: the sentences that were not too long, each with its label, by split.
      rows: the same as rows.
      notes: what was left out.
    """

    tokenizer: Tokenizer
    labels: tuple[str, ...]
    texts: Mapping[str, Sequence[Pair]]
    rows: Mapping[str, LabelledBatch]
    notes: tuple[str, ...]

    def digest(self) -> str:
        """SHA-256 of all tokens and labels, in hex."""
        return digest_of(self.tokenizer, self.labels, self.rows)


def read_labelled_text(
    config: LabelledTextConfig, tokenizer: Tokenizer | None = None
) -> LabelledText:
    """The sentences that the config names; `tokenizer`: instead of one learned from them.

    Raises:
      DataError: there are no such sentences, or they cannot be read; a held-out label is none of
        training's.
    """
    splits, notes = _read(config)
    labels = tuple(sorted({pair.target for pair in splits["train"]}))
    splits = {**splits, "train": splits["train"][: config.limit]}
    if tokenizer is None:
        tokenizer = Tokenizer.train((pair.source for pair in splits["train"]), config.vocabulary)
    if len(labels) < 2:
        raise DataError(f"all training sentences are {', '.join(labels)}; two labels would fit")
    numbers = {label: number for number, label in enumerate(labels)}
    texts, rows = {}, {}
    for split, pairs in splits.items():
        if unknown := {pair.target for pair in pairs} - set(labels):
            raise DataError(
                f"{split} has the label {min(unknown)!r}, which no training sentence has; "
                f"{', '.join(labels)} would fit"
            )
        encoded = tokenizer.encode_all(pair.source for pair in pairs)
        short = [marked_length([Side(ids)]) <= config.max_length for ids in encoded]
        notes += left_out(split, short, config.max_length)
        if not any(short):
            continue
        sides = [[Side(ids)] for ids, fits in zip(encoded, short, strict=True) if fits]
        texts[split] = [pair for pair, fits in zip(pairs, short, strict=True) if fits]
        found = np.array([numbers[pair.target] for pair in texts[split]], np.int32)
        tokens = marked(sides, config.max_length).tokens
        rows[split] = LabelledBatch(tokens, found, np.ones(len(found), np.float32))
    return LabelledText(tokenizer, labels, texts, rows, tuple(notes))


def _read(config: LabelledTextConfig) -> tuple[Splits, list[str]]:
    """Pairs of a sentence and its label, by split."""
    if config.corpus == "phrasebook":
        return dict(sentence_kinds()), []
    path = Path(config.corpus).expanduser()
    if path.is_dir():
        splits, notes = read_folder(path, "label", "sentence")
        return {name: _turned(pairs) for name, pairs in splits.items()}, notes
    if path.is_file() and path.name.endswith((".tsv", ".tsv.gz")):
        pairs, notes = read_tsv(path)
        return split_pairs(_turned(pairs), path.name), notes
    raise DataError(
        f'there are no sentences {config.corpus!r}; "phrasebook", a .tsv file of lines label TAB '
        "sentence, or a folder with train.tsv and val.tsv would fit"
    )


def _turned(pairs: Sequence[Pair]) -> list[Pair]:
    return [Pair(pair.target, pair.source) for pair in pairs]
