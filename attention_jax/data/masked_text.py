"""Text to learn from by masking: sentences of one language, or with their translations.

Source: Devlin et al. 2019 (one text a row); Conneau and Lample 2019, "Cross-lingual Language Model
Pretraining", section 3.3 (a sentence beside its translation, so that a hidden word can be read off
the other language).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from attention_jax.data.corpora import DataConfig, load_corpus
from attention_jax.data.lines import DataError
from attention_jax.data.marked import Side, marked, marked_length, mask_of
from attention_jax.data.masking import MaskedBatch, unmasked
from attention_jax.data.pair import Pair
from attention_jax.data.row_checks import check_sizes, digest_of, left_out
from attention_jax.data.text import Splits, read_folder, read_sides, split_pairs
from attention_jax.data.tokens import Tokenizer


@dataclass(frozen=True)
class MaskedTextConfig:
    """Which text, and how it becomes rows with masks."""

    corpus: str = "phrasebook"
    """"phrasebook" (built in), a text file of one sentence a line, or a folder with train.en,
    val.en and test*.en (or your language; plain or .gz); with `other` all that translation takes"""
    language: str = "en"
    """of the sentences: the ending of a folder's files"""
    other: str | None = None
    """a second language: each sentence is there by itself, in both languages, and beside its
    translation; None: one language alone"""
    vocabulary: int = 4_000
    """tokens of all languages together, at most; the mask is one more"""
    max_length: int = 32
    """tokens of a row, marks included; longer sentences, or pairs, are left out"""
    share: float = 0.15
    """of the tokens, how many are to be told"""
    rows: int = 64
    """of a batch"""
    limit: int | None = None
    """at most this many training sentences; None takes all"""
    cache: Path | None = None
    """where the phrasebook is kept; None takes $ATTENTION_JAX_CACHE, or ~/.cache/attention_jax"""

    def __post_init__(self):
        """Refuses what no rows can be made of."""
        check_sizes(self)
        if not 0 < self.share < 1:
            raise DataError(f"share is {self.share}; a number between 0 and 1 would fit")
        for name in ("language", "other"):
            value = getattr(self, name)
            if value is not None and not re.fullmatch(r"[A-Za-z0-9_-]+", value):
                raise DataError(f"{name} is {value!r}; a language such as en would fit")
        if self.language == self.other:
            raise DataError(f"language and other are both {self.other!r}; two would fit")


@dataclass(frozen=True)
class MaskedText:
    """Text as rows, nothing masked yet.

    Attributes:
      tokenizer: of all languages.
      pairs: the sentences that were not too long, by split; without a second language both sides of
        a pair are the same.
      rows: what is trained on, by split; see `unmasked`.
      notes: what was left out.
    """

    tokenizer: Tokenizer
    pairs: Mapping[str, Sequence[Pair]]
    rows: Mapping[str, MaskedBatch]
    notes: tuple[str, ...]

    @property
    def mask(self) -> int:
        """The token that hides others."""
        return mask_of(self.tokenizer)

    def digest(self) -> str:
        """SHA-256 of all tokens of all splits, in hex."""
        return digest_of(self.tokenizer, (), self.rows)


def read_masked_text(config: MaskedTextConfig, tokenizer: Tokenizer | None = None) -> MaskedText:
    """The text that the config names; `tokenizer`: instead of one learned from it.

    Raises:
      DataError: there is no such text, it cannot be read, or all of it is too long.
    """
    splits, notes = _read(config)
    splits = {**splits, "train": splits["train"][: config.limit]}
    both = config.other is not None
    if tokenizer is None:
        texts = [pair.source for pair in splits["train"]]
        texts += [pair.target for pair in splits["train"]] if both else []
        tokenizer = Tokenizer.train(texts, config.vocabulary)
    kept, rows = {}, {}
    for split, pairs in splits.items():
        one = [Side(ids, 0) for ids in tokenizer.encode_all(pair.source for pair in pairs)]
        two = [Side(ids, 1) for ids in tokenizer.encode_all(pair.target for pair in pairs)]
        sides = zip(one, two, strict=True)
        forms = [[[a, b], [a], [b]] if both else [[a]] for a, b in sides]
        short = [marked_length(form[0]) <= config.max_length for form in forms]
        notes += left_out(split, short, config.max_length)
        if not any(short):
            continue
        flat = [row for form, fits in zip(forms, short, strict=True) if fits for row in form]
        rows[split] = unmasked(marked(flat, config.max_length), config.share)
        kept[split] = [pair for pair, fits in zip(pairs, short, strict=True) if fits]
    return MaskedText(tokenizer, kept, rows, tuple(notes))


def single(text: MaskedText, split: str, side: int = 0) -> MaskedBatch:
    """The sentences of a split in one language, each by itself, in order: side 0 or 1."""
    rows = text.rows[split]
    if len(rows.tokens) == len(text.pairs[split]):
        return rows
    return type(rows)(*(array[1 + side :: 3] for array in rows))


def beside(text: MaskedText, split: str) -> MaskedBatch:
    """The sentences of a split, each with its translation behind it."""
    return MaskedBatch(*(array[::3] for array in text.rows[split]))


def _read(config: MaskedTextConfig) -> tuple[Splits, list[str]]:
    """Pairs by split; of one language alone, both sides are the same."""
    path = Path(config.corpus).expanduser()
    phrasebook = config.corpus == "phrasebook"
    if config.other is not None or phrasebook:
        other = config.other or ("en" if config.language == "es" else "es")
        corpus = load_corpus(DataConfig(config.corpus, config.language, other, cache=config.cache))
        splits = {name: list(pairs) for name, pairs in corpus.splits.items()}
        if config.other is None:
            for name, pairs in splits.items():
                splits[name] = [Pair(pair.source, pair.source) for pair in pairs]
        return splits, list(corpus.notes)
    if path.is_dir():
        return read_folder(path, config.language, config.language)
    if path.is_file():
        pairs, notes = read_sides(path, path)
        return split_pairs(pairs, path.name), notes
    raise DataError(
        f'there is no text {config.corpus!r}; "phrasebook", a file of one sentence a line, or a '
        f"folder with train.{config.language} and val.{config.language} would fit"
    )
