"""The user's own parallel text: files of lines, read strictly and split without leaks.

A line ends at a line feed and nowhere else. `str.splitlines` would also cut at U+2028, vertical
tabs and form feeds, which real text contains, and from there on every sentence would meet a wrong
translation. So bytes are split first and decoded after.
"""

import gzip
import hashlib
import re
import unicodedata
import zlib
from collections.abc import Iterable, Iterator, Sequence
from io import BufferedIOBase
from pathlib import Path

from attention_jax.data.pair import Pair

LINE_LIMIT = 1 << 20
"""The longest line that is read, in bytes; what is longer is no sentence."""

HELD_OUT = 2_000
"""Validation and test get a twentieth of the sentences each, but no more than this many."""

_COUNTED = 1 << 26
_VALIDATION = ("validation", "valid", "val", "dev")
_BOM = b"\xef\xbb\xbf"

Splits = dict[str, list[Pair]]


class DataError(ValueError):
    """Data that cannot be used; the message says which, where, and what would fit."""


def read_lines(path: Path) -> Iterator[str]:
    """The lines of a UTF-8 file, plain or .gz, without their ends (and without a BOM at the start).

    Raises:
      DataError: invalid UTF-8, a NUL character, a line longer than `LINE_LIMIT`, or a damaged gzip
        file; the message names file and line.
    """
    number = 0
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as stream:
            # A bounded read: a file that is one endless line must not fill the memory.
            while raw := stream.readline(LINE_LIMIT + 1):
                number += 1
                if len(raw) > LINE_LIMIT:
                    raise DataError(
                        f"{path}, line {number}: {_length(stream, raw)} long; at most "
                        f"{LINE_LIMIT:,} bytes fit on a line. Is it text, one sentence a line?"
                    )
                if number == 1:
                    raw = raw.removeprefix(_BOM)
                if b"\0" in raw:
                    found = f"a NUL character at byte {raw.index(0) + 1}"
                    advice = _advice(raw, "Text has none; is it a text file?")
                    raise DataError(f"{path}, line {number}: {found}. {advice}")
                try:
                    text = raw.decode("utf-8")
                except UnicodeDecodeError as error:
                    raise DataError(f"{path}, line {number}: {_fault(error)}") from None
                yield text.removesuffix("\n").removesuffix("\r")
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(
            f"{path}: damaged gzip after line {number}: {error}. Fetch or make the file again."
        ) from None


def read_sides(source: Path, target: Path) -> tuple[list[Pair], list[str]]:
    """Pairs from two line-aligned files, and notes on what was dropped.

    Raises:
      DataError: an empty file, different line counts, or what `read_lines` refuses.
    """
    sides = []
    for path in (source, target):
        sides.append(list(read_lines(path)))
        if not sides[-1]:
            raise DataError(f"{path} is empty; one sentence a line would fit.")
    if len(sides[0]) != len(sides[1]):
        raise DataError(
            f"{source} has {len(sides[0]):,} lines and {target} has {len(sides[1]):,}; line n of "
            "one must be the translation of line n of the other, so the counts must be equal."
        )
    return without_blanks((Pair(*both) for both in zip(*sides, strict=True)), source.name)


def read_tsv(path: Path) -> tuple[list[Pair], list[str]]:
    """Pairs from a file of `source TAB target` lines, and notes on what was dropped.

    Raises:
      DataError: an empty file, a line that is not two columns, or what `read_lines` refuses.
    """
    pairs = []
    for number, line in enumerate(read_lines(path), start=1):
        columns = line.split("\t")
        if len(columns) != 2 and line:
            raise DataError(
                f"{path}, line {number}: {len(columns)} column{'s' * (len(columns) != 1)}; exactly "
                "two, source TAB target, would fit (`cut -f1,2` keeps the first two)."
            )
        pairs.append(Pair(columns[0], columns[-1]))
    if not pairs:
        raise DataError(f"{path} is empty; lines of source TAB target would fit.")
    return without_blanks(pairs, path.name)


def read_folder(folder: Path, source: str, target: str) -> tuple[Splits, list[str]]:
    """The splits of a folder: `train.en` + `train.de`, `val.*`, `test*.*`, or `train.tsv` etc.

    Every file may be gzipped. Validation may be called validation, valid, val or dev; every file
    whose name begins with "test" is a split under its own name. A folder with nothing but one .tsv
    is split by `split_pairs`.

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
        pairs, notes = read_tsv(tables[0])
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
            splits[split], dropped = read_tsv(files["tsv"])
        else:
            splits[split], dropped = read_sides(files[source], files[target])
        notes += dropped
    return splits, notes


def without_blanks(pairs: Iterable[Pair], name: str) -> tuple[list[Pair], list[str]]:
    """The pairs with text on both sides, and a note on how many had none.

    Raises:
      DataError: nothing is left.
    """
    kept, blank, first = [], 0, 0
    for number, pair in enumerate(pairs, start=1):
        if pair.source.strip() and pair.target.strip():
            kept.append(pair)
        else:
            blank, first = blank + 1, first or number
    if not kept:
        raise DataError(f"{name}: none of the {blank:,} lines has text on both sides.")
    if not blank:
        return kept, []
    total = blank + len(kept)
    return kept, [f"{name}: dropped {blank:,} of {total:,} pairs, empty on a side (first: {first})"]


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


def _length(stream: BufferedIOBase, start: bytes) -> str:
    """How long a too long line is, counted without keeping it."""
    size, part = len(start), start
    while part and not part.endswith(b"\n") and size < _COUNTED:
        part = stream.readline(LINE_LIMIT)
        size += len(part)
    return f"{'more than ' * (size >= _COUNTED)}{size:,} bytes"


def _fault(error: UnicodeDecodeError) -> str:
    """What is wrong with bytes that are not UTF-8."""
    raw, at = error.object, error.start
    found = f"byte {at + 1} (0x{raw[at]:02x}) is not valid UTF-8"
    if re.match(rb"\xed[\xa0-\xbf]", raw[at : at + 2]):
        return f"{found}: a lone surrogate, half a character. Write the file again as UTF-8."
    return f"{found}. {_advice(raw, '`iconv -f latin1 -t utf-8` converts older files.')}"


def _advice(raw: bytes, otherwise: str) -> str:
    """What to do about a first line that opens like something else than text."""
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "It looks like UTF-16: `iconv -f utf-16 -t utf-8` converts it."
    if raw[:2] == b"\x1f\x8b":
        return "It looks gzipped: add .gz to its name."
    return otherwise
