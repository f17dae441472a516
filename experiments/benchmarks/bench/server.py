"""A library's process: prepares contenders, calls them when it is their turn, and tells the times.

It reads requests and writes answers, a JSON line each: `prepare` a contender of a benchmark for a
case, `run` it so many times, `drop` all. Only the standard library is imported here, and a
benchmark imports a library where it is used, so that any interpreter can serve.
"""

import gc
import importlib
import importlib.metadata
import json
import os
import platform
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from experiments.benchmarks.bench.memory import give_back, peak_above
from experiments.benchmarks.bench.prepared import Prepared

PACKAGES = ("attention-jax", "jax", "jaxlib", "flax", "torch", "transformers", "ctranslate2")
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
SOON = 1.0  # seconds; a first call that took less is followed by another before any is counted

Clock = Callable[[], float]


def serve(requests: Iterable[str], answer: Callable[[dict], None], clock: Clock) -> None:
    """Answers one request after another; a request that fails is answered with its error."""
    held: dict[str, Prepared] = {}
    for line in requests:
        asked = json.loads(line)
        do = asked.pop("do")
        try:
            if do == "drop":
                held.clear()
                gc.collect()
                give_back()
                answer({})
            elif do == "prepare":
                which = json.dumps(asked)
                held[which], found = prepare(**asked, clock=clock)
                answer(found)
            elif do == "run":
                times = asked.pop("times")
                answer({"seconds": timed(held[json.dumps(asked)].call, times, clock)})
            else:
                raise ValueError(f"do is {do!r}; 'prepare', 'run' or 'drop' would fit")
        except Exception as error:  # whatever a library raises; the next request may do
            traceback.print_exc()
            answer({"error": f"{type(error).__name__}: {error}"})


def prepare(module: str, contender: str, case: dict, clock: Clock) -> tuple[Prepared, dict]:
    """A contender that was called at least once, and what that told."""
    start = clock()
    prepared = importlib.import_module(module).prepare(contender, case)
    found: dict[str, Any] = {"label": prepared.label, "prepare_s": clock() - start}
    if not isinstance(prepared, Prepared):
        raise TypeError(f"{module}.prepare gave {type(prepared).__name__}; Prepared would fit")

    def first() -> Any:
        start = clock()
        result = prepared.call()
        found["first_s"] = clock() - start
        return result

    if prepared.ahead:
        result, found["peak_mib"] = peak_above(first)
        found["look"] = prepared.look(result)
    else:
        found["look"] = prepared.look(first())
        result, found["peak_mib"] = peak_above(prepared.call)
    del result
    found["on"] = running_on()
    (found["about_s"],) = (
        timed(prepared.call, 1, clock) if found["first_s"] < SOON or not prepared.ahead
        else [found["first_s"]]
    )  # fmt: skip
    return prepared, found


def timed(call: Callable[[], Any], times: int, clock: Clock) -> list[float]:
    """Seconds of each call."""
    seconds = []
    for _ in range(times):
        start = clock()
        call()
        seconds.append(clock() - start)
    return seconds


def running_on() -> str:
    """What jax computes on, if it is there; what else is measured here computes on the CPU."""
    jax = sys.modules.get("jax")
    return "cpu" if jax is None else jax.devices()[0].device_kind


def versions() -> dict[str, str]:
    """Of the interpreter and of the packages that are there."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def main() -> None:
    """Serves until its input ends; what libraries print goes to standard error."""
    settings = json.loads(sys.argv[1])
    if hasattr(os, "sched_setaffinity"):  # before a library counts the cores for its threads
        os.sched_setaffinity(0, settings["cores"])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(found: dict) -> None:
        print(json.dumps(found), file=answers, flush=True)

    answer({"versions": versions()})
    serve(sys.stdin, answer, CLOCKS[settings["clock"]])


if __name__ == "__main__":
    main()
