"""Comparisons: variants of one experiment, several seeds each, run side by side, and one report.

An experiment file is a question: how variants are made from a base, the base, and how much to run.
All fields of the base are options of its command line, so the same question can be asked of the
phrasebook, of one's own text, or of a TFDS set:

    python experiments/head_counts.py --data.corpus my_folder --data.target de --heads 1 2 4 8

The report is written after the first run and again as seeds are completed, so that it can be read
on the way.
"""

import os
import re
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from attention_jax.comparison.labels import labels
from attention_jax.comparison.reporter import Reporter
from attention_jax.comparison.workers import Workers, default_workers
from attention_jax.data import DataConfig
from attention_jax.decoding import DecodingConfig
from attention_jax.experiment import Experiment
from attention_jax.models.transformer import PRESETS, TransformerConfig
from attention_jax.options import answered, parse
from attention_jax.training.loop import TrainingConfig
from attention_jax.training.optimizer import OptimizerConfig
from attention_jax.training.scores import ScoringConfig

Build = Callable[[Experiment, Sequence[int]], list[Experiment]]
"""the base and the values that were asked for, to one experiment a variant"""

SMALL = Experiment(
    data=DataConfig(vocabulary=1_500, max_length=32, batch_tokens=2_048),
    model=TransformerConfig(
        width=64, encoder_layers=2, decoder_layers=2, feed_forward=256, dropout=0.0
    ),
    training=TrainingConfig(
        smoothing=0.0,  # a sentence of the phrasebook has one translation
        optimizer=OptimizerConfig(schedule="cosine", peak=6e-3, warmup=100),
    ),
    decoding=DecodingConfig(max_length=32, rows=128),
)
"""a translator that learns the phrasebook in half a minute; experiments start from it"""


@dataclass(frozen=True)
class Size:
    """How much a comparison runs, unless the command line says otherwise."""

    steps: int
    """of each run"""
    values: tuple[int, ...]
    """what the variants are made of, such as head counts"""
    seeds: int = 3
    """runs of each variant: seeds 0, 1, ..."""


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
        plan = planned(build, base, sizes, words, program=program, option=option, sentence=sentence)
        out = plan.out or Path(folder if plan.size == "default" else f"{folder}-{plan.size}")
        command = shlex.join(["python", program, *words])
        report = run_all(
            plan.experiments,
            out,
            plan.workers,
            title=title,
            sentence=plan.sentence,
            command=command,
        )
        print(f"\n{report.text()}\n\nReport: {report.folder / 'index.html'}", flush=True)

    if code := answered(program, work, stopped=stopped):
        raise SystemExit(code)


class Plan(NamedTuple):
    """What a command line asks for."""

    experiments: list[Experiment]
    """all runs, seed by seed"""
    size: str
    """of the sizes"""
    out: Path | None
    """where runs and report go, if it was said"""
    workers: int
    """processes side by side"""
    sentence: str | None
    """whose attention maps are shown"""


def planned(
    build: Build,
    base: Experiment,
    sizes: Mapping[str, Size],
    words: Sequence[str],
    *,
    program: str,
    option: str,
    sentence: str | None = None,
) -> Plan:
    """The runs that a command line asks for; see `main`.

    Raises:
      ValueError: an option, or what the variants would become, does not fit.
      SystemExit: after help.
    """
    asked = [name for name in sizes if f"--{name}" in words]
    if len(asked) > 1:
        raise ValueError(f"both --{' and --'.join(asked)}; one of them would fit")
    chosen = asked[0] if asked else "default"
    size = sizes[chosen]
    # Other defaults hang on some options: twice, so that what is given stays and the rest follows.
    first = replace(base, training=lasting(base.training, size.steps))
    given, _ = _parse(first, size, words, program, option)
    base = _followed(first, given)
    given, rest = _parse(base, size, words, program, option)
    if getattr(given.model, option) != getattr(base.model, option):
        flag = option.replace("_", "-")
        raise ValueError(f"--model.{flag} is what the variants differ in; --{flag} would fit")
    values = list(dict.fromkeys(rest["values"]))
    if not values:
        raise ValueError(f"{option} is empty; {' '.join(map(str, size.values))} would fit")
    text = (given.data.corpus, given.data.source) == (base.data.corpus, base.data.source)
    variants = build(given, values)
    names = [re.sub(r"[^\w.+-]+", "-", label) for label in labels(variants)]
    experiments = [
        replace(variant, name=f"{name}-s{seed}", seed=seed)
        for seed in _seeds(rest["seeds"])
        for variant, name in zip(variants, names, strict=True)
    ]
    wanted = rest["workers"] or default_workers()
    return Plan(
        experiments,
        chosen,
        rest["out"],
        min(wanted, len(experiments)),
        rest["sentence"] or (sentence if text else None),
    )


def run_all(
    experiments: Sequence[Experiment],
    out: Path,
    workers: int,
    *,
    title: str,
    sentence: str | None,
    command: str,
) -> Reporter:
    """Runs experiments, or goes on with them, in `out`/runs and reports in `out`/report.

    Args:
      experiments: of different names.
      out: a folder.
      workers: processes side by side.
      title: heading of the report.
      sentence: whose attention maps are shown; None takes a short one of the test split.
      command: what to type to get the report again.
    """
    places = {out / "runs" / one.name: one for one in experiments}
    reporter = Reporter(
        out / "report", experiments, title=title, sentence=sentence, command=command
    )
    variants = dict(zip(places, (label for label, _ in reporter.expected), strict=True))
    began = time.perf_counter()
    with Workers(out, workers) as running:
        for folder, record in running.run(places):
            record = {**record, "variant": variants[folder]}
            reporter.add(folder, record)
            reporter.sketch()
            print(f"{time.perf_counter() - began:5.0f} s  {line_of(record)}", flush=True)
    reporter.finish(describe=True)
    return reporter


def lasting(training: TrainingConfig, steps: int) -> TrainingConfig:
    """The training for so many steps: validations, log lines and warm-up keep their proportions."""
    optimizer = training.optimizer
    return replace(
        training,
        steps=steps,
        evaluate_every=max(steps // 8, 1),
        checkpoint_every=min(steps, 2_000),
        log_every=max(steps // 20, 1),
        optimizer=replace(optimizer, warmup=min(optimizer.warmup, max(steps // 4, 1))),
    )


def line_of(record: Mapping[str, Any]) -> str:
    """A finished run in one line."""
    scores = next(iter(record["test"].values()), record)
    return (
        f"{record['variant']}, seed {record['seed']}: loss {scores['loss']:.4f}, exact match "
        f"{scores['exact_match']:.1%}, BLEU {scores['bleu']['score']:.1f}, "
        f"{record['tokens_per_second']:,.0f} tokens/s"
    )


def _followed(base: Experiment, given: Experiment) -> Experiment:
    """The base whose other defaults follow the preset, the steps and the lengths that are given."""
    if given.model.preset != base.model.preset:
        base = replace(base, model=PRESETS[given.model.preset])
    if given.data.max_length != base.data.max_length:
        longest = given.data.max_length
        base = replace(base, decoding=replace(base.decoding, max_length=longest))
    return replace(base, training=lasting(base.training, given.training.steps))


def _parse(
    base: Experiment, size: Size, words: Sequence[str], program: str, option: str
) -> tuple[Experiment, dict[str, Any]]:
    """The base with the fields that are given, and the other options."""
    import tyro

    varied = tyro.conf.arg(name=option, help=f"model.{option} of each variant")

    def options(
        values: Annotated[tuple[int, ...], varied] = size.values,
        seeds: tuple[int, ...] = (size.seeds,),
        out: Path | None = None,
        workers: int | None = None,
        sentence: str | None = None,
        smoke: bool = False,
        full: bool = False,
        data: DataConfig = base.data,
        model: TransformerConfig = base.model,
        training: TrainingConfig = base.training,
        decoding: DecodingConfig = base.decoding,
        scoring: ScoringConfig = base.scoring,
    ) -> tuple[Experiment, dict[str, Any]]:
        """Compares variants of a model and writes a report.

        Args:
          values: what the variants are made of
          seeds: how many, from 0 on; or, if two or more numbers are given, which
          out: folder for runs and report
          workers: processes side by side; None: the cores
          sentence: whose attention maps are shown; None: one of the text
          smoke: seconds, to see that all works
          full: longer training
          data: text and batches
          model: the Transformer's sizes
          training: the loop and the optimizer
          decoding: the search for translations
          scoring: what the runs are judged by
        """
        fields = {"data": data, "model": model, "training": training}
        one = replace(base, **fields, decoding=decoding, scoring=scoring)
        rest = {"values": values, "seeds": seeds, "out": out, "workers": workers}
        return one, {**rest, "sentence": sentence}

    return parse(options, program, words, config=(tyro.conf.FlagCreatePairsOff,))


def _seeds(given: Sequence[int]) -> Sequence[int]:
    seeds = range(given[0]) if len(given) == 1 else list(dict.fromkeys(given))
    if not seeds or min(seeds) < 0:
        raise ValueError(f"seeds is {' '.join(map(str, given))}; 3, or 0 1 2, would fit")
    return seeds
