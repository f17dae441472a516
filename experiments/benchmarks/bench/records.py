"""From what was measured to records: one for each entry, held against its peer and itself."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from experiments.benchmarks.bench.figures import agree, figures, ratio
from experiments.benchmarks.bench.turns import Measured


def records(group: Sequence[Measured], peers: Sequence[str]) -> list[dict[str, Any]]:
    """A record for each entry of a group.

    Args:
      group: what took turns.
      peers: names of contenders; a time is divided by that of the first that did the same case.

    Returns:
      Dicts of JSON: `bench`, `title`, `case`, `contender`, and `error`, or what preparing told and
      `figures.figures`; `peer`, `ratio` and `ratio_range` where there is a peer; `agrees` with
      `agrees_with` (None: not asked for); `own_ratio` over the case `beside`.
    """
    there = [one for one in group if not one.failed]
    return [_record(one) | ({} if one.failed else _compared(one, there, peers)) for one in group]


def failures(records: Iterable[Mapping[str, Any]]) -> list[str]:
    """What went wrong, in words: contenders that failed, results that do not agree."""
    said = []
    for one in records:
        who = f"{one['contender']}, {one['title']}"
        if "error" in one:
            said.append(f"{who}: {one['error']}")
        elif one.get("agrees") is False:
            said.append(f"{who}: the result is not that of {one['agrees_with']}")
    return said


def _record(one: Measured) -> dict[str, Any]:
    entry = one.entry
    who = {
        "bench": entry.module.rpartition(".")[2],
        "title": entry.title,
        "case": dict(entry.case),
        "contender": entry.contender.name,
    }
    found = {name: value for name, value in one.found.items() if name != "about_s"}
    return who | found | ({} if one.failed else figures(one.rounds))


def _compared(one: Measured, there: Sequence[Measured], peers: Sequence[str]) -> dict[str, Any]:
    entry, found = one.entry, {}
    same_case = {
        other.entry.contender.name: other for other in there if _title(other) == _title(one)
    }
    peer = next((same_case[name] for name in peers if name in same_case), None)
    if peer is not None:
        found = {"peer": peer.entry.contender.name, **ratio(one.rounds, peer.rounds)}
    # Where no peer is there, results are held against those of the first contender that is.
    other = peer or next(iter(same_case.values()))
    if entry.tolerance is not None:
        found["agrees_with"] = other.entry.contender.name
        found["agrees"] = agree(one.found["look"], other.found["look"], entry.tolerance)
    for other in there:
        if _title(other) == entry.beside and other.entry.contender == entry.contender:
            own = ratio(one.rounds, other.rounds)
            found |= {"beside": entry.beside} | {f"own_{name}": own[name] for name in own}
    return found


def _title(one: Measured) -> str:
    return one.entry.title
