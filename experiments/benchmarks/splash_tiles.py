"""Which tile sizes does JAX's splash kernel compile with for a TPU v5e, and what do they cost?

Command: python experiments/benchmarks/splash_tiles.py --out tiles.jsonl --tpu PYTHON

No TPU is needed and none is run: the compiler refuses tiles that do not fit its VMEM, and of the
others counts here the bundles of instructions that it scheduled (`bundles.py`): at every step of
the grid, at a tile that is not skipped, and at a row of tiles. From these come the costs in
`attention_jax.functional.splash_tiles`.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

SIZES = (128, 256, 512, 1_024, 2_048)
PASSES = ("fwd", "dq", "dkv")
LENGTH = 4_096
CLOCK = 1.5e9
"""cycles a second of a v5e: 197 TFLOP/s are 4 units of 128 x 128 products and sums a cycle"""


def cases() -> list[dict[str, Any]]:
    """The kernels to compile, small ones first."""
    found = [
        {"pass": which, "features": features, "q": q, "kv": kv, "compute": compute}
        for which in PASSES
        for features in (64, 128)
        for q in SIZES
        for kv in SIZES
        for compute in ((kv,) if which == "dq" else SIZES)
        if compute <= kv and q * compute <= 2**20 and (compute >= 512 or compute == kv)
    ]
    return sorted(found, key=lambda case: case["q"] * case["kv"])


def compiled(case: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The bundles of a kernel, for one head under a causal mask."""
    import dataclasses

    import jax
    import jax.numpy as jnp
    from bundles import kernels
    from jax.experimental.pallas.ops.tpu import splash_attention

    from attention_jax.parallel.topologies import Topology

    small: dict[str, Any] = {
        "block_q": 128,
        "block_kv": 128,
        "block_q_dkv": 128,
        "block_kv_dkv": 128,
    }
    small |= {"block_q_dq": 128, "block_kv_dq": 128}
    tail = "" if case["pass"] == "fwd" else f"_{case['pass']}"
    given: dict[str, Any] = {f"block_q{tail}": case["q"], f"block_kv{tail}": case["kv"]}
    if case["pass"] != "dq":
        given[f"block_kv{tail}_compute"] = case["compute"]
    band = splash_attention.LocalMask((LENGTH, LENGTH), (None, 0), 0)
    attention: Any = splash_attention.make_splash_mqa(
        splash_attention.MultiHeadMask([band]),
        head_shards=1,
        q_seq_shards=1,
        block_sizes=splash_attention.BlockSizes(**small | given),
    )

    def both(query, key, value, d_output):
        output, backward = jax.vjp(attention, query, key, value)
        return output, backward(d_output)

    where = jax.sharding.SingleDeviceSharding(Topology.parse("v5e:4").devices()[0])

    def shape(*sides):
        return jax.ShapeDtypeStruct(
            (*sides, LENGTH, case["features"]), jnp.bfloat16, sharding=where
        )

    jax.jit(both).lower(shape(1), shape(), shape(), shape(1)).compile()
    found = next(value for name, value in kernels(folder).items() if f"_{case['pass']}_" in name)
    return dataclasses.asdict(found)


def scheduled(
    folder: Path, mask: Any, batch: int, heads: int, length: int, features: int
) -> dict[str, Any]:
    """Cycles of the kernels that were just dumped, by pass, and the seconds of all of them.

    As if they waited for nothing but what a tile needs of memory, in bfloat16.
    """
    from bundles import kernels

    from attention_jax.functional.mask_parts import parts
    from attention_jax.functional.splash_tiles import BYTES_A_CYCLE, LANES, Tiles, steps, tiles

    found, band = kernels(folder), parts(mask)
    cut = tiles(length, length, features, 2, band.low, band.high)
    # For the gradients of keys and values rows are of sources, and their tiles of queries.
    turned = Tiles(cut.sources, cut.queries, cut.at_once, (cut.padded[1], cut.padded[0]))
    low, high = (None if end is None else -end for end in (band.high, band.low))
    cycles = {}
    for name, kernel in found.items():
        which = next(each for each in PASSES if f"_{each}_" in name)
        way = (turned, low, high) if which == "dkv" else (cut, band.low, band.high)
        waiting = 2 * way[0].sources * max(features, LANES) * 2 / BYTES_A_CYCLE
        grid, seen = steps(*way)
        rows = way[0].padded[0] // way[0].queries
        cycles[which] = round(batch * heads * kernel.cycles(grid, seen, rows, waiting))
    return {
        "tiles": cut[:3],
        "cycles": cycles,
        "scheduled_seconds": sum(cycles.values()) / CLOCK,
    }


def serve(folder: Path) -> None:
    """The compiler's process: a row for every case."""
    for line in sys.stdin:
        case = json.loads(line)
        try:
            case |= compiled(case, folder)
        except Exception as error:  # what does not compile is a finding
            case["error"] = f"{type(error).__name__}: {error}"[:400]
            for path in folder.iterdir():
                path.unlink()
        print(json.dumps(case), flush=True)


def main() -> None:
    """Compiles what the file lacks."""
    if sys.argv[1:2] == ["--serve"]:
        serve(Path(sys.argv[2]))
        return
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="JSON lines")
    parser.add_argument("--tpu", default=sys.executable, help="a Python with libtpu")
    options = parser.parse_args()
    root = str(Path(__file__).resolve().parents[2])
    sys.path.insert(0, root)
    from bundles import dumping

    from attention_jax.parallel.topologies import Topology

    there = options.out.read_text().splitlines() if options.out.exists() else []
    there = [json.loads(line) for line in there]
    environment = {**os.environ, **Topology.parse("v5e:4").environment, "PYTHONPATH": root}
    with tempfile.TemporaryDirectory() as folder, options.out.open("a") as file:
        environment |= dumping(Path(folder))
        command = [options.tpu, __file__, "--serve", folder]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        with subprocess.Popen(command, env=environment, **pipes) as process:
            assert process.stdin is not None and process.stdout is not None
            for case in cases():
                if any(case.items() <= row.items() for row in there):
                    continue
                process.stdin.write(json.dumps(case) + "\n")
                process.stdin.flush()
                file.write(process.stdout.readline())
                file.flush()
            process.stdin.close()


if __name__ == "__main__":
    main()
