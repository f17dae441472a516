"""Do one, two and four processes on one machine train alike, and what does a killed one cost?

Command: python experiments/benchmarks/many_processes.py --corpus PATH/multi30k --out FOLDER

Runs of the same small model on the same batches, without dropout: in one process; in two, by rows;
in four, by rows, parameters and heads; the last stopped halfway and finished by one process; and in
two of which one is killed halfway, resumed. Prints JSON lines: the largest difference of any loss
from that of one process, seconds from the kill to the end of the survivor, its exit code and last
line, and whether the resumed run has the bits of the one that was never killed. All processes share
the machine's cores, and its loopback device is no network: speeds say nothing about many hosts.
"""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

SIZES = (
    "--model.width 64 --model.encoder-layers 1 --model.decoder-layers 1 --model.heads 4 "
    "--model.feed-forward 128 --model.dropout 0 --data.vocabulary 2000 --data.max-length 32 "
    "--data.target de --data.batch-tokens 1024 --data.shapes 2 "
    "--decoding.max-length 12 --decoding.beams 1"
)


class Run:
    """Processes that train one run, each with one device of the CPU."""

    def __init__(self, folder: Path, count: int, mesh: str, corpus: Path, steps: int):
        self.folder, self.began = folder, time.monotonic()
        every = f"--training.log-every 5 --training.evaluate-every {steps // 2} "
        every += f"--training.checkpoint-every {steps // 4} --training.steps {steps}"
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
        words = ["train", "--run", str(folder), "--mesh", mesh, "--data.corpus", str(corpus)]
        words += [*SIZES.split(), *every.split()]
        self.each = []
        for number in range(count):
            where = f"--coordinator 127.0.0.1:{port} --processes {count} --process {number}"
            self.each.append(
                subprocess.Popen(
                    [sys.executable, "-m", "attention_jax", *words, *where.split() * (count > 1)],
                    env=dict(os.environ, JAX_PLATFORMS="cpu"),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )

    def reach(self, step: int) -> None:
        """Waits until the log has come to a step."""
        while max((line["step"] for line in lines(self.folder)), default=0) < step:
            if any(one.poll() is not None for one in self.each):
                raise SystemExit(f"{self.folder}: ended before step {step}: {self.end()}")
            time.sleep(0.1)

    def end(self) -> list[tuple[int, str]]:
        """(exit code, last line) of each."""
        said = [one.communicate()[1].strip().splitlines()[-1:] for one in self.each]
        codes = [one.returncode for one in self.each]
        return [(code, "".join(line)) for code, line in zip(codes, said, strict=True)]

    def finish(self) -> float:
        """Seconds until all have ended well."""
        ends = self.end()
        if any(code for code, _ in ends):
            raise SystemExit(f"{self.folder}: {ends}")
        return round(time.monotonic() - self.began, 1)


def lines(folder: Path) -> list[dict]:
    """The metrics so far."""
    path = folder / "metrics.jsonl"
    text = path.read_text("utf-8") if path.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def compared(folder: Path, other: Path) -> float:
    """The largest difference of any loss."""
    one, two = (
        {(line["step"], line["split"]): line["loss"] for line in lines(each)}
        for each in (folder, other)
    )
    if one.keys() != two.keys():
        raise SystemExit(f"{folder} and {other} have other lines")
    return max(abs(one[at] - two[at]) for at in one)


def digests(folder: Path, step: int) -> dict:
    """What the manifest of a checkpoint says of its arrays."""
    path = folder / "checkpoints" / str(step) / "manifest" / "data.json"
    return json.loads(path.read_text("utf-8"))["leaves"]


def speed(folder: Path) -> float:
    """Target tokens a second of the training's second half."""
    found = [line["tokens_per_second"] for line in lines(folder) if line["split"] == "train"]
    return round(sorted(found[len(found) // 2 :])[len(found) // 4])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="a new folder, for the runs")
    parser.add_argument("--steps", type=int, default=60)
    options = parser.parse_args()
    options.out.mkdir(parents=True)

    def start(name: str, count: int, mesh: str) -> Run:
        return Run(options.out / name, count, mesh, options.corpus.absolute(), options.steps)

    def tell(name: str, **found) -> None:
        print(json.dumps({"run": name, "steps": options.steps} | found), flush=True)

    alone, two = options.out / "one", options.out / "two"
    seconds = start("one", 1, "single").finish()
    tell("one process", seconds=seconds, tokens_per_second=speed(alone))
    seconds = start("two", 2, "data=2").finish()
    found = {"seconds": seconds, "tokens_per_second": speed(two)}
    tell("two processes, data=2", largest_difference=compared(two, alone), **found)

    four = start("four", 4, "fsdp=2,model=2")
    four.reach(options.steps // 2)
    four.each[3].send_signal(signal.SIGTERM)
    codes = [code for code, _ in four.end()]
    stopped = max(int(path.name) for path in (four.folder / "checkpoints").iterdir())
    start("four", 1, "single").finish()
    found = {"exit_codes": codes, "stopped_at": stopped}
    found["largest_difference"] = compared(four.folder, alone)
    tell("four processes, fsdp=2,model=2, stopped, finished by one", **found)

    killed = start("killed", 2, "data=2")
    killed.reach(options.steps // 2)
    began = time.monotonic()
    killed.each[1].kill()
    code, said = killed.end()[0]
    found = {"survivor_seconds": round(time.monotonic() - began, 1), "survivor_code": code}
    start("killed", 2, "data=2").finish()
    last = options.steps
    found["same_bits"] = digests(killed.folder, last) == digests(two, last)
    tell("two processes, data=2, one killed, resumed", survivor_said=said, **found)


if __name__ == "__main__":
    main()
