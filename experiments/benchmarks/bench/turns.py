"""Contenders take turns, so that a slow minute of the machine hits all alike."""

import contextlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from experiments.benchmarks.bench.entry import Entry
from experiments.benchmarks.bench.pool import Pool
from experiments.benchmarks.bench.process import Ended, Refused

MOST_CALLS = 100  # of one contender in one round


@dataclass
class Measured:
    """What became of an entry.

    Attributes:
      entry: who and what.
      found: what preparing it told, versions among it; `error` if it failed then or later.
      rounds: seconds of each call, of each round.
    """

    entry: Entry
    found: dict[str, Any] = field(default_factory=dict)
    rounds: list[list[float]] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        """Whether there are no times to speak of."""
        return "error" in self.found


def measure(group: Sequence[Entry], pool: Pool, *, rounds: int, seconds: float) -> list[Measured]:
    """Prepares all entries of a group, lets them take turns, and drops them again.

    Args:
      group: entries that take turns.
      pool: their processes.
      rounds: in each, every entry has its turn; every other one runs backwards.
      seconds: about how long a turn lasts; it is at least one call.

    Returns:
      What became of each, in the order given. One that fails is said on standard error, and the
      others go on.
    """
    all_of_them = [Measured(entry) for entry in group]
    for one in all_of_them:
        entry = one.entry
        with _left_out_if_it_fails(one, pool):
            process = pool.process(entry.contender)
            one.found = process.prepare(entry.module, entry.contender.asked, entry.case)
            one.found["versions"] = process.versions
    for turn in range(rounds):
        for one in all_of_them[:: -1 if turn % 2 else 1]:
            if one.failed:
                continue
            entry, calls = one.entry, round(seconds / max(one.found["about_s"], 1e-9))
            asked = entry.module, entry.contender.asked, entry.case
            with _left_out_if_it_fails(one, pool):
                process = pool.process(entry.contender)
                one.rounds.append(process.run(*asked, max(1, min(MOST_CALLS, calls))))
    pool.drop()
    return all_of_them


@contextlib.contextmanager
def _left_out_if_it_fails(one: Measured, pool: Pool) -> Iterator[None]:
    try:
        yield
    except (Ended, Refused) as error:
        if isinstance(error, Ended):
            pool.gone(one.entry.contender, error)
        one.found = {"error": str(error)}
        who = f"{one.entry.contender.name}, {one.entry.title}"
        print(f"left out: {who}: {error}", file=sys.stderr, flush=True)
