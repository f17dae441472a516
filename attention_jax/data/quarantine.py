"""Lines that a corpus leaves out: how many, why, and a record of each.

Nothing is lost in silence: the lines read are the pairs kept and the lines in quarantine. A line
that is left out takes the one beside it along, so that all others keep their translations.
"""

import collections
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from attention_jax.data.lines import DataError, Quarantined, escaped, scan
from attention_jax.data.pair import Pair

if TYPE_CHECKING:
    from attention_jax.data.corpora import Corpus

Policy = Literal["refuse", "skip"]

BLANK = "empty on a side"
"""The reason that is nobody's mistake: such lines are dropped under either policy."""


@dataclass
class Quarantine:
    """What reading a corpus leaves out, collected while it is read.

    Attributes:
      policy: "refuse" raises at the first bad line, "skip" leaves it out.
      records: the lines left out, one for each pair.
      lines: how many lines (of two sides: pairs of them) were read.
    """

    policy: Policy = "refuse"
    records: list[Quarantined] = field(default_factory=list)
    lines: int = 0

    def bad(self, line: Quarantined) -> Quarantined:
        """The bad line itself, if it may be left out.

        Raises:
          DataError: bad lines are refused; the message names file and line.
        """
        if self.policy == "refuse":
            raise DataError(str(line))
        return line

    def read(self, path: Path) -> Iterator[str | Quarantined]:
        """The lines of a file, up to the first bad one if bad ones are refused."""
        for line in scan(path):
            yield self.bad(line) if isinstance(line, Quarantined) else line

    def keep(self, rows: Sequence[Pair | Quarantined], name: str) -> tuple[list[Pair], list[str]]:
        """The good rows, and a note for each reason why there are others.

        Args:
          rows: all rows of a file or of two sides, in order.
          name: of the file, for the notes.

        Raises:
          DataError: no good row is left.
        """
        kept = [row for row in rows if isinstance(row, Pair)]
        bad = [row for row in rows if isinstance(row, Quarantined)]
        self.records += bad
        self.lines += len(rows)
        total = f"{len(rows):,}"
        if not kept:
            raise DataError(
                f"{name}: none of the {total} lines has text on both sides: {_counted(bad)}"
            )
        notes = []
        for reason, count in collections.Counter(row.reason for row in bad).items():
            first = next(row.line for row in bad if row.reason == reason)
            notes.append(f"{name}: dropped {count:,} of {total} pairs, {reason} (first: {first})")
        return kept, notes

    def check(self, name: str, limit: float) -> None:
        """Refuses a corpus in which too large a share of the lines is bad.

        Raises:
          DataError: the share is above the limit; lines that are empty on a side do not count.
        """
        bad = [row for row in self.records if row.reason != BLANK]
        allowed = int(limit * self.lines + 1e-6)  # 0.29 * 100 is a little less than 29
        if len(bad) > allowed:
            raise DataError(
                f"{name}: {len(bad):,} of {self.lines:,} lines are bad, and bad_limit {limit:g} "
                f"allows {allowed:,}: {_counted(bad)}"
            )


def blank(file: str | Path, line: int, *sides: str) -> Quarantined | None:
    """A record of a line with a side that has no text, or None."""
    if "" not in map(str.strip, sides):
        return None
    return Quarantined(str(file), line, BLANK, BLANK, escaped("\t".join(sides).encode()))


def write_quarantine(path: str | Path, corpus: "Corpus") -> None:
    """Writes the lines that a corpus left out as JSON lines, whole or not at all.

    Args:
      path: of the file, such as quarantine.jsonl in a run's folder; none is made if no line was
        left out.
      corpus: whose `quarantined` lines to write.

    Raises:
      OSError: the file cannot be written.
    """
    if not corpus.quarantined:
        return
    path = Path(path)
    draft = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with draft.open("w", encoding="utf-8") as stream:
            stream.writelines(f"{json.dumps(line._asdict())}\n" for line in corpus.quarantined)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _counted(lines: Sequence[Quarantined]) -> str:
    counts = collections.Counter(line.reason for line in lines)
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in counts.items())
    return f"{reasons}; the first is {lines[0]}" if lines else "there is none"
