"""How much memory does a device need for attention over 131,072 positions, spread over a ring?

Command: python experiments/benchmarks/ring_memory.py [--length 131072] [--exchange ring]
           [--chips 1 4 16 64 256] [--out FILE.json]

Causal self-attention of one sequence, forward and backward, in bfloat16. Nothing is run: libtpu
compiles the program for 1 to 256 chips that are not here (`pip install 'attention-jax[tpu]'`), and
says what each would hold. Beside it, how evenly the work is spread: tiles of the busiest device
over those of the mean one.
"""

import argparse
import json
import os
import re
import time
from functools import partial
from pathlib import Path
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding

from attention_jax.functional import Causal
from attention_jax.parallel import sequence
from attention_jax.parallel.layout import Layout, spec
from attention_jax.parallel.topologies import Topology

Exchange = Literal["ring", "all_to_all"]
CHIPS = (1, 4, 16, 64, 256)
COLLECTIVES = ("collective-permute", "all-to-all", "all-gather", "all-reduce", "reduce-scatter")
MEBIBYTE = 2**20


def one(chips: int, length: int, heads: int, features: int, exchange: Exchange) -> dict:
    """What the compiler says of a ring of so many chips."""
    mesh = Layout(sequence=chips).mesh(Topology.parse(f"v5e:{chips}").devices())
    placed = NamedSharding(mesh, spec("B T H K"))
    row = jax.ShapeDtypeStruct((1, length, heads, features), jnp.bfloat16, sharding=placed)
    attend = partial(sequence.attend, mesh=mesh, mask=Causal(), exchange=exchange)

    def both(query, key, value, d_output):
        output, backward = jax.vjp(attend, query, key, value)
        return output, backward(d_output)

    start = time.perf_counter()
    lowered = jax.jit(both, out_shardings=placed).lower(row, row, row, row)
    compiled = lowered.compile()
    seconds = time.perf_counter() - start
    held, text = compiled.memory_analysis(), compiled.as_text()
    assert held is not None and text is not None
    found = {
        "chips": chips,
        "arguments_mib": held.argument_size_in_bytes / MEBIBYTE,
        "outputs_mib": held.output_size_in_bytes / MEBIBYTE,
        "temporaries_mib": held.temp_size_in_bytes / MEBIBYTE,
        "compile_seconds": round(seconds, 1),
        "collectives": {
            kind: len(re.findall(rf" {kind}(?:-start)?\(", text)) for kind in COLLECTIVES
        },
    }
    found["total_mib"] = sum(
        found[f"{part}_mib"] for part in ("arguments", "outputs", "temporaries")
    )
    if exchange == "ring":
        tiles = sequence.work(Causal(), length, length, chips, heads=heads)
        busy = tiles.sum(1)
        found["tiles_mean"], found["tiles_busiest"] = float(busy.mean()), int(busy.max())
        # Devices wait for each other at each step.
        found["imbalance"] = float(busy.max() / busy.mean())
        found["imbalance_with_waiting"] = float(tiles.max(0).sum() / busy.mean())
    return found


def table(rows: list[dict]) -> str:
    """The figures as Markdown."""
    lines = [
        "| chips | MiB each | arguments | outputs | temporaries | busiest / mean | compiling, s |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        parts = " | ".join(
            f"{row[f'{part}_mib']:,.2f}"
            for part in ("total", "arguments", "outputs", "temporaries")
        )
        balance = f"{row['imbalance']:.3f}" if "imbalance" in row else "1"
        lines.append(f"| {row['chips']} | {parts} | {balance} | {row['compile_seconds']} |")
    return "\n".join(lines)


def exponent(rows: list[dict], part: str) -> float:
    """The slope of log memory over log devices: -1 where it falls as 1 / devices."""
    chips, held = ([row[key] for row in rows] for key in ("chips", f"{part}_mib"))
    return float(np.polyfit(np.log(chips), np.log(held), 1)[0])


def main() -> None:
    """Reads the command line, compiles, prints a table, and keeps the figures if asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--length", type=int, default=131_072)
    parser.add_argument("--heads", type=int, default=8)
    parser.add_argument("--features", type=int, default=128)
    parser.add_argument("--exchange", choices=sequence.EXCHANGES, default="ring")
    parser.add_argument("--chips", type=int, nargs="+", default=list(CHIPS))
    parser.add_argument("--out", type=Path, help="a JSON file for the figures")
    options = parser.parse_args()
    os.environ.update(Topology.parse("v5e:1").environment)  # before JAX starts its backend
    rows = []
    for chips in options.chips:
        found = one(chips, options.length, options.heads, options.features, options.exchange)
        print(json.dumps(found), flush=True)
        rows.append(found)
    print(table(rows))
    figures = {"length": options.length, "exchange": options.exchange, "rows": rows}
    # One chip alone has nobody to exchange with, and holds none of the buffers for it.
    for name, counted in (("all", rows), ("rings", [row for row in rows if row["chips"] > 1])):
        if len(counted) > 1:
            found = {part: round(exponent(counted, part), 3) for part in ("total", "temporaries")}
            figures[f"exponents of {name}"] = found
            print(f"exponents of {name}: {found}")
    if options.out is not None:
        options.out.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
