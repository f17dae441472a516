"""One name to one corpus: built in, the user's own files, or a TFDS translation set."""

import difflib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from attention_jax.data.addition import addition, digits_in
from attention_jax.data.joined import joined
from attention_jax.data.lines import DataError, Quarantined
from attention_jax.data.long_documents import persons_in, reports
from attention_jax.data.pair import Pair
from attention_jax.data.prompted import prompted
from attention_jax.data.quarantine import Policy, Quarantine
from attention_jax.data.recall import pairs_in, recall
from attention_jax.data.reversal import reversal, symbols_in
from attention_jax.data.text import read_folder, read_tsv, split_pairs
from attention_jax.data.tokens import SMALLEST

FORMS = (
    '"phrasebook", "recall-16", "reverse-25", "addition-8" or "reports-8" (built in), a folder '
    "with train.en, train.es, val.en, val.es (or your languages; plain or .gz), a two-column .tsv "
    "or .tsv.gz file, or a TFDS set such as para_crawl/enes"
)


@dataclass(frozen=True)
class Corpus:
    """Sentence pairs of one language pair.

    Attributes:
      name: what was asked for.
      source: the language to translate from.
      target: the language to translate into.
      splits: train, validation, and any whose name begins with test.
      notes: what was dropped or cut, and why; one sentence each.
      quarantined: the lines of the user's own text that were left out, each with its reason.
    """

    name: str
    source: str
    target: str
    splits: Mapping[str, Sequence[Pair]]
    notes: tuple[str, ...] = ()
    quarantined: Sequence[Quarantined] = ()


@dataclass(frozen=True)
class DataConfig:
    """Which text, and how it becomes batches.

    Attributes:
      corpus: "phrasebook", "recall-16" (associative recall of 16 pairs, or another number),
        "reverse-25" (sentences of up to 25 symbols turned round, or another number), "addition-8"
        (sums of numbers of up to 8 digits, or "addition-reversed-8", the last digits first),
        "reports-8" (long reports and summaries about 8 persons, or another number), a folder, a
        two-column .tsv[.gz] file, or a TFDS name such as para_crawl/enes. A second number, as in
        "reverse-25-50", adds the split test_longer, beyond the lengths of training.
      source: the language to translate from; of a .tsv file, a name for its first column.
      target: the language to translate into; of a .tsv file, a name for its second column.
      vocabulary: tokens of both languages together, at most.
      max_length: the most tokens a side, its end mark included; longer pairs are dropped.
      max_target: the most tokens of a target, where targets are much shorter than sources, as
        summaries are: they are then padded to no more than that; None: max_length.
      batch_tokens: the most positions a side of a batch, padding included.
      shapes: how many padded lengths there may be; each is one compiled program.
      reverse: translates the second column of a .tsv file into the first; `source` then names the
        second, and the file is still split so that no line of its first column is in two splits.
      limit: at most this many training pairs; None takes all.
      join: pairs that make one sentence, at most: each split holds its text by ones, by twos and so
        on up to this number, so that the same sentences are short and long; 1: as they are.
      prompt: words in front of each source that say what to do, such as "translate to {target}:";
        {target} becomes the target's language. A line to translate then needs them too.
      both_ways: each pair also the other way round; {target} in the prompt tells which is meant.
      bad_lines: what to do about lines of your own text that are no text (invalid UTF-8, a NUL
        character, too long, no two columns): "refuse" the corpus, or "skip" them with the lines
        beside them, and list them in the run's quarantine.jsonl.
      bad_limit: the share of lines that may be skipped; more refuses the corpus.
      cache: where made or downloaded sets are kept; None takes $ATTENTION_JAX_CACHE, or
        ~/.cache/attention_jax.
    """

    corpus: str = "phrasebook"
    source: str = "en"
    target: str = "es"
    vocabulary: int = 8_000
    max_length: int = 64
    batch_tokens: int = 2_048
    shapes: int = 3
    reverse: bool = False
    limit: int | None = None
    join: int = 1
    bad_lines: Policy = "refuse"
    bad_limit: float = 0.01
    cache: Path | None = None
    max_target: int | None = None
    prompt: str = ""
    both_ways: bool = False

    def __post_init__(self):
        if not self.corpus:
            raise DataError(f"corpus is empty; {FORMS} would fit.")
        for name in ("source", "target"):
            value = getattr(self, name)
            if not re.fullmatch(r"[A-Za-z0-9_-]+", value) or value in ("tsv", "gz"):
                raise DataError(f"{name} must be a language such as en, not {value!r}.")
        if self.source == self.target:
            raise DataError(f"source and target must differ; both are {self.source!r}.")
        for name, least in (
            ("vocabulary", SMALLEST),
            ("max_length", 2),
            ("shapes", 1),
            ("join", 1),
        ):
            if getattr(self, name) < least:
                raise DataError(f"{name} must be at least {least}, not {getattr(self, name)}.")
        if self.batch_tokens < self.max_length:
            raise DataError(
                f"batch_tokens must be at least max_length, {self.max_length}, so that the longest "
                f"pair fits; it is {self.batch_tokens}."
            )
        if self.max_target is not None and not 2 <= self.max_target <= self.max_length:
            raise DataError(
                f"max_target is {self.max_target}; from 2 to max_length, {self.max_length}, would "
                "fit, or None."
            )
        if self.limit is not None and self.limit < 1:
            raise DataError(f"limit must be at least 1, or None for all; it is {self.limit}.")
        if self.bad_lines not in get_args(Policy):
            fits = " or ".join(get_args(Policy))
            raise DataError(f"bad_lines is {self.bad_lines!r}; {fits} would fit.")
        if not 0 <= self.bad_limit <= 1:
            raise DataError(f"bad_limit is a share from 0 to 1, not {self.bad_limit}.")
        if self.cache is not None:
            object.__setattr__(self, "cache", Path(self.cache))

    @property
    def folder(self) -> Path:
        """Where made or downloaded sets are kept."""
        chosen = self.cache or os.environ.get("ATTENTION_JAX_CACHE") or "~/.cache/attention_jax"
        return at_home(Path(chosen))


def at_home(path: Path) -> Path:
    """The path with a home folder for ~."""
    try:
        return path.expanduser()
    except RuntimeError:  # nobody's home: a folder may well be called so
        return path


def load_corpus(config: DataConfig) -> Corpus:
    """Reads the corpus that the config names.

    The phrasebook is made once and a TFDS set downloaded once; both are read from the cache folder
    afterwards, without the network.

    Raises:
      DataError: there is no such corpus, or it cannot be read or downloaded; one message that names
        what was found and what would fit.
    """
    from attention_jax.data import prepared

    name, source, target = config.corpus, config.source, config.target
    path = at_home(Path(name))
    quarantine = Quarantine(config.bad_lines)
    if config.reverse and not path.is_file():
        raise DataError(
            f"reverse is for .tsv files; to turn {name} round, exchange source ({source}) and "
            f"target ({target})."
        )
    if name == "phrasebook":
        splits, notes = prepared.phrasebook(config.folder, source, target)
    elif (pairs := pairs_in(name)) is not None:
        splits, notes = recall(pairs, config.max_length), []
    elif (symbols := symbols_in(name)) is not None:
        splits, notes = reversal(symbols.trained, config.max_length, symbols.tested), []
    elif (sums := digits_in(name)) is not None:
        splits, notes = addition(sums[0], config.max_length, turned=sums[1]), []
    elif (persons := persons_in(name)) is not None:
        splits, notes = reports(persons, config.max_length), []
    elif path.is_dir():
        splits, notes = read_folder(path, source, target, quarantine)
    elif path.exists():
        if not path.name.endswith((".tsv", ".tsv.gz")):
            raise DataError(f"{name} is a file, but no .tsv or .tsv.gz; {FORMS} would fit.")
        rows, notes = read_tsv(path, quarantine)
        splits = split_pairs(rows, path.name)
        if config.reverse:
            splits = {
                split: [Pair(pair.target, pair.source) for pair in found]
                for split, found in splits.items()
            }
    elif prepared.is_known(name, config.folder):
        splits, notes = prepared.translations(name, config.folder, source, target, config.limit)
    else:
        raise _unknown(name, path)
    quarantine.check(name, config.bad_limit)
    train = splits["train"]
    if config.limit is not None and len(train) > config.limit:
        notes = [*notes, f"kept the first {config.limit:,} of {len(train):,} training pairs"]
        splits = {**splits, "train": train[: config.limit]}
    if config.join > 1:
        notes = [*notes, f"each split holds its text by ones, up to {config.join} pairs in one"]
        splits = joined(splits, config.join)
    if config.prompt.strip() or config.both_ways:
        splits = prompted(splits, config.prompt, (source, target), both=config.both_ways)
    return Corpus(name, source, target, splits, tuple(notes), tuple(quarantine.records))


def _unknown(name: str, path: Path) -> DataError:
    """Says what the name looks like and what it may have meant."""
    from attention_jax.data.prepared import WITHOUT_TENSORFLOW

    near = [
        name.replace(name.split("/")[0], close, 1)
        for close in difflib.get_close_matches(
            name.split("/")[0], ["phrasebook", *WITHOUT_TENSORFLOW], cutoff=0.7
        )
    ]
    looks_like_path = "/" in name or "." in name or name.startswith("~")
    if looks_like_path and path.parent.is_dir():
        there = [other.name for other in path.parent.iterdir()]
        close = difflib.get_close_matches(path.name, there, cutoff=0.7)
        near += [str(path.parent / other) for other in close]
    guess = f" Did you mean {' or '.join(near)}?" if near else ""
    if looks_like_path:
        kind = "file" if name.endswith((".tsv", ".gz")) else "folder or file"
        return DataError(f"there is no {kind} {name}.{guess} What fits: {FORMS}.")
    return DataError(f"there is no corpus {name!r}.{guess} What fits: {FORMS}.")
