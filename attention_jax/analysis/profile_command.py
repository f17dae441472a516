"""The command `attention-jax profile`: where the time of a run's training step goes."""

import json
import shutil
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from attention_jax.analysis.profile import Ceiling, Operation, ceiling, profiled
from attention_jax.options import parse
from attention_jax.training.programs import Programs

PROGRAM = "attention-jax profile"
TRACE = "profile"
"""the folder in the run's own"""
COLUMNS = ("operation", "calls", "ms", "of all", "MFLOP", "MB", "of the ceiling", "from")


def profile(words: Sequence[str]) -> None:
    """Prints a table of the dearest operations; a trace and all of them go into a folder.

    Raises:
      ValueError: an option does not fit, the folder holds no run, or its data are gone.
    """

    def asked(
        run: Path, steps: int = 5, top: int = 10, out: Path | None = None, warm: bool = False
    ) -> dict[str, Any]:
        """Show where the time of a run's training step goes, operation by operation.

        Nothing of the run is changed: its step is compiled and runs with fresh parameters.

        Args:
          run: the run's folder, of `train` or `learn`; it need not be finished
          steps: training steps that are watched, after two that are not
          top: operations in the table
          out: where the trace and operations.json go, instead of what an earlier profile left
            there; None: RUN/profile
          warm: keep freed memory for the next step (glibc), as of `train`
        """
        return locals()

    given = parse(asked, PROGRAM, list(words))
    for name in ("steps", "top"):
        if given[name] < 1:
            raise ValueError(f"{name} is {given[name]}; 1 or more would fit")
    if given["warm"]:
        from attention_jax.training.allocator import restart_warm

        restart_warm()
    programs, batch, seed, dtype = _read(given["run"])
    folder = given["out"] or given["run"] / TRACE
    best = ceiling(dtype)
    operations, seconds = watched(
        programs, batch, folder, seed=seed, steps=given["steps"], best=best
    )
    print(report(operations, seconds, best, top=given["top"]), flush=True)
    print(f"the trace is in {folder}: ui.perfetto.dev opens its .json.gz", file=sys.stderr)


def watched(
    programs: Programs, batch: Any, folder: Path, *, seed: int, steps: int, best: Ceiling
) -> tuple[list[Operation], float]:
    """Profiles training steps on one batch; operations.json in the folder holds what is found.

    Args:
      programs: of the run.
      batch: to train on.
      folder: where the trace goes; what an earlier profile left there is removed.
      seed: of the fresh parameters.
      steps: that are watched.
      best: what the device does.

    Returns:
      The operations of a step, dearest first, and the seconds that a step takes by the clock.

    Raises:
      ValueError: the folder holds something else.
    """
    record = folder / "operations.json"
    if folder.exists() and any(folder.iterdir()) and not record.exists():
        raise ValueError(f"{folder} holds something else than a profile; another would fit")
    shutil.rmtree(folder, ignore_errors=True)
    state, times = programs.start(seed), []

    def step() -> None:
        nonlocal state
        began = time.perf_counter()
        state, metrics = programs.step(state, batch)
        jax.block_until_ready(metrics)
        times.append(time.perf_counter() - began)

    step()
    step()
    text = programs.training_text(batch)
    operations = profiled(step, text, folder, calls=steps, best=best)
    seconds = statistics.median(times[2:])
    found = {"step_seconds": seconds, "ceiling": asdict(best)}
    found |= {"device": jax.devices()[0].device_kind, "jax": jax.__version__}
    found |= {"operations": [asdict(one) for one in operations]}
    record.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    return operations, seconds


def report(operations: Sequence[Operation], seconds: float, best: Ceiling, *, top: int) -> str:
    """A Markdown table of the dearest operations, and what it is held against.

    Args:
      operations: dearest first.
      seconds: of a step, by the clock.
      best: what the device does.
      top: rows.
    """
    head = (
        f"A step takes {seconds * 1e3:,.1f} ms; {len(operations)} operations, "
        f"{sum(one.seconds for one in operations) * 1e3:,.1f} ms on all threads together. "
        f"{jax.devices()[0].device_kind}, jax {jax.__version__}: a large matrix product does "
        f"{best.flops / 1e9:,.0f} GFLOP/s, a large copy {best.bandwidth / 1e9:,.1f} GB/s."
    )
    rows = [COLUMNS, ("---",) * len(COLUMNS)]
    rows += [
        (
            one.name,
            f"{one.calls:g}",
            f"{one.seconds * 1e3:.2f}",
            f"{one.time_share:.1%}",
            f"{one.flops / 1e6:,.1f}",
            f"{one.bytes / 1e6:,.1f}",
            f"{one.ceiling_share:.0%}",
            one.source,
        )
        for one in operations[:top]
    ]
    kept = sum(one.time_share for one in operations[:top])
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"{head}\n\n{table}\n\nTogether {kept:.0%} of the time of all operations."


def _read(folder: Path) -> tuple[Programs, Any, int, Any]:
    """A run's programs, its first batch, its seed, and what it computes in."""
    from attention_jax import experiment
    from attention_jax.data.tokens import Tokenizer
    from attention_jax.tasks import run as tasks

    if tasks.is_task(folder):
        task = tasks.read_task(folder)
        work = task.work(folder)
        one, programs, plan = task, tasks.programs_of(task, work), work.plan
    else:
        one = experiment.read_config(folder)
        kept = folder / "tokenizer.json"
        tokenizer = Tokenizer.load(kept) if kept.exists() else None
        prepared = experiment.prepare(one.data, tokenizer)
        programs = experiment.programs_of(one, prepared.tokenizer)
        plan = prepared.plan(one.seed)
    return programs, plan[0], one.seed, jnp.dtype(one.training.compute)
