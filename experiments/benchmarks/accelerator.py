"""How near does this package come to what the GPU, or the TPU, at hand can do?

Command: python experiments/benchmarks/accelerator.py --out accelerator.jsonl
         [--minutes 9] [--smoke] [--only ceiling attention]

All in one run, so that a slow card slows the ceiling too: the fastest matrix product of random
bfloat16 numbers; a training step of the base and the big Transformer; 5 head counts x 4 seeds of a
tiny model as one program, against one of them; greedy decoding of one token a row, in bytes of
weights and cache that it has to read; and attention forward, and forward with backward, by every
backend that serves the device, head sizes 64 and 128, T = 512 to 32,768, without a mask and causal,
and at 4,096 with the masks that kernels can be told of, and with the same as an array. Rows are
written as they come. One that fails says why; what the time did not suffice for says so. Seconds
are medians of rounds after one that is not counted. T x S pairs that a mask hides count as no work.
"""

import argparse
import json
import math
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]
from accelerator_work import SECTIONS, Work  # noqa: E402


def main() -> None:
    """Reads the command line, measures, and prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="JSON lines, written anew")
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--smoke", action="store_true", help="tiny shapes, anywhere")
    parser.add_argument("--only", nargs="*", choices=list(SECTIONS), default=list(SECTIONS))
    options = parser.parse_args()
    import jax

    device = jax.devices()[0]
    about = {"device": device.device_kind, "platform": device.platform, "jax": jax.__version__}
    deadline = time.monotonic() + 60 * options.minutes
    rows: list[dict[str, Any]] = []
    ceiling = math.nan
    with options.out.open("w") as file:
        for work in (work for name in options.only for work in SECTIONS[name](options.smoke)):
            row = measured(work, deadline, 0.01 if options.smoke else 0.15)
            if work.section == "ceiling":
                ceiling = max(row.get("rate", 0), 0 if math.isnan(ceiling) else ceiling)
            elif "rate" in row and row["unit"] == "TFLOP/s" and not math.isnan(ceiling):
                row["share"] = row["rate"] / ceiling
            rows.append({**about, **row})
            file.write(json.dumps(rows[-1]) + "\n")
            file.flush()
    print(f"{about['device']}, jax {about['jax']}\n\n{table(rows)}")


def measured(work: Work, deadline: float, seconds: float) -> dict[str, Any]:
    """A row: how long a call takes, or why there is none."""
    import jax

    row: dict[str, Any] = {"section": work.section, "name": work.name}
    if time.monotonic() > deadline:
        return row | {"error": "left out: no time was left"}
    try:
        began = time.perf_counter()
        call, amount = work.make()
        jax.block_until_ready(call())
        row["first"] = round(time.perf_counter() - began, 2)
        once = _timed(call, 1)
        calls = max(1, min(50, round(seconds / once)))
        row["seconds"] = statistics.median(_timed(call, calls) for _ in range(3))
    except Exception as error:  # a kernel that fails must not hide the others
        return row | {"error": f"{type(error).__name__}: {error}"[:500]}
    if "flops" in amount:
        row |= {"rate": amount["flops"] / row["seconds"] / 1e12, "unit": "TFLOP/s"}
    if "bytes" in amount:
        row |= {"rate": amount["bytes"] / row["seconds"] / 1e9, "unit": "GB/s"}
    return row | amount


def _timed(call: Callable[[], Any], calls: int) -> float:
    """Seconds of one of so many calls that are waited for together."""
    import jax

    began = time.perf_counter()
    found = None
    for _ in range(calls):
        found = call()
    jax.block_until_ready(found)
    return (time.perf_counter() - began) / calls


def table(rows: list[dict[str, Any]]) -> str:
    """All rows as Markdown."""
    lines = ["| what | ms | rate | share of the ceiling |", "| --- | ---: | ---: | ---: |"]
    for row in rows:
        what = f"{row['section']}: {row['name']}"
        if "error" in row:
            first = row["error"].splitlines()[0].replace("|", "/")
            lines.append(f"| {what} | | {first[:100]} | |")
            continue
        rate = f"{row['rate']:,.4g} {row['unit']}" if "rate" in row else ""
        share = f"{row['share']:.0%}" if "share" in row else ""
        lines.append(f"| {what} | {1e3 * row['seconds']:,.3f} | {rate} | {share} |")
    members = [row for row in rows if row["section"] == "population" and "seconds" in row]
    if len(members) == 2:
        times = members[1]["seconds"] / members[0]["seconds"]
        lines.append(f"\n{members[1]['name']} take {times:.2f} times as long as one of them.")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
