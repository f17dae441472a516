"""What do scanned layers save of compiling, and layers made again of memory?

Command: python experiments/benchmarks/depth.py --out depth.jsonl [--tpu PYTHON] [--layers 2 12 48]

Loss and gradients of a decoder-only model of width 256 and 8 rows of 256 tokens: layers one by one
against a loop over a stack of them, and each rule of `remat`; compiled for this CPU and for a v5e
that is not there. On the CPU a step is also run, one by one and scanned in turn: making the stack
is a copy of all parameters.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROWS, LENGTH = 8, 256
MIB = 2**20


def program(layers: int, scan: bool, remat: Any, where: Any):
    """Loss and gradients, lowered, and shapes of their parameters."""
    import jax
    import jax.numpy as jnp
    from flax import nnx

    from attention_jax.models.decoder_only import DecoderOnly, DecoderOnlyConfig
    from attention_jax.training.step import split

    config = DecoderOnlyConfig(
        vocabulary=512, width=256, layers=layers, heads=4, feed_forward=1_024, context=LENGTH,
        remat=remat, scan=scan,
    )  # fmt: skip
    graph, params = split(nnx.eval_shape(lambda: DecoderOnly(config, rngs=nnx.Rngs(0))))

    def loss(params, tokens):
        logits = nnx.merge(graph, params)(tokens[:, :0], tokens)
        return jnp.square(jax.nn.log_softmax(logits)).mean()

    given = params, jax.ShapeDtypeStruct((ROWS, LENGTH), jnp.int32)
    given = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=where), given)
    return jax.jit(jax.value_and_grad(loss)), given


def compiled(layers: int, scan: bool, remat: str, where: Any) -> tuple[dict[str, Any], Any]:
    """A row, and what was compiled."""
    run, given = program(layers, scan, remat, where)
    began = time.process_time(), time.perf_counter()
    lowered = run.lower(*given)
    traced = time.perf_counter()
    found = lowered.compile()
    ended = time.process_time(), time.perf_counter()
    memory = found.memory_analysis()
    assert memory is not None
    row = {
        "layers": layers,
        "scan": scan,
        "remat": remat,
        "trace_seconds": traced - began[1],
        "compile_seconds": ended[1] - traced,
        "cpu_seconds": ended[0] - began[0],
        "temporaries": memory.temp_size_in_bytes,
    }
    return row, found


def serve(device: str, layers: list[int]) -> None:
    """A process for one kind of device: prints its rows."""
    import jax
    import jax.numpy as jnp

    from attention_jax.parallel.topologies import Topology

    topology = Topology.parse(f"{device}:1" if device == "cpu" else f"{device}:4")
    where = jax.sharding.SingleDeviceSharding(topology.devices()[0])
    compiled(1, False, "nothing", where)  # a compiler's first program takes longer
    for count in layers:
        there = {}
        for scan, remat in ((False, "nothing"), (True, "nothing")):
            row, there[scan] = compiled(count, scan, remat, where)
            print(json.dumps({"device": device, **row}), flush=True)
        for remat in ("products", "everything") if count == layers[-1] else ():
            for scan in (False, True):
                row, _ = compiled(count, scan, remat, where)
                print(json.dumps({"device": device, **row}), flush=True)
        if device == "cpu":
            shapes = program(count, False, "nothing", where)[1]
            given = jax.tree.map(lambda x: jnp.full(x.shape, 0.01, x.dtype), shapes)
            taken: dict[bool, list[float]] = {False: [], True: []}
            for _ in range(6):
                for scan, run in there.items():
                    began = time.process_time()
                    jax.block_until_ready(run(*given))
                    taken[scan].append(time.process_time() - began)
            seconds = {
                ("scanned" if scan else "one by one"): statistics.median(each[1:])
                for scan, each in taken.items()
            }
            print(json.dumps({"device": device, "layers": count, "step": seconds}), flush=True)


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown."""
    lines = [
        "| device | layers | scanned | remat | tracing and compiling, CPU s | temporaries, MiB |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        if "step" in row:
            continue
        cells = [row["device"], row["layers"], "yes" if row["scan"] else "no", row["remat"]]
        cells += [f"{row['cpu_seconds']:.2f}", f"{row['temporaries'] / MIB:,.1f}"]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    for row in rows:
        if "step" in row:
            one, scanned = row["step"]["one by one"], row["step"]["scanned"]
            lines.append(
                f"\n{row['layers']} layers, a step: scanned takes {scanned / one:.2f} times"
            )
    return "\n".join(lines)


def main() -> None:
    """Reads the command line, and starts a process for each kind of device."""
    if sys.argv[1:2] == ["--serve"]:
        serve(sys.argv[2], json.loads(sys.argv[3]))
        return
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="JSON lines, written anew")
    parser.add_argument("--tpu", help="a Python with libtpu")
    parser.add_argument("--layers", nargs="+", type=int, default=[2, 12, 48])
    options = parser.parse_args()
    root = str(Path(__file__).resolve().parents[2])
    sys.path.insert(0, root)
    from attention_jax.parallel.topologies import Topology

    options.out.write_text("")
    for device, python in (("cpu", sys.executable), ("v5e", options.tpu)):
        if python is not None:
            size = 1 if device == "cpu" else 4
            variables = Topology.parse(f"{device}:{size}").environment
            environment = {**os.environ, **variables, "PYTHONPATH": root}
            command = [python, __file__, "--serve", device, json.dumps(options.layers)]
            with options.out.open("a") as file:
                subprocess.run(command, env=environment, stdout=file, check=True)
    print(table([json.loads(line) for line in options.out.read_text().splitlines()]))


if __name__ == "__main__":
    main()
