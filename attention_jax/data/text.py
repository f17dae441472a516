"""The user's own parallel text: files of lines, read strictly and split without leaks."""

import hashlib
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from attention_jax.data.lines import DataError, Quarantined, escaped
from attention_jax.data.pair import Pair
from attention_jax.data.quarantine import Quarantine, blank

HELD_OUT = 2_000
"""Validation and test get a twentieth of the sentences each, but no more than this many."""

_VALIDATION = ("validation", "valid", "val", "dev")

Splits = dict[str, list[Pair]]


def read_sides(
    source: Path, target: Path, quarantine: Quarantine | None = None
) -> tuple[list[Pair], list[str]]:
    """Pairs from two line-aligned files, and notes on what was dropped.

    Args:
      source: a file, one sentence a line.
      target: their translations.
      quarantine: takes the lines that are left out; None refuses bad ones.

    Raises:
      DataError: an empty file, different line counts, or a bad line that is refused.
    """
    quarantine = Quarantine() if quarantine is None else quarantine
    sides = []
    for path in (source, target):
        sides.append(list(quarantine.read(path)))
        if not sides[-1]:
            raise DataError(f"{path} is empty; one sentence a line would fit.")
    if len(sides[0]) != len(sides[1]):
        raise DataError(
            f"{source} has {len(sides[0]):,} lines and {target} has {len(sides[1]):,}; line n of "
            "one must be the translation of line n of the other, so the counts must be equal."
        )
    rows = []
    for number, (one, other) in enumerate(zip(*sides, strict=True), start=1):
        # Bad before empty, because what is bad counts against the limit.
        if isinstance(one, Quarantined) or isinstance(other, Quarantined):
            rows.append(one if isinstance(one, Quarantined) else other)
            continue
        empty = blank(source, number, one) or blank(target, number, other)
        rows.append(empty or Pair(one, other))
    return quarantine.keep(rows, source.name)


def read_tsv(path: Path, quarantine: Quarantine | None = None) -> tuple[list[Pair], list[str]]:
    """Pairs from a file of `source TAB target` lines, and notes on what was dropped.

    Args:
      path: of the file.
      quarantine: takes the lines that are left out; None refuses bad ones.

    Raises:
      DataError: an empty file, or a bad line that is refused: one of three columns, too.
    """
    quarantine = Quarantine() if quarantine is None else quarantine
    rows = []
    for number, line in enumerate(quarantine.read(path), start=1):
        if isinstance(line, Quarantined):
            rows.append(line)
        elif len(columns := line.split("\t")) == 2 or not line:
            rows.append(blank(path, number, *columns) or Pair(columns[0], columns[1]))
        else:
            rows.append(quarantine.bad(_not_two(path, number, columns)))
    if not rows:
        raise DataError(f"{path} is empty; lines of source TAB target would fit.")
    return quarantine.keep(rows, path.name)


def read_folder(
    folder: Path, source: str, target: str, quarantine: Quarantine | None = None
) -> tuple[Splits, list[str]]:
    """The splits of a folder: `train.en` + `train.de`, `val.*`, `test*.*`, or `train.tsv` etc.

    Every file may be gzipped. Validation may be called validation, valid, val or dev; every file
    whose name begins with "test" is a split under its own name. A folder with nothing but one .tsv
    is split by `split_pairs`.

    Args:
      folder: where the files are.
      source: the language to translate from, the ending of its files.
      target: the same of the other side.
      quarantine: takes the lines that are left out; None refuses bad ones.

    Raises:
      DataError: a file is missing or stands there twice, or cannot be read; the message names the
        file that was looked for and what is there.
    """
    found: dict[str, dict[str, Path]] = {}
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        stem, _, ending = path.name.removesuffix(".gz").rpartition(".")
        if ending not in (source, target, "tsv"):
            continue
        other = found.setdefault(stem, {}).setdefault(ending, path)
        if other != path:
            raise DataError(f"{folder} has both {other.name} and {path.name}; keep one of them.")
    tables = [files["tsv"] for files in found.values() if "tsv" in files]
    if "train" not in found and len(tables) == 1:
        pairs, notes = read_tsv(tables[0], quarantine)
        return split_pairs(pairs, tables[0].name), notes

    stems = {"train": _only(folder, found, ("train",), source, target)}
    stems["validation"] = _only(folder, found, _VALIDATION, source, target)
    stems |= {stem: stem for stem in found if stem.startswith("test")}
    splits, notes = {}, []
    for split, stem in stems.items():
        files = found[stem]
        if "tsv" in files and len(files) > 1:
            names = ", ".join(path.name for path in files.values())
            raise DataError(f"{folder} has {names}: two forms of one split; keep one form.")
        for language in (source, target) if "tsv" not in files else ():
            if language not in files:
                raise _missing(folder, f"{stem}.{language}", source, target)
        if "tsv" in files:
            splits[split], dropped = read_tsv(files["tsv"], quarantine)
        else:
            sides = files[source], files[target]
            splits[split], dropped = read_sides(*sides, quarantine)
        notes += dropped
    return splits, notes


def without_blanks(pairs: Iterable[Pair], name: str) -> tuple[list[Pair], list[str]]:
    """The pairs with text on both sides, and a note on how many had none.

    Raises:
      DataError: nothing is left.
    """
    rows = [blank(name, n, *pair[:2]) or pair for n, pair in enumerate(pairs, start=1)]
    return Quarantine().keep(rows, name)


def normalised(text: str) -> str:
    """The text without case, punctuation and spacing: what makes two sentences the same one."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    kept = "".join(c if unicodedata.category(c)[0] in "LMN" else " " for c in folded)
    # "?!" and an emoji have no letters; they stand for themselves.
    return " ".join(kept.split()) or " ".join(folded.split())


def split_pairs(pairs: Sequence[Pair], name: str) -> Splits:
    """Train, validation and test, so that no source sentence stands in two of them.

    Sentences that differ in case, punctuation or spacing only count as one. They are ranked by a
    hash of their text; the lowest go to validation, the next to test, the rest to train. So the
    split is the same on every machine and in any order of lines, and hardly moves with new lines.

    Raises:
      DataError: fewer than three different source sentences.
    """
    hashes = {}
    owners = []
    for pair in pairs:
        text = normalised(pair.source)
        owners.append(text)
        if text not in hashes:
            hashes[text] = hashlib.blake2b(text.encode(), digest_size=8).digest()
    if len(hashes) < 3:
        raise DataError(
            f"{name}: {len(hashes)} different source sentences cannot be split into train, "
            "validation and test; at least 3 are needed."
        )
    held = min(HELD_OUT, max(1, len(hashes) // 20))
    ranked = sorted(hashes, key=lambda text: (hashes[text], text))
    split_of = dict.fromkeys(ranked[:held], "validation")
    split_of |= dict.fromkeys(ranked[held : 2 * held], "test")
    splits: Splits = {"train": [], "validation": [], "test": []}
    for pair, text in zip(pairs, owners, strict=True):
        splits[split_of.get(text, "train")].append(pair)
    return splits


def _only(
    folder: Path,
    found: dict[str, dict[str, Path]],
    stems: tuple[str, ...],
    source: str,
    target: str,
) -> str:
    """The one of these names that the folder has."""
    there = [stem for stem in stems if stem in found]
    if len(there) > 1:
        raise DataError(f"{folder} has {' and '.join(there)} files; keep one of them.")
    if not there:
        raise _missing(folder, " or ".join(f"{stem}.{source}" for stem in stems), source, target)
    return there[0]


def _missing(folder: Path, wanted: str, source: str, target: str) -> DataError:
    names = sorted(path.name for path in folder.iterdir())
    there = ", ".join(names[:12]) + ", ..." * (len(names) > 12) if names else "nothing"
    return DataError(
        f"{folder} has no {wanted} (plain or .gz); there: {there}. The languages asked for are "
        f"{source!r} and {target!r}; train.{source}, train.{target}, val.{source} and "
        f"val.{target} would fit."
    )


def _not_two(path: Path, number: int, columns: Sequence[str]) -> Quarantined:
    """A line of a table that is no source TAB target."""
    detail = (
        f"{len(columns)} column{'s' * (len(columns) != 1)}; exactly two, source TAB target, "
        "would fit (`cut -f1,2` keeps the first two)."
    )
    text = escaped("\t".join(columns).encode())
    return Quarantined(str(path), number, "not two columns", detail, text)
