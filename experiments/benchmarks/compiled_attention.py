"""What would attention take of a TPU v5e and of an H200, neither of which is here?

Command: python experiments/benchmarks/compiled_attention.py --out compiled.jsonl
         [--tpu PYTHON] [--cuda PYTHON] [--lengths 512 2048] [--masks causal]

The compilers for them run without a device, one process a kind of device: splash for the TPU, cuDNN
for the GPU, bfloat16, about 16,384 tokens, forward and forward with backward. Reported: temporary
memory, whether the fused kernels stand in the program, and whether any array has T along two of its
axes. Nothing is run, so nothing here is a measured time. "at least" is what the published peaks
allow for what the mask shows (see `attention_jax.parallel.topologies`). XLA gives a program with a
Pallas kernel no estimate (`optimal_seconds` is negative); "scheduled" counts for a TPU the bundles
of instructions in the kernels alone (`bundles.py`), as if they waited for nothing but the traffic
of their tiles. What stands in the file is not compiled again.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

LENGTHS = [512 * 2**power for power in range(7)]
FEATURES = (64, 128)
MASKS = ("none", "causal", "window", "lengths", "segments", "causal & segments")
TOKENS, WIDTH, WINDOW, TEXT = 16_384, 768, 256, 700
"""Tokens of a batch and features of all heads; of a window, and of a packed text, tokens."""
DEVICES = {"v5e": ("v5e:4", "splash"), "h200": ("h200:1", "cudnn")}
MIB = 2**20


def cases(options: argparse.Namespace) -> list[dict[str, Any]]:
    """What is to be compiled for each device."""
    return [
        {"mask": mask, "length": length, "features": features, "both": both}
        for features in FEATURES
        for length in options.lengths
        for mask in options.masks
        for both in (False, True)
    ]


def mask_of(name: str, batch: int, length: int) -> tuple[Any, int]:
    """The mask, and how many pairs of a query and a source it shows in the whole batch."""
    import numpy as np

    import attention_jax as aj

    places = np.arange(length)
    real: Any = np.linspace(length // 2, length, batch).astype(np.int32)
    ids: Any = np.broadcast_to(places // TEXT + 1, (batch, length))
    texts = aj.Segments(ids)
    sizes = np.bincount(places // TEXT)
    return {
        "none": (None, batch * length**2),
        "causal": (aj.Causal(), batch * (places + 1).sum()),
        "window": (aj.Window(WINDOW - 1, 0), batch * np.minimum(places + 1, WINDOW).sum()),
        "lengths": (aj.Lengths(real), length * real.sum()),
        "segments": (texts, batch * (sizes**2).sum()),
        "causal & segments": (aj.Causal() & texts, batch * (sizes * (sizes + 1) // 2).sum()),
    }[name]


def square(text: str, length: int) -> list[str]:
    """Arrays of a compiled program with T along two axes, but for those inside of fusions."""
    from attention_jax.parallel.hlo import ARRAY, CALLED, COMPUTATION

    lines = text.splitlines()
    inside = {found[1] for line in lines if " fusion(" in line for found in CALLED.finditer(line)}
    found, name = set(), ""
    for line in lines:
        if opening := COMPUTATION.match(line):
            name = opening[2]
        elif name not in inside:
            found |= {
                f"{kind}[{sides}]"
                for kind, sides, _ in ARRAY.findall(line.split("metadata=")[0])
                if sides.split(",").count(str(length)) > 1
            }
    return sorted(found)


def compiled(case: dict[str, Any], device: str, dumped: Path) -> dict[str, Any]:
    """One row: an attention, compiled."""
    import jax
    import jax.numpy as jnp

    from attention_jax.functional import fused
    from attention_jax.parallel.topologies import Topology

    topology, backend = Topology.parse(DEVICES[device][0]), DEVICES[device][1]
    chip, length, features = topology.chip, case["length"], case["features"]
    batch, heads = max(1, TOKENS // length), WIDTH // features
    mask, pairs = mask_of(case["mask"], batch, length)

    def attend(query, key, value):
        return getattr(fused, backend)(query, key, value, mask=mask)

    def with_backward(query, key, value, d_output):
        output, backward = jax.vjp(attend, query, key, value)
        return output, backward(d_output)

    where = jax.sharding.SingleDeviceSharding(topology.devices()[0])
    one = jax.ShapeDtypeStruct((batch, length, heads, features), jnp.bfloat16, sharding=where)
    both = case["both"]
    began = time.perf_counter()
    program = jax.jit(with_backward if both else attend).lower(*[one] * (4 if both else 3))
    program = program.compile()
    seconds = time.perf_counter() - began
    text, memory, cost = program.as_text(), program.memory_analysis(), program.cost_analysis() or {}
    assert text is not None and memory is not None
    # Two products of matrices forward, and five backward, where one of them is made again.
    flops = 4 * float(pairs) * heads * features * (3.5 if both else 1)
    traffic = memory.argument_size_in_bytes + memory.output_size_in_bytes
    calls = Counter(re.findall(r"%(splash\w+?)(?:\.\d+)? = ", text))
    calls += Counter(re.findall(r'custom_call_target="__cudnn\$(\w+)"', text))
    found = {
        "batch": batch,
        "heads": heads,
        "kernels": dict(calls),
        "square": square(text, length),
        "temporaries": memory.temp_size_in_bytes,
        "given": traffic,
        "least_seconds": max(flops / chip.bfloat16, traffic / chip.bandwidth),
        "optimal_seconds": cost.get("optimal_seconds"),
        "compile_seconds": round(seconds, 2),
        "jax": jax.__version__,
    }
    if device == "v5e":
        from splash_tiles import scheduled

        found |= scheduled(dumped, mask, batch, heads, length, features)
    return found


def serve(device: str, dumped: Path) -> None:
    """A compiler's process: a row for every case that it is asked for."""
    for line in sys.stdin:
        case = json.loads(line)
        try:
            case |= compiled(case, device, dumped)
        except Exception as error:  # a row that cannot be had must not hide the others
            case["error"] = f"{type(error).__name__}: {error}"[:600]
        print(json.dumps({"device": device, **case}), flush=True)


def ask(device: str, python: str, asked: list[dict[str, Any]], out: Path) -> None:
    """Compiles what is asked for in one process, and adds the rows to the file."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    from bundles import dumping

    from attention_jax.parallel.topologies import Topology

    environment = {**os.environ, **Topology.parse(DEVICES[device][0]).environment}
    environment["PYTHONPATH"] = str(Path(__file__).resolve().parents[2])
    with tempfile.TemporaryDirectory() as folder, out.open("a") as file:
        if device == "v5e":
            environment |= dumping(Path(folder))
        command = [python, __file__, "--serve", device, folder]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        with subprocess.Popen(command, env=environment, **pipes) as process:
            assert process.stdin is not None and process.stdout is not None
            for case in asked:
                process.stdin.write(json.dumps(case) + "\n")
                process.stdin.flush()
                line = process.stdout.readline()
                if not line:
                    sys.exit(f"the compiler for {device} ended at {case}")
                file.write(line)
                file.flush()
            process.stdin.close()


def table(rows: list[dict[str, Any]], device: str) -> str:
    """The rows of a device as Markdown, a line for each shape and mask."""
    timed = device == "v5e"
    head = ["K", "T", "mask", "kernels", "T x T array", "temporaries, MiB: forward", "both"]
    head += ["at least, ms: forward", "both"] + (["scheduled, ms: forward", "both"] * timed)
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    groups: dict[tuple, dict[bool, dict[str, Any]]] = {}
    for row in rows:
        if row["device"] == device:
            key = row["features"], row["length"], row["mask"]
            groups.setdefault(key, {})[row["both"]] = row
    for (features, length, mask), found in sorted(
        groups.items(), key=lambda group: (*group[0][:2], MASKS.index(group[0][2]))
    ):
        pair = [found.get(both, {"error": "missing"}) for both in (False, True)]
        cells = [f"{features}", f"{length:,}", mask]
        if lacking := next((row["error"] for row in pair if "error" in row), None):
            lines.append(f"| {' | '.join(cells)} | {lacking.splitlines()[0][:90]} |")
            continue
        cells.append(f"{sum(pair[0]['kernels'].values())} + {sum(pair[1]['kernels'].values())}")
        cells.append("yes" if pair[0]["square"] or pair[1]["square"] else "no")
        cells += [f"{row['temporaries'] / MIB:,.0f}" for row in pair]
        cells += [f"{1e3 * row['least_seconds']:.2f}" for row in pair]
        cells += [f"{1e3 * row['scheduled_seconds']:.2f}" for row in pair] if timed else []
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Compiles what the file lacks, and prints all that it holds."""
    if sys.argv[1:2] == ["--serve"]:
        serve(sys.argv[2], Path(sys.argv[3]))
        return
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="JSON lines")
    parser.add_argument("--tpu", help="a Python with libtpu")
    parser.add_argument("--cuda", help="a Python with JAX's CUDA plugin")
    parser.add_argument("--lengths", nargs="+", type=int, default=LENGTHS)
    parser.add_argument("--masks", nargs="+", default=list(MASKS), choices=MASKS)
    options = parser.parse_args()
    text = options.out.read_text() if options.out.exists() else ""
    rows = [json.loads(line) for line in text.splitlines()]
    for device, python in (("v5e", options.tpu), ("h200", options.cuda)):
        if python is None:
            continue
        there = [{name: row[name] for name in row} for row in rows if row["device"] == device]
        asked = [
            case
            for case in cases(options)
            if not any(all(row[name] == case[name] for name in case) for row in there)
        ]
        ask(device, python, asked, options.out)
    rows = [json.loads(line) for line in options.out.read_text().splitlines()]
    for device in dict.fromkeys(row["device"] for row in rows):
        print(f"{DEVICES[device][1]} for {device}\n\n{table(rows, device)}\n")


if __name__ == "__main__":
    main()
