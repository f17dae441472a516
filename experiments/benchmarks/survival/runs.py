"""Tiny runs of the real command, and what two of them must have in common to the last bit."""

import contextlib
import hashlib
import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from attention_jax.data import Tokenizer
from attention_jax.experiment import programs_of, read_config
from attention_jax.training import checkpoint
from attention_jax.training.programs import Programs

ROOT = Path(__file__).resolve().parents[3]
PATIENCE = 180.0
"""seconds after which a process that did not do what it should is given up"""
SIZES = {
    "name": "survivor",
    "seed": 3,
    "data.vocabulary": 290,
    "data.max-length": 16,
    "data.batch-tokens": 128,
    "data.shapes": 1,
    "model.width": 16,
    "model.encoder-layers": 1,
    "model.decoder-layers": 1,
    "model.heads": 2,
    "model.feed-forward": 32,
    "model.dropout": 0.1,
    "training.optimizer.peak": 0.01,
    "training.optimizer.warmup": 10,
    "training.log-every": 1,
    "decoding.max-length": 8,
    "decoding.rows": 8,
}
MEASURED = ("seconds", "per_second", "bytes", "programs", "peak_of")
"""ends of the names, in metrics and results, of what no two runs have in common"""


class Ended(NamedTuple):
    """How a process ended."""

    code: int
    """below 0: the signal that killed it"""
    said: str
    """on standard error"""
    seconds: float
    """from its start"""

    @property
    def lines(self) -> list[str]:
        """What it said, by line."""
        return self.said.strip().splitlines()

    @property
    def clean(self) -> bool:
        """Whether it showed a user no traceback."""
        return "Traceback" not in self.said and "Exception ignored" not in self.said

    def __str__(self) -> str:
        """The code and the last line."""
        return f"exit code {self.code}, {len(self.lines)} lines, the last: {self.lines[-1:]}"


class Sitting:
    """One process of a run."""

    def __init__(self, command: list[str], environment: dict[str, str]):
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )

    def reaches(self, there: Callable[[], Any]) -> bool:
        """Waits until something is there; False if the process ended, or hangs and is aborted."""
        until = time.monotonic() + PATIENCE
        while not there():
            if self.process.poll() is not None:
                return False
            if time.monotonic() > until:
                self.process.send_signal(signal.SIGABRT)
            time.sleep(0.001)
        return True

    def lives(self, seconds: float) -> bool:
        """Lets it go on for so long; False if it ended before."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        return self.process.poll() is None

    def end(self, number: int | None = None) -> Ended:
        """Sends a signal, if one is given, and waits for the process."""
        if number is not None:
            self.process.send_signal(number)
        try:
            _, said = self.process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            _, said = self.process.communicate()
        return Ended(self.process.returncode, said, time.monotonic() - self.began)


@dataclass(frozen=True)
class Course:
    """A tiny run: how it is started, and what it gives when nothing disturbs it."""

    folder: Path
    options: dict[str, Any]
    wanted: dict[str, str] = field(default_factory=dict)
    """what the undisturbed run gave"""
    seconds: float = 0.0
    """that a run takes whose programs are compiled already"""

    @classmethod
    def run(cls, folder: Path, **options: Any) -> "Course":
        """Writes the corpus and runs it twice undisturbed; the second finds programs compiled.

        JAX does not write its compilation cache atomically, so it is filled here, before anything
        is killed, and only read from then on.

        Args:
          folder: of its own; made if it is not there.
          options: of the command, with "_" for "." and "__" for "-".

        Raises:
          RuntimeError: an undisturbed run failed, or the two differ.
        """
        corpus = write_corpus(folder / "corpus")
        named = {k.replace("__", "-").replace("_", "."): value for k, value in options.items()}
        course = cls(folder, SIZES | {"data.corpus": corpus} | named)
        found = []
        for name in ("alone", "again"):
            ended = course.start(folder / name).end()
            if ended.code or not ended.clean:
                raise RuntimeError(f"an undisturbed run: {ended}")
            found.append(outcome(folder / name))
        if found[0] != found[1]:
            raise RuntimeError(f"two undisturbed runs differ: {found}")
        return cls(folder, course.options, found[0], ended.seconds)

    def start(self, run: Path, *, cached: bool = True) -> Sitting:
        """A process that begins the run of this folder, or goes on with it."""
        words = [word for k, value in self.options.items() for word in (f"--{k}", str(value))]
        command = [sys.executable, "-m", "attention_jax", "train", "--run", str(run), "--quiet"]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
        for name in ("JAX_COMPILATION_CACHE_DIR", "ATTENTION_JAX_TRACEBACK"):
            environment.pop(name, None)
        environment["JAX_ENABLE_COMPILATION_CACHE"] = str(int(cached))
        if cached:
            environment["JAX_COMPILATION_CACHE_DIR"] = str(self.folder / "compiled")
            environment["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
        return Sitting(command + words, environment)

    def differences(self, run: Path) -> list[str]:
        """What of a finished run is not what the undisturbed one gave."""
        found = outcome(run)
        return [name for name in self.wanted if found.get(name) != self.wanted[name]]


def outcome(run: Path) -> dict[str, str]:
    """Digests of all that a finished run gives and that is no measured time or size."""
    params = programs(run).structs.params
    steps = checkpoint.finished(run / "checkpoints")
    last, saved = state_of(run, steps[-1])
    best = checkpoint.read(run / "checkpoints" / str(saved["best_step"]), params, at="params")
    mean = checkpoint.read(run / "mean", params)
    lines = (run / "metrics.jsonl").read_bytes().splitlines()
    return {
        "last": last,
        "best": checkpoint.digest(best.state),
        "mean": checkpoint.digest(mean.state),
        "progress": _sha256(_unmeasured(saved)),
        "metrics": _sha256([_unmeasured(json.loads(line)) for line in lines]),
        "result": _sha256(_unmeasured(json.loads((run / "result.json").read_bytes()))),
        "translations": hashlib.sha256((run / "translations.jsonl").read_bytes()).hexdigest(),
    }


def state_of(run: Path, step: int) -> tuple[str, dict[str, Any]]:
    """The digest of the whole training state after a step, and its record.

    Raises:
      ValueError: the checkpoint is damaged, or there is none.
    """
    found = checkpoint.read(run / "checkpoints" / str(step), programs(run).structs)
    return checkpoint.digest(found.state), found.record


def in_a_save(run: Path) -> set[tuple[str, int]]:
    """The temporary folders of checkpoints, each with its time, so that new ones are known."""
    with contextlib.suppress(OSError):  # gone between two looks
        found = [path for path in (run / "checkpoints").iterdir() if not path.name.isdecimal()]
        return {(path.name, path.stat().st_mtime_ns) for path in found}
    return set()


def trains(run: Path) -> Callable[[], bool]:
    """Whether a step was written down since this was last asked."""
    seen = math.inf

    def asked() -> bool:
        nonlocal seen
        before, seen = seen, metrics_size(run)
        return seen > before

    return asked


def metrics_size(run: Path) -> int:
    """Bytes of a run's metrics; 0 if there are none."""
    try:
        return (run / "metrics.jsonl").stat().st_size
    except OSError:
        return 0


def steps_done(run: Path) -> int:
    """The last step in a run's metrics."""
    if not metrics_size(run):
        return 0
    lines = (run / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    return max((json.loads(line)["step"] for line in lines if line[-1:] == b"\n"), default=0)


def write_corpus(folder: Path) -> Path:
    """200 pairs of a made-up language that is the first one read backwards."""
    folder.mkdir(parents=True, exist_ok=True)
    chance = random.Random(0)
    words = ["the", "a", "red", "big", "cat", "dog", "house", "sees", "likes", "has"]
    for split, count in (("train", 200), ("val", 24), ("test", 16)):
        lines = [chance.choices(words, k=chance.randint(2, 5)) for _ in range(count)]
        for language, turned in (("en", 1), ("es", -1)):
            text = "".join(" ".join(word[::turned] for word in line) + "\n" for line in lines)
            (folder / f"{split}.{language}").write_text(text, "utf-8")
    return folder


def programs(run: Path) -> Programs:
    """What a run compiles; here for the shapes of its state."""
    return programs_of(read_config(run), Tokenizer.load(run / "tokenizer.json"))


def _unmeasured(found: Any) -> Any:
    if not isinstance(found, dict):
        return found
    return {k: _unmeasured(v) for k, v in found.items() if not k.endswith(MEASURED)}


def _sha256(found: Any) -> str:
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()
