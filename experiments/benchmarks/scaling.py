"""Does a training step gain from more devices, on the cores that are here?

Command: python experiments/benchmarks/scaling.py [--cores 2] [--rounds 7] [--out FILE.jsonl]

The training step on one device and one core, on one device that has all cores, and on as many fake
devices as there are cores, by pmap and by a mesh. Strong scaling has the same batch for all; weak
scaling has the same number of rows for each core. Each contender is a process of its own, pinned to
its cores; rounds go in turn, so that a slow minute of the machine hits all alike. Reported: the
median over rounds of each round's median step, tokens a second, and the speed-up over one core.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent

CANNOT_SHOW = """\
What fake devices cannot show:
- They are parts of one processor: they share its caches and the bandwidth of its memory, which
  devices of their own would add up.
- By default they share one pool of threads, so one device may already use all the cores.
- Nothing travels: what an interconnect would carry is copied within the same memory, and no
  latency of a link is in these figures.
So these figures tell what an engine costs (cutting the batch, keeping copies of the parameters,
adding up the gradients), and whether its losses are those of one device. They do not tell how
accelerators scale."""


@dataclass(frozen=True)
class Contender:
    """One process: what trains, on which cores, on batches of how many rows."""

    engine: str
    devices: int
    cores: tuple[int, ...]
    rows: int

    @property
    def name(self) -> str:
        """In words."""
        counts = (self.devices, "device"), (len(self.cores), "core")
        words = [f"{count} {word}{'' if count == 1 else 's'}" for count, word in counts]
        return ", ".join([*words, *([self.engine] if self.devices > 1 else [])])


def contenders(cores: list[int], rows: int) -> list[Contender]:
    """The single core first, then all cores with the same batch, and with the same rows a core."""
    count = len(cores)
    engines = ("single", 1), ("replicate", count), (f"data={count}", count)
    found = [Contender("single", 1, (cores[0],), rows)]
    for whole in (rows, rows * count):
        found += [Contender(engine, devices, tuple(cores), whole) for engine, devices in engines]
    return found


def serve(given: dict[str, Any]) -> None:
    """A contender's process: for each number read, that many steps, then their times."""
    # Before jax is imported: it counts the cores for its threads when it starts.
    os.sched_setaffinity(0, given["cores"])
    import jax

    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", given["devices"])
    import numpy as np

    from attention_jax.data.batches import Batch
    from attention_jax.models.transformer import Transformer, TransformerConfig
    from attention_jax.parallel.engines import engine, programs_on
    from attention_jax.training.optimizer import OptimizerConfig
    from experiments.benchmarks import inputs

    size = given["size"] | {"rows": given["rows"]}
    pairs = inputs.pairs(size["vocabulary"], size["rows"], size["length"])
    arrays = {name: np.asarray(rows, np.int32) for name, rows in pairs.items()}
    batch = Batch(**arrays, weights=np.ones(arrays["source"].shape, np.float32))
    fields = {name: value for name, value in size.items() if name not in ("rows", "length")}
    config = TransformerConfig(**fields, dropout=0.0)
    programs = programs_on(
        engine(given["engine"]),
        lambda rngs: Transformer(config, rngs=rngs),
        OptimizerConfig(),
        steps=1_000,
        smoothing=0.1,
        rng="rbg",
    )
    state = programs.start(0)
    losses = []

    def step() -> float:
        nonlocal state
        start = time.perf_counter()
        state, metrics = programs.step(state, batch)
        losses.append(float(metrics.loss))
        return time.perf_counter() - start

    first = step()
    print(json.dumps({"jax": jax.__version__, "first_s": round(first, 2)}), flush=True)
    for line in sys.stdin:
        print(
            json.dumps({"times": [step() for _ in range(int(line))], "losses": losses}), flush=True
        )


def measure(several: list[Contender], size: dict, rounds: int, steps: int) -> list[dict]:
    """Starts all contenders, lets them take turns, and returns one record each."""
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1])}
    processes, records = [], []
    for one in several:
        given = json.dumps(asdict(one) | {"size": size})
        process = subprocess.Popen(
            [sys.executable, __file__, "--serve", given],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        assert process.stdin is not None and process.stdout is not None
        processes.append(process)
        started = process.stdout.readline()
        if not started:
            raise SystemExit(f"{one.name}: its process ended; what it said stands above")
        records.append(
            {"contender": one.name} | asdict(one) | json.loads(started) | {"round_ms": []}
        )
    for _ in range(rounds):
        for process, record in zip(processes, records, strict=True):
            process.stdin.write(f"{steps}\n")
            process.stdin.flush()
            answer = json.loads(process.stdout.readline())
            record["round_ms"].append(round(1e3 * statistics.median(answer["times"]), 2))
            record["losses"] = [answer["losses"][0], answer["losses"][-1]]
    for process in processes:
        process.stdin.close()
        process.wait()
    return records


def compared(records: list[dict], length: int) -> list[dict]:
    """The records with their speed, and its ratio to that of one core."""
    for record in records:
        record["step_ms"] = round(statistics.median(record["round_ms"]), 2)
        record["tokens_per_s"] = round(1e3 * record["rows"] * length / record["step_ms"])
        record["scaling"] = "strong" if record["rows"] == records[0]["rows"] else "weak"
        record["speedup"] = round(record["tokens_per_s"] / records[0]["tokens_per_s"], 3)
        record["efficiency"] = round(record["speedup"] / len(record["cores"]), 3)
    return records


def table(records: list[dict]) -> str:
    """The figures as Markdown."""
    lines = [
        "| scaling | contender | rows | ms a step | tokens/s | times a core | efficiency | loss |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {one['scaling']} | {one['contender']} | {one['rows']} | {one['step_ms']:.1f} | "
        f"{one['tokens_per_s']:,} | {one['speedup']:.2f} | {one['efficiency']:.2f} | "
        f"{one['losses'][-1]:.6f} |"
        for one in records
    ]
    return "\n".join(lines)


def main() -> None:
    """Reads the command line, measures, prints a table, and keeps the figures if asked."""
    if sys.argv[1:2] == ["--serve"]:
        serve(json.loads(sys.argv[2]))
        return
    from shapes import TRAINING_STEP

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", default="tiny", choices=list(TRAINING_STEP))
    parser.add_argument("--rows", type=int, help="of the strong batch, and for each core")
    parser.add_argument("--cores", type=int, default=2, help="and fake devices")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=5, help="in a round")
    parser.add_argument("--out", type=Path, help="a file for the figures, a JSON line each")
    options = parser.parse_args()
    here = sorted(os.sched_getaffinity(0))
    size = dict(TRAINING_STEP[options.size])
    rows = options.rows or size["rows"]
    if not 2 <= options.cores <= len(here):
        parser.error(f"--cores is {options.cores}; 2 to {len(here)} would fit, as many as are here")
    if rows < 1 or rows % options.cores:
        parser.error(f"--rows is {rows}; a multiple of {options.cores} would fit")
    several = contenders(here[: options.cores], rows)
    records = compared(measure(several, size, options.rounds, options.steps), size["length"])
    print(table(records), CANNOT_SHOW, sep="\n\n")
    if options.out:
        about = {"size": options.size, "load": os.getloadavg(), "cannot_show": CANNOT_SHOW}
        options.out.write_text("".join(json.dumps(one) + "\n" for one in (about, *records)))


if __name__ == "__main__":
    main()
