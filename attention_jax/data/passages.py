"""One's own text for a language model: files or the phrasebook, as long texts or as documents."""

import functools
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from attention_jax.data.characters import Characters
from attention_jax.data.corpora import DataConfig, load_corpus
from attention_jax.data.lines import DataError, Quarantined, scan
from attention_jax.data.tokens import SMALLEST, Tokenizer

Kind = Literal["characters", "pieces"]
Documents = Literal["paragraphs", "lines", "files"]
Codec = Characters | Tokenizer

FILES: dict[Kind, str] = {"characters": "characters.json", "pieces": "tokenizer.json"}
"""what a run's folder keeps of how text becomes tokens"""


@dataclass(frozen=True)
class PassagesConfig:
    """Which text, and how it becomes rows of tokens."""

    text: Path | None = None
    """a .txt or .txt.gz file of your own, or a folder of them; None: the English side of the
    built-in phrasebook"""
    tokens: Kind = "characters"
    """what a token is: a character, or a piece of a word (byte-level BPE)"""
    vocabulary: int = 2_000
    """of pieces: how many, at most"""
    rows: int = 12
    """B: rows of a batch, each as long as the model's context"""
    packed: bool = False
    """several documents stand in a row, and none sees another; else rows are cut anywhere"""
    documents: Documents = "paragraphs"
    """what is packed: what blank lines divide, lines, or files; of the phrasebook lines always"""
    validation: float = 0.1
    """the share of your own text, from its end, that is held out"""
    limit: int | None = None
    """at most this many characters in all, those held out among them; None: all that there are"""
    cache: Path | None = None
    """where the phrasebook is kept; None: $ATTENTION_JAX_CACHE, or ~/.cache/attention_jax"""

    def __post_init__(self):
        """Refuses what gives no rows."""
        for name, least in (("vocabulary", SMALLEST), ("rows", 1)):
            if getattr(self, name) < least:
                raise DataError(f"{name} is {getattr(self, name)}; it must be at least {least}")
        if not 0 < self.validation < 1:
            raise DataError(f"validation is {self.validation}; a share between 0 and 1 would fit")
        if self.limit is not None and self.limit < 2:
            raise DataError(f"limit is {self.limit}; at least 2, or None for all, would fit")
        for name, fits in (("tokens", get_args(Kind)), ("documents", get_args(Documents))):
            if getattr(self, name) not in fits:
                raise DataError(f"{name} is {getattr(self, name)!r}; one of {fits} would fit")


class Passages(NamedTuple):
    """What is learned from and what is held out: documents, or each as one long text."""

    train: list[str]
    validation: list[str]


def read_passages(config: PassagesConfig) -> Passages:
    """The text that a config names.

    The end of one's own text is held out: its last characters, or, packed, its last documents. So
    neighbours of what is learned are not what is judged, as they were with drawn sentences.

    Raises:
      DataError: there is no such text, it cannot be read, or it is too short to be divided.
    """
    if config.text is None:
        shares = 1 - config.validation, config.validation
        train, held_out = (
            _first(side, config.limit and config.limit * share)
            for side, share in zip(_phrasebook(config.cache), shares, strict=True)
        )
        if config.packed:
            return Passages(train, held_out)
        return Passages(*(["".join(f"{one}\n" for one in side)] for side in (train, held_out)))
    texts = list(_limited(_files(config.text.expanduser()), config.limit))
    if not config.packed:
        text = "".join(texts)
        cut = int(len(text) * (1 - config.validation))
        return Passages(*_both([text[:cut]], [text[cut:]], config.text))
    found = [one for text in texts for one in _documents(text, config.documents)]
    cut = _fitting(found, sum(map(len, found)) * (1 - config.validation))
    cut = max(1, min(cut, len(found) - 1))
    return Passages(*_both(found[:cut], found[cut:], config.text))


def codec_of(config: PassagesConfig, passages: Passages) -> Codec:
    """How this text becomes tokens: its characters, or pieces learned from the train side."""
    if config.tokens == "characters":
        return Characters.of([*passages.train, *passages.validation])
    return Tokenizer.train(passages.train, config.vocabulary)


def load_codec(config: PassagesConfig, folder: Path) -> Codec:
    """What a run's folder keeps of it.

    Raises:
      DataError: the file is damaged.
      OSError: the file cannot be read.
    """
    kind = Characters if config.tokens == "characters" else Tokenizer
    return kind.load(folder / FILES[config.tokens])


def _files(path: Path) -> Iterator[str]:
    """The text of each file, every line of it ended."""
    if path.is_dir():
        found = sorted(one for one in path.iterdir() if one.name.endswith((".txt", ".txt.gz")))
        if not found:
            raise DataError(f"{path} holds no .txt and no .txt.gz file; one of them would fit.")
    elif path.name.endswith((".txt", ".txt.gz")) and path.exists():
        found = [path]
    else:
        what = "is no .txt or .txt.gz file" if path.exists() else "is not there"
        raise DataError(f"{path} {what}; such a file, or a folder of them, would fit.")
    for one in found:
        lines = []
        for line in scan(one):
            if isinstance(line, Quarantined):
                raise DataError(str(line))
            lines.append(f"{line}\n")
        yield "".join(lines)


def _limited(texts: Iterator[str], limit: int | None) -> Iterator[str]:
    left = limit
    for text in texts:
        yield text[:left]
        if left is not None and (left := left - len(text)) <= 0:
            return


@functools.lru_cache(maxsize=1)
def _phrasebook(cache: Path | None) -> tuple[list[str], list[str]]:
    """The English sentences to learn from, and those held out."""
    splits = load_corpus(DataConfig(cache=cache)).splits
    train, held_out = ([pair.source for pair in splits[one]] for one in ("train", "validation"))
    # A sentence with several translations is one sentence.
    return list(dict.fromkeys(train)), list(dict.fromkeys(held_out))


def _first(sentences: list[str], limit: float | None) -> list[str]:
    """Those of the first so many characters, one at least."""
    if limit is None:
        return list(sentences)
    return sentences[: max(1, _fitting(sentences, limit))]


def _fitting(texts: Sequence[str], characters: float) -> int:
    """How many of the first texts have so many characters together, at most."""
    return sum(end <= characters for end in itertools.accumulate(map(len, texts)))


def _documents(text: str, what: Documents) -> list[str]:
    if what == "files":
        found = [text]
    elif what == "lines":
        found = text.split("\n")
    else:
        found = re.split(r"\n[ \t]*\n", text)
    return [one.strip("\n") for one in found if one.strip()]


def _both(train: Sequence[str], held_out: Sequence[str], path: Path) -> tuple[list[str], list[str]]:
    if not any(map(str.strip, train)) or not any(map(str.strip, held_out)):
        raise DataError(f"{path} is too short to be divided into what is learned and held out.")
    return list(train), list(held_out)
