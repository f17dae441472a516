"""Is a run like an earlier one of the same work, by as much as its own rounds differ?"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

SAME = ("bench", "case", "contender", "on", "versions", "device", "cores", "clock", "allocator")
"""what two records must have in common to be of the same work"""


def read(file: Path) -> list[dict[str, Any]]:
    """The records in a file of JSON lines.

    Raises:
      ValueError: a line is no record.
    """
    found = []
    for number, line in enumerate(file.read_text("utf-8").splitlines(), 1):
        try:
            found.append(json.loads(line))
        except ValueError:
            found.append(None)
        if not isinstance(found[-1], dict) or "contender" not in found[-1]:
            raise ValueError(f"{file}, line {number} is no record of a benchmark")
    return found


def append(file: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Writes records behind those that the file has."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as lines:
        lines.writelines(json.dumps(one) + "\n" for one in records)


def differences(
    records: Iterable[Mapping[str, Any]], earlier: Sequence[Mapping[str, Any]]
) -> list[str]:
    """A line for each record whose median differs from that of its last earlier run by too much.

    Too much is more than the larger spread of both, the slowest over the fastest of their rounds.
    Runs whose spread is not known, of fewer than three rounds, are not held against each other.
    """
    before = {_key(one): one for one in earlier if one.get("spread")}
    said = []
    for one in records:
        other = before.get(_key(one))
        if other is None or not one.get("spread"):
            continue
        times = one["ms"] / other["ms"]
        spread = max(one["spread"], other["spread"])
        if max(times, 1 / times) > spread:
            said.append(
                f"{one['contender']}, {one['title']}: {one['ms']:.2f} ms differs from the run of "
                f"{other['when']}, {other['ms']:.2f} ms, by {times:.2f}, more than the spread, "
                f"{spread:.2f}"
            )
    return said


def _key(record: Mapping[str, Any]) -> str:
    return json.dumps([record.get(name) for name in SAME], sort_keys=True)
