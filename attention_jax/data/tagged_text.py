"""Words with a tag each: what a tagger learns from.

A tag stands at the first token of its word; the other tokens of the word, and marks, have none
(Devlin et al. 2019, section 5.3).
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from attention_jax.data.conll import read_conll
from attention_jax.data.entities import Tagged, entities
from attention_jax.data.lines import DataError
from attention_jax.data.marked import Side, marked, marked_length
from attention_jax.data.row_checks import check_sizes, digest_of, left_out
from attention_jax.data.tokens import Tokenizer


class TaggedBatch(NamedTuple):
    """Sentences and the tags of their words.

    Attributes:
      tokens: [B, S] int32: START, tokens, END, then PAD.
      labels: [B, S] int32: the tag at the first token of each word, 0 elsewhere.
      weights: [B, S] float32: 1 at the first token of each word.
    """

    tokens: Any
    labels: Any
    weights: Any


@dataclass(frozen=True)
class TaggedTextConfig:
    """Which sentences, and how they become rows."""

    corpus: str = "entities"
    """"entities" (built in: made-up people, places and things), a file in two columns, word and
    tag, with an empty line between sentences (CoNLL), or a folder with train.conll, val.conll and
    test.conll"""
    vocabulary: int = 1_000
    """tokens, at most; of a run that begins from another, that one's are taken"""
    max_length: int = 48
    """tokens of a row, marks included; longer sentences are left out"""
    rows: int = 32
    """of a batch"""
    limit: int | None = None
    """at most this many training sentences; None takes all"""

    def __post_init__(self):
        """Refuses what no rows can be made of."""
        check_sizes(self)


@dataclass(frozen=True)
class TaggedText:
    """Sentences as rows.

    Attributes:
      tokenizer: of the sentences.
      tags: by number: O, then the others in the order of the alphabet.
      texts: the sentences that were not too long, by split.
      rows: the same as rows.
      notes: what was left out.
    """

    tokenizer: Tokenizer
    tags: tuple[str, ...]
    texts: Mapping[str, Sequence[Tagged]]
    rows: Mapping[str, TaggedBatch]
    notes: tuple[str, ...]

    def digest(self) -> str:
        """SHA-256 of all tokens and tags, in hex."""
        return digest_of(self.tokenizer, self.tags, self.rows)


def read_tagged_text(config: TaggedTextConfig, tokenizer: Tokenizer | None = None) -> TaggedText:
    """The sentences that the config names; `tokenizer`: instead of one learned from them.

    Raises:
      DataError: there are no such sentences, or they cannot be read; a held-out tag is none of
        training's.
    """
    splits = _read(config)
    known = {tag for sentence in splits["train"] for tag in sentence.tags} - {"O"}
    splits["train"] = splits["train"][: config.limit]
    if tokenizer is None:
        texts = (" ".join(sentence.words) for sentence in splits["train"])
        tokenizer = Tokenizer.train(texts, config.vocabulary)
    tags = ("O", *sorted(known))
    if len(tags) < 2:
        raise DataError("all training tags are O; at least one B- tag would fit")
    kept, rows, notes = {}, {}, []
    for split, sentences in splits.items():
        unknown = {tag for sentence in sentences for tag in sentence.tags} - set(tags)
        if unknown:
            raise DataError(
                f"{split} has the tag {min(unknown)!r}, which no training word has; "
                f"{', '.join(tags)} would fit"
            )
        pieces = [in_pieces(tokenizer, sentence.words) for sentence in sentences]
        sides = [[Side([token for word in one for token in word])] for one in pieces]
        short = [marked_length(row) <= config.max_length for row in sides]
        notes += left_out(split, short, config.max_length)
        if not any(short):
            continue
        kept[split] = [one for one, fits in zip(sentences, short, strict=True) if fits]
        pieces = [one for one, fits in zip(pieces, short, strict=True) if fits]
        found = marked(
            [row for row, fits in zip(sides, short, strict=True) if fits], config.max_length
        )
        rows[split] = _batch(found.tokens, kept[split], pieces, tags)
    return TaggedText(tokenizer, tags, kept, rows, tuple(notes))


def in_pieces(tokenizer: Tokenizer, words: Sequence[str]) -> list[list[int]]:
    """The tokens of each word, of which there is at least one."""
    return tokenizer.encode_all(words)


def firsts(pieces: Sequence[Sequence[int]]) -> np.ndarray:
    """Where each word's first token stands in its row, behind START."""
    sizes = [len(word) for word in pieces]
    return 1 + np.cumsum([0, *sizes[:-1]])


def _batch(
    tokens: np.ndarray,
    sentences: Sequence[Tagged],
    pieces: Sequence[Sequence[Sequence[int]]],
    tags: Sequence[str],
) -> TaggedBatch:
    numbers = {tag: number for number, tag in enumerate(tags)}
    labels, weights = np.zeros_like(tokens), np.zeros(tokens.shape, np.float32)
    for row, (sentence, words) in enumerate(zip(sentences, pieces, strict=True)):
        at = firsts(words)
        labels[row, at] = [numbers[tag] for tag in sentence.tags]
        weights[row, at] = 1
    return TaggedBatch(tokens, labels, weights)


def _read(config: TaggedTextConfig) -> dict[str, list[Tagged]]:
    if config.corpus == "entities":
        return entities()
    path = Path(config.corpus).expanduser()
    if path.is_file():
        return _split(read_conll(path), path.name)
    if not path.is_dir():
        raise DataError(
            f'there are no tagged sentences {config.corpus!r}; "entities", a file of two columns, '
            "word and tag, or a folder with train.conll and val.conll would fit"
        )
    found = {}
    for file in sorted(path.iterdir()):
        name, _, ending = file.name.removesuffix(".gz").rpartition(".")
        if ending == "conll":
            name = "validation" if name in ("val", "valid", "dev") else name
            if name in found:
                raise DataError(f"{path} has {name} twice; keep one of them")
            found[name] = read_conll(file)
    if missing := [name for name in ("train", "validation") if name not in found]:
        raise DataError(
            f"{path} has no {missing[0]}; train.conll and val.conll (plain or .gz) would fit"
        )
    return {
        name: found[name] for name in found if name in ("train", "validation") or "test" in name
    }


def _split(sentences: Sequence[Tagged], name: str) -> dict[str, list[Tagged]]:
    """A twentieth for validation and one for test, by a digest; no sentence stands in two."""
    by_text: dict[tuple[str, ...], list[Tagged]] = {}
    for sentence in sentences:
        by_text.setdefault(sentence.words, []).append(sentence)
    if len(by_text) < 3:
        raise DataError(
            f"{name}: {len(by_text)} different sentences cannot be split into train, validation "
            "and test; at least 3 are needed"
        )
    ranked = sorted(by_text, key=lambda words: hashlib.sha256(" ".join(words).encode()).digest())
    held = max(1, len(ranked) // 20)
    parts = {
        "train": ranked[2 * held :],
        "validation": ranked[:held],
        "test": ranked[held : 2 * held],
    }
    return {
        split: [one for words in part for one in by_text[words]] for split, part in parts.items()
    }
