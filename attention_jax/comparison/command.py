"""Comparisons: variants of one experiment, several seeds each, run side by side, and one report.

An experiment file is a question: how variants are made from a base, the base, and how much to run.
All fields of the base are options of its command line, so the same question can be asked of the
phrasebook, of one's own text, or of a TFDS set:

    python experiments/head_counts.py --data.corpus my_folder --data.target de --heads 1 2 4 8

The report is written after the first run and again as seeds are completed, so that it can be read
on the way.
"""

import contextlib
import json
import os
import shlex
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attention_jax.comparison.plan import SMALL, Build, Size, Together, planned
from attention_jax.comparison.reporter import Reporter
from attention_jax.comparison.workers import Workers
from attention_jax.experiment import Experiment, prepare
from attention_jax.options import answered
from attention_jax.paths import plain_name
from attention_jax.training.compiled import compiled_cache
from attention_jax.training.signals import Signals

__all__ = ["SMALL", "Size", "main", "run_all"]


def main(
    build: Build,
    base: Experiment,
    sizes: Mapping[str, Size],
    *,
    option: str,
    title: str,
    sentence: str | None = None,
    folder: str,
) -> None:
    """Runs a comparison from the command line; what a user can put right is said in one line.

    Args:
      build: makes the variants.
      base: what they are made from, and the defaults of the options.
      sizes: "default", "smoke" (seconds) and "full".
      option: name of the option that holds the values, such as "heads".
      title: heading of the report.
      sentence: whose attention maps are shown if the text is the base's; None takes one of it.
      folder: where runs and report go, unless the command line says otherwise.

    Raises:
      SystemExit: the comparison could not be run.
    """
    program, words = os.path.relpath(sys.argv[0]), sys.argv[1:]
    stopped = "stopped; the same command goes on from the last checkpoints"

    def work() -> None:
        compiled_cache()
        plan = planned(build, base, sizes, words, program=program, option=option, sentence=sentence)
        out = plan.out or Path(folder if plan.size == "default" else f"{folder}-{plan.size}")
        command = shlex.join(["python", program, *words])
        grace = plan.experiments[0].training.grace
        with Signals(grace + 1) as signals:  # the runs, which save themselves, leave before
            signals.saved = True
            report = run_all(
                plan.experiments,
                out,
                plan.workers,
                together=plan.together,
                title=title,
                sentence=plan.sentence,
                command=command,
            )
        print(f"\n{report.text()}\n\nReport: {report.folder / 'index.html'}", flush=True)

    if code := answered(program, work, stopped=stopped):
        raise SystemExit(code)


def run_all(
    experiments: Sequence[Experiment],
    out: Path,
    workers: int,
    *,
    together: Together = "no",
    title: str,
    sentence: str | None,
    command: str,
) -> Reporter:
    """Runs experiments, or goes on with them, in `out`/runs and reports in `out`/report.

    Args:
      experiments: of different names.
      out: a folder.
      workers: processes side by side.
      together: "yes" trains all as one program; "measure" decides by a few steps of both ways, and
        writes what was measured to `out`/together.json.
      title: heading of the report.
      sentence: whose attention maps are shown; None takes a short one of the test split.
      command: what to type to get the report again.

    Raises:
      ValueError: a name leads out of `out`, or a run failed; the message has the reason.
    """
    places = {out / "runs" / plain_name(one.name, "a run's name"): one for one in experiments}
    reporter = Reporter(
        out / "report", experiments, title=title, sentence=sentence, command=command
    )
    variants = dict(zip(places, (label for label, _ in reporter.expected), strict=True))
    began = time.perf_counter()
    with _running(places, out, workers, together) as running:
        for folder, record in running:
            record = {**record, "variant": variants[folder]}
            reporter.add(folder, record)
            reporter.sketch()
            print(f"{time.perf_counter() - began:5.0f} s  {line_of(record)}", flush=True)
    reporter.finish(describe=True)
    return reporter


@contextlib.contextmanager
def _running(
    places: Mapping[Path, Experiment], out: Path, workers: int, together: Together
) -> Iterator[Iterator[tuple[Path, Any]]]:
    """The runs' folders and records as they come, from worker processes or one program."""
    if together == "measure" and not (decision := out / "together.json").exists():
        from attention_jax.comparison.together import decide

        members = list(places.values())
        found = decide(members, prepare(members[0].data), workers=workers, record=decision)
        print(found.reason, flush=True)
    if together == "measure":
        one = json.loads((out / "together.json").read_text("utf-8"))["together"]
        together = "yes" if one else "no"
    if together == "yes":
        from attention_jax.comparison.populations import run_together

        yield run_together(places)
        return
    with Workers(out, workers) as running:
        yield running.run(places)


def line_of(record: Mapping[str, Any]) -> str:
    """A finished run in one line."""
    scores = next(iter(record["test"].values()), record)
    return (
        f"{record['variant']}, seed {record['seed']}: loss {scores['loss']:.4f}, exact match "
        f"{scores['exact_match']:.1%}, BLEU {scores['bleu']['score']:.1f}, "
        f"{record['tokens_per_second']:,.0f} tokens/s"
    )
