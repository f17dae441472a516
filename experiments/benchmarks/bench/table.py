"""Figures as one table in Markdown: a row for each contender, or for each case."""

from collections.abc import Mapping, Sequence
from typing import Any

Record = Mapping[str, Any]

WEIGHED = ("torch", "attention_jax")
"""how names of contenders begin whose memory a wide table shows"""


def long(records: Sequence[Record]) -> str:
    """A row for each contender of each case, with all that was measured."""
    heads = ("case", "contender", "median, ms", "least", "spread", "÷ peer", "of its rounds",
             "peak MiB", "prepared, s", "first call, s")  # fmt: skip
    rows = []
    for one in records:
        if "error" in one:
            rows.append([one["title"], one["contender"], "failed", *[""] * 7])
            continue
        times = one.get("ratio_range")
        rows.append([
            one["title"], one["contender"], _ms(one["ms"]), _ms(one["min_ms"]),
            _times(one["spread"]), _times(one.get("ratio")),
            f"{times[0]:.2f} to {times[1]:.2f}" if times else "",
            _whole(one["peak_mib"]), f"{one['prepare_s']:.1f}", f"{one['first_s']:.2f}",
        ])  # fmt: skip
    return _markdown(heads, rows, words=2)


def wide(records: Sequence[Record]) -> str:
    """A row for each case: the peer's time, each other contender's ratio to it, memory of some.

    Where cases of a contender are held against another case of its own, as with a mask against
    without, that ratio of the contenders stands in brackets.
    """
    names = list(dict.fromkeys(one["contender"] for one in records))
    weighed = [name for name in names if name.startswith(WEIGHED)]
    cases: dict[str, dict[str, Record]] = {}
    for one in records:
        cases.setdefault(one["title"], {})[one["contender"]] = one
    rows = []
    for title, by_name in cases.items():
        peer = next((one["peer"] for one in by_name.values() if "peer" in one), None)
        row = [title, f"{peer}: {_ms(by_name[peer]['ms'])}" if peer else ""]
        row += [_cell(by_name.get(name), name == peer) for name in names]
        row += [_whole(by_name.get(name, {}).get("peak_mib")) for name in weighed]
        rows.append(row)
    heads = ["case", "peer, ms", *names, *(f"{name}, MiB" for name in weighed)]
    return _markdown(heads, rows, words=1)


def _cell(one: Record | None, is_peer: bool) -> str:
    if one is None or "error" in one:
        return "" if one is None else "failed"
    time = "1" if is_peer else _times(one["ratio"]) if "ratio" in one else f"{_ms(one['ms'])} ms"
    return f"{time} [{one['own_ratio']:.2f}]" if "own_ratio" in one else time


def _ms(value: float) -> str:
    return f"{value:,.2f}" if value < 100 else f"{value:,.0f}"


def _times(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _whole(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def _markdown(heads: Sequence[str], rows: Sequence[Sequence[str]], words: int) -> str:
    """The first columns hold words, the others numbers."""
    rules = ["---"] * words + ["---:"] * (len(heads) - words)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, rules, *rows))
