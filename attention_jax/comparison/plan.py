"""What a comparison's command line asks for: variants of a base experiment, several seeds each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from attention_jax.comparison.labels import folder_names, labels
from attention_jax.comparison.workers import default_workers
from attention_jax.data import DataConfig
from attention_jax.decoding import DecodingConfig
from attention_jax.experiment import Experiment
from attention_jax.models.kinds import ModelConfig
from attention_jax.models.transformer import PRESETS, TransformerConfig
from attention_jax.options import parse
from attention_jax.training.loop import TrainingConfig
from attention_jax.training.optimizer import OptimizerConfig
from attention_jax.training.scores import ScoringConfig

Together = Literal["no", "yes", "measure"]
"""whether all runs train as one program (`populations`), or what a measurement says"""

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
    together: Together
    """whether all runs train as one program"""
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
    preset = any(word.split("=")[0] == "--model.preset" for word in words)
    base = _followed(first, given, preset)
    given, rest = _parse(base, size, words, program, option)
    if getattr(given.model, option) != getattr(base.model, option):
        flag = option.replace("_", "-")
        raise ValueError(f"--model.{flag} is what the variants differ in; --{flag} would fit")
    values = list(dict.fromkeys(rest["values"]))
    if not values:
        raise ValueError(f"{option} is empty; {' '.join(map(str, size.values))} would fit")
    text = (given.data.corpus, given.data.source) == (base.data.corpus, base.data.source)
    variants = build(given, values)
    names = folder_names(labels(variants))
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
        rest["together"],
        rest["sentence"] or (sentence if text else None),
    )


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


def _followed(base: Experiment, given: Experiment, preset: bool) -> Experiment:
    """The base whose other defaults follow the preset, the steps and the lengths that are given."""
    if preset and isinstance(
        given.model, TransformerConfig
    ):  # even where it has the base's name: the base may have other sizes
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
        together: Together = "no",
        sentence: str | None = None,
        smoke: bool = False,
        full: bool = False,
        data: DataConfig = base.data,
        model: ModelConfig = base.model,
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
          together: whether all runs train as one program; measure: what is faster here
          sentence: whose attention maps are shown; None: one of the text
          smoke: seconds, to see that all works
          full: longer training
          data: text and batches
          model: the model's sizes
          training: the loop and the optimizer
          decoding: the search for translations
          scoring: what the runs are judged by
        """
        fields = {"data": data, "model": model, "training": training}
        one = replace(base, **fields, decoding=decoding, scoring=scoring)
        rest = {"values": values, "seeds": seeds, "out": out, "sentence": sentence}
        return one, {**rest, "workers": workers, "together": together}

    settings = tyro.conf.FlagCreatePairsOff, tyro.conf.AvoidSubcommands
    return parse(options, program, words, config=settings)


def _seeds(given: Sequence[int]) -> Sequence[int]:
    seeds = range(given[0]) if len(given) == 1 else list(dict.fromkeys(given))
    if not seeds or min(seeds) < 0:
        raise ValueError(f"seeds is {' '.join(map(str, given))}; 3, or 0 1 2, would fit")
    return seeds
