"""How do time and memory of attention grow with its work, and is there a cliff anywhere?

Command: python experiments/benchmarks/cost.py [--picture docs/cost.png] [--out FILE]

`attention_jax.attend`, float32, 64 features: T from 128 to 131,072 with one head (forward and
backward to 32,768), batch 1 to 256 (T = 256, 8 heads), 1 to 64 heads (T = 1,024). Exponents are
least squares over logarithms of the upper half of the sizes, as far down as the backend of the
largest one serves. A cliff is a time for each unit of
work that differs from that of the neighbouring size by more than 1.5, unless one of the two takes
less than a millisecond: there a call by itself counts, and it is named overhead.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from experiments.benchmarks import attention
from experiments.benchmarks.bench import command
from experiments.benchmarks.bench.entry import Contender, Entry
from experiments.benchmarks.bench.growth import exponent, jumps, upper_half
from experiments.benchmarks.shapes import COST

CONTENDERS = {name: "jax" for name in attention.BACKENDS}
FEATURES = 64

Record = Mapping[str, Any]


def case(sweep: str, size: int, both: bool) -> dict:
    """One size of a sweep, as `attention.prepare` takes it."""
    fixed = {name: value for name, value in COST[sweep].items() if name in ("batch", "heads")}
    fixed |= {"length": COST[sweep].get("length"), "features": FEATURES, sweep: size}
    return attention.case(fixed, "none", both) | {"sweep": sweep}


def entries(who: Sequence[Contender], sweep: str, both: bool, longest: int) -> list[Entry]:
    """The sizes of a sweep take turns."""
    most = min(longest if sweep == "length" else max(COST[sweep]["sizes"]), _most(sweep, both))
    cases = [case(sweep, size, both) for size in COST[sweep]["sizes"] if size <= most]
    return [Entry(attention.MODULE, one, this, title(this)) for one in who for this in cases]


def title(case: Record) -> str:
    """The case in words."""
    passes = "forward + backward" if case["both"] else "forward"
    return f"{case['sweep']} {case[case['sweep']]:,}, {passes}"


def growths(records: Sequence[Record]) -> list[dict[str, Any]]:
    """What a contender's sweeps show: a dict for each sweep and pass with three sizes or more.

    Returns:
      contender, sweep, both, sizes (of the upper half), time and memory (exponents; None where it
      is not known), theory (of both), jumps.
    """
    series: dict[tuple, list[Record]] = {}
    for one in records:
        if "error" not in one:
            key = one["contender"], one["case"]["sweep"], one["case"]["both"]
            series.setdefault(key, []).append(one)
    found = []
    for (contender, sweep, both), some in series.items():
        sizes, ms = [one["case"][sweep] for one in some], [one["ms"] for one in some]
        if len(sizes) < 3:
            continue
        # Another backend has another theory: only sizes that the largest one's served.
        half, last = upper_half(sizes), some[-1].get("label")
        top = [one for one in some[-len(half) :] if one.get("label") == last]
        upper = [one["case"][sweep] for one in top]
        if len(top) < 2:
            continue
        memory = [one["peak_mib"] for one in top]
        known = all(memory) and min(memory) > 0
        found.append({
            "contender": contender, "sweep": sweep, "both": both, "sizes": upper,
            "time": exponent(upper, [one["ms"] for one in top]),
            "memory": exponent(upper, memory) if known else None,
            "theory": COST[sweep]["theory"],
            "jumps": jumps(sizes, ms, [attention.flops(dict(one["case"])) for one in some]),
        })  # fmt: skip
    return found


def summary(records: Sequence[Record]) -> str:
    """The exponents as Markdown, the cliffs in words, and a row for each size."""
    heads = "sweep", "pass", "from", "to", "time", "theory", "memory", "theory", "cliffs"
    lines = [f"| {' | '.join(heads)} |", "| --- | --- |" + " ---: |" * 6 + " --- |"]
    for one in growths(records):
        time, memory = one["theory"]
        cliffs = [
            f"{jump.before:,} to {jump.after:,}: {jump.ratio:.2f}"
            + (" (overhead)" if jump.overhead else "")
            for jump in one["jumps"]
        ]
        lines.append(
            f"| {one['sweep']}{_by(one)} | {'forward + backward' if one['both'] else 'forward'} "
            f"| {one['sizes'][0]:,} | {one['sizes'][-1]:,} | {one['time']:.2f} | {time} "
            f"| {'' if one['memory'] is None else format(one['memory'], '.2f')} | {memory} "
            f"| {'; '.join(cliffs) or 'none'} |"
        )
    return "\n".join([*lines, "", command.table.long(records)])


def draw(records: Sequence[Record], file: Path) -> None:
    """Time against T, both passes, beside a line that grows with its square."""
    import attention_jax as aj

    series: dict[str, tuple[list, list]] = {}
    for one in records:
        if "error" not in one and one["case"]["sweep"] == "length":
            name = "forward + backward" if one["case"]["both"] else "forward"
            x, y = series.setdefault(f"{name}{_by(one)}", ([], []))
            x.append(one["case"]["length"])
            y.append(one["ms"])
    if series:
        x, y = next(iter(series.values()))
        series["∝ T²"] = x, [y[-1] * (length / x[-1]) ** 2 for length in x]
        how = {"x_label": "T, positions", "y_label": "ms a call", "log_x": True, "log_y": True}
        aj.plots.lines(series, **how, title="Attention, one head of 64 features", file=file)


def groups(options: argparse.Namespace) -> Iterator[list[Entry]]:
    """One sweep and pass after another."""
    who = command.contenders(options, CONTENDERS)
    for sweep in options.sweeps:
        for both in (False, True):
            yield entries(who, sweep, both, options.longest)


def main() -> None:
    """Reads the command line and runs it."""
    parser = command.parser(__doc__, rounds=3, seconds=0.2)
    parser.set_defaults(contenders=["attention_jax"])
    parser.add_argument("--sweeps", nargs="+", choices=list(COST), default=list(COST))
    parser.add_argument("--longest", type=int, default=131_072, help="T, at most")
    options = parser.parse_args()
    picture, options.picture = options.picture, None
    found = command.run(groups(options), options, peers=[], show=summary)
    if picture:
        draw(found, picture)


def _most(sweep: str, both: bool) -> int:
    return COST[sweep]["both"] if both else max(COST[sweep]["sizes"])


def _by(one: Record) -> str:
    name = one["contender"]
    return "" if name == "attention_jax" else f", {name}"


if __name__ == "__main__":
    main()
