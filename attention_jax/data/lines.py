"""The lines of a text file: each is text, or a bad line with its reason.

A line ends at a line feed and nowhere else. `str.splitlines` would also cut at U+2028, vertical
tabs and form feeds, which real text contains, and from there on every sentence would meet a wrong
translation. So bytes are split first and decoded after.
"""

import gzip
import re
import zlib
from collections.abc import Iterator
from io import BufferedIOBase
from pathlib import Path
from typing import NamedTuple

LINE_LIMIT = 1 << 20
"""The longest line that is read, in bytes; what is longer is no sentence."""

_ENDLESS = 1 << 26  # a line of so many bytes is not skipped: the file is no text
_SHOWN = 200
_BOM = b"\xef\xbb\xbf"


class DataError(ValueError):
    """Data that cannot be used; the message says which, where, and what would fit."""


class Quarantined(NamedTuple):
    """A line that is left out, and with it the line of the other side.

    Attributes:
      file: where it stands.
      line: its number, from 1.
      reason: what it has in common with others, such as "invalid UTF-8".
      detail: what is wrong with this one, and what would help.
      text: its first 200 characters; what does not print, and a backslash, is escaped.
    """

    file: str
    line: int
    reason: str
    detail: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}: {self.detail}"


def scan(path: Path) -> Iterator[str | Quarantined]:
    """The lines of a UTF-8 file, plain or .gz, without their ends (and without a BOM at the start).

    A line with invalid UTF-8, with a NUL character or longer than `LINE_LIMIT` stands there as
    `Quarantined`, so that all others keep their numbers.

    Raises:
      DataError: a damaged gzip file, or a line so long that the file cannot be text.
    """
    number = 0
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as stream:
            # A bounded read: a file that is one endless line must not fill the memory.
            while raw := stream.readline(LINE_LIMIT + 1):
                number += 1
                if number == 1:
                    raw = raw.removeprefix(_BOM)
                yield _line(path, number, raw, stream)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(
            f"{path}: damaged gzip after line {number}: {error}. Fetch or make the file again."
        ) from None


def escaped(raw: bytes) -> str:
    r"""How a line may be shown: one line of 200 characters at most, with nothing that acts.

    Bytes that are not UTF-8 become \xNN; whatever does not print (ends of lines, marks of
    direction, controls) becomes Python's escape for it; a backslash becomes two.
    """
    text = raw[: 4 * _SHOWN].decode("utf-8", "surrogateescape")
    return "".join(map(_escape, text[:_SHOWN]))[:_SHOWN]


def _escape(character: str) -> str:
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    if character == "\\" or not character.isprintable():
        return character.encode("unicode_escape").decode("ascii")
    return character


def _line(path: Path, number: int, raw: bytes, stream: BufferedIOBase) -> str | Quarantined:
    """A line as text, or as bad; what is left of a long one is read and forgotten."""
    if len(raw) > LINE_LIMIT:
        size = _skipped(stream, raw)
        reason = f"longer than {LINE_LIMIT:,} bytes"
        detail = (
            f"{size:,} bytes long; at most {LINE_LIMIT:,} bytes fit on a line. "
            "Is it text, one sentence a line?"
        )
        if size >= _ENDLESS:
            raise DataError(f"{path}, line {number}: more than {detail}")
    elif b"\0" in raw:
        reason = "NUL character"
        advice = _advice(raw, "Text has none; is it a text file?")
        detail = f"a NUL character at byte {raw.index(0) + 1}. {advice}"
    else:
        try:
            return raw.decode("utf-8").removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError as error:
            reason, detail = "invalid UTF-8", _fault(error)
    return Quarantined(str(path), number, reason, detail, escaped(raw.removesuffix(b"\n")))


def _skipped(stream: BufferedIOBase, start: bytes) -> int:
    """How long a too long line is, read to its end without keeping it."""
    size, part = len(start), start
    while part and not part.endswith(b"\n") and size < _ENDLESS:
        part = stream.readline(LINE_LIMIT)
        size += len(part)
    return size


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
