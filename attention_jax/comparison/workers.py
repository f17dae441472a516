"""Worker processes that run experiments side by side.

Small models gain little from a second core, so every core gets a worker of its own, which runs its
share of the experiments one after the other on one thread. With an accelerator there is one worker.
"""

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from attention_jax import configs
from attention_jax.experiment import Experiment, prepare, run
from attention_jax.training.allocator import warmed
from attention_jax.training.signals import Stopped

SAY_EVERY = 15.0
"""seconds between two lines about runs that go on"""


def default_workers() -> int:
    """A worker for every core, at most 8; one where an accelerator would be shared."""
    accelerators = ("/dev/nvidia0", "/dev/accel0", "/dev/vfio/0")
    on_cpu = os.environ.get("JAX_PLATFORMS", "").startswith("cpu")
    if not on_cpu and any(Path(device).exists() for device in accelerators):
        return 1
    return min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2, 8)


class Workers(contextlib.AbstractContextManager):
    """A few processes that run experiments; on leaving, those still at work are asked to stop.

    Args:
      folder: gets a log file for each worker.
      count: how many.
    """

    def __init__(self, folder: Path, count: int):
        self.folder, self.count = folder, count
        self.processes: list[subprocess.Popen[str]] = []
        self.listeners: list[threading.Thread] = []
        self.answers: queue.Queue[tuple[int, str]] = queue.Queue()

    def __exit__(self, *_: Any) -> None:
        """Has those at work save what they did; a run goes on from there the next time."""
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait()
            if process.stdin is not None:
                process.stdin.close()
        for listener in self.listeners:
            listener.join()

    def run(self, places: Mapping[Path, Experiment]) -> Iterator[tuple[Path, dict[str, Any]]]:
        """Runs every experiment in its folder; gives folders and records as they come.

        Experiments that differ in their seed alone go to one worker, which compiles for the first
        of them alone; unless that would leave workers idle.

        Raises:
          ValueError: a run failed; the message has the reason.
        """
        (self.folder / "runs").mkdir(parents=True, exist_ok=True)
        shared = dict.fromkeys(map(_variant, places.values()))
        shares = list(shared if len(shared) >= self.count else places.values())
        for index in range(self.count):
            mine = {
                str(folder): configs.to_json(one)
                for folder, one in places.items()
                if shares.index(one if one in shares else _variant(one)) % self.count == index
            }
            self._start(index, mine)
        waiting, said = dict.fromkeys(places), time.monotonic()
        while waiting:
            try:
                index, line = self.answers.get(timeout=1)
            except queue.Empty:
                if time.monotonic() - said > SAY_EVERY:
                    said = time.monotonic()
                    _say(list(waiting))
                continue
            if not line:
                self._finished(index)
                continue
            answer = json.loads(line)
            if "error" in answer:
                raise ValueError(f"{answer['folder']}: {answer['error']}")
            folder = Path(answer["folder"])
            del waiting[folder]
            yield folder, answer["record"]

    def _start(self, index: int, mine: Mapping[str, Any]) -> None:
        environment = warmed()
        if self.count > 1:
            flags = environment.get("XLA_FLAGS", "")
            environment["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false".strip()
        log = self.folder / f"worker-{index}.log"
        with open(log, "w", encoding="utf-8") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "attention_jax.comparison.workers"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=environment,
                start_new_session=True,  # Ctrl-C is for this process, which then asks the workers
            )
        self.processes.append(process)
        assert process.stdin is not None
        process.stdin.write(json.dumps(mine) + "\n")
        process.stdin.flush()
        listener = threading.Thread(target=self._listen, args=(index, process), daemon=True)
        self.listeners.append(listener)
        listener.start()

    def _listen(self, index: int, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                self.answers.put((index, line))
        self.answers.put((index, ""))

    def _finished(self, index: int) -> None:
        if code := self.processes[index].wait():
            log = self.folder / f"worker-{index}.log"
            tail = log.read_text("utf-8").strip().splitlines()[-1:]
            raise ValueError(f"a worker ended with code {code}: {' '.join(tail)} (see {log})")


def _variant(experiment: Experiment) -> Experiment:
    """What a program is compiled for, whatever the seed."""
    return replace(experiment, name="", seed=0)


def _say(folders: list[Path]) -> None:
    """How far the runs are that have begun."""
    for folder in folders:
        with contextlib.suppress(OSError, IndexError, ValueError):
            line = (folder / "metrics.jsonl").read_text("utf-8").splitlines()[-1]
            found = json.loads(line)
            print(
                f"         {folder.name}: step {found['step']:,}, {found['split']} loss "
                f"{found['loss']:.3f}",
                flush=True,
            )


def work() -> None:
    """A worker: reads its experiments from standard input, writes a JSON line for each."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever else prints goes to the log
    prepared, mine = {}, json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    for folder, config in mine.items():
        try:
            experiment = configs.from_json(Experiment, config)
            if experiment.data not in prepared:
                prepared[experiment.data] = prepare(experiment.data)
            record = run(experiment, folder, quiet=True, prepared=prepared[experiment.data])
        except Stopped as asked:
            print(asked, file=sys.stderr, flush=True)
            raise SystemExit(asked.code) from None
        except (ValueError, OSError) as error:
            print(json.dumps({"folder": folder, "error": str(error)}), file=answers, flush=True)
            return
        print(json.dumps({"folder": folder, "record": record}), file=answers, flush=True)


def _end_with_parent() -> None:
    """Waits for the end of standard input, which comes when the parent ends, however it ends."""
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    work()
