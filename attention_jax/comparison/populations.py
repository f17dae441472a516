"""Populations: experiments trained as one program, each in the folder of a run of its own.

Where they differ only in what is data to the program, many models train with one compilation and
in few large operations instead of many small ones. Whether that is faster hangs on the machine:
`together.decide` measures it.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from attention_jax import configs
from attention_jax.data import write_quarantine
from attention_jax.experiment import Experiment, Prepared, origin, prepare, read_config, run
from attention_jax.models.kinds import as_transformer
from attention_jax.models.transformer import Transformer, TransformerConfig
from attention_jax.training import checkpoint
from attention_jax.training.environment import environment
from attention_jax.training.folder import check_room, claimed
from attention_jax.training.log import replace_file
from attention_jax.training.loop import Diverged, Fitted
from attention_jax.training.manifest import Damaged
from attention_jax.training.population import PopulationPrograms, Traits
from attention_jax.training.population_loop import Member, fit_together
from attention_jax.training.signals import Signals

MAY_DIFFER = ("name", "seed", "model.heads", "training.optimizer.peak")
"""what is data to the one program, or nothing to it"""


class Population:
    """Experiments that train as one program.

    Their losses and parameters are those of single runs but for rounding, since sums are taken in
    another order: after 20 steps in float32, losses to a part in 1e5. Adam divides a gradient by
    its size, so where a gradient is nothing but rounding, and `optimizer.eps` does not outweigh it,
    a parameter may go another way, and the runs part slowly, as they do on another machine.

    Args:
      members: differ in name, seed, heads and peak rate alone.
      prepared: corpus and tokenizer of their data.
      devices: to spread over; None takes all of this process.

    Raises:
      ValueError: they cannot train together; the message names the field.
    """

    def __init__(
        self,
        members: Sequence[Experiment],
        prepared: Prepared,
        *,
        devices: Sequence[Any] | None = None,
    ):
        check(members)
        if prepared.data != members[0].data:
            raise ValueError("prepared is of another data config than the members'")
        self.members, self.prepared = tuple(members), prepared
        training = members[0].training
        models = [as_transformer(one.model) for one in members]
        most = max(one.heads for one in models)
        model = replace(models[0], heads=most, vocabulary=prepared.tokenizer.size)
        peak = training.optimizer.peak
        traits = [
            Traits(model.heads, one.training.optimizer.peak / peak, one.seed)
            for one, model in zip(members, models, strict=True)
        ]
        self.programs = PopulationPrograms(
            lambda rngs: Transformer(model, rngs=rngs),
            training.optimizer,
            traits,
            slices=model.heads,
            steps=training.steps,
            smoothing=training.smoothing,
            rng=training.rng,
            devices=devices,
        )

    def fit(
        self,
        folders: Sequence[Path],
        *,
        quiet: bool = False,
        stop_after: int | None = None,
        signals: Signals | None = None,
    ) -> list[Fitted | Diverged]:
        """Trains all members in their folders; see `fit_together`."""
        plans = {one.seed: self.prepared.plan(one.seed) for one in self.members}
        members = [
            Member(one.seed, one.training, plans[one.seed], folder, origin(one, self.prepared))
            for one, folder in zip(self.members, folders, strict=True)
        ]
        validation = self.prepared.held_out()["validation"]
        return fit_together(
            self.programs,
            members,
            validation,
            quiet=quiet,
            stop_after=stop_after,
            signals=signals,
        )


def run_together(
    places: Mapping[Path, Experiment],
    prepared: Prepared | None = None,
    *,
    quiet: bool = False,
    stop_after: int | None = None,
) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Runs experiments as one program; gives folders and records, as `Workers.run` does.

    First all are trained, or go on from the last step that all have; then each is scored and
    recorded by `experiment.run`, which finds nothing left to train. Times in metrics and records
    are a member's share of the whole; environment.json says of how many.

    Args:
      places: each experiment by its folder: new, or that of this very experiment, trained together
        or alone.
      prepared: corpus and tokenizer of their data; made if None.
      quiet: shows nothing.
      stop_after: stops after checkpoints at this step, for tests; records are then partial.

    Raises:
      ValueError: they cannot train together, a folder is another's, or a member's loss is no
        number any more; the other members are given before.
      OSError: a folder cannot be written, or the disk is too full.
    """
    check(list(places.values()))
    if prepared is None:
        prepared = prepare(next(iter(places.values())).data)
    waiting = {folder: one for folder, one in places.items() if not _trained(folder)}
    found: dict[Path, Fitted | Diverged] = {}
    if waiting:
        population = Population(list(waiting.values()), prepared)
        grace = next(iter(waiting.values())).training.grace
        with contextlib.ExitStack() as stack, Signals(grace) as signals:
            for folder, one in waiting.items():
                stack.enter_context(_claimed(folder, one))
                _introduce(folder, population)
            fitted = population.fit(
                list(waiting), quiet=quiet, stop_after=stop_after, signals=signals
            )
            signals.stop(saved=any(isinstance(one, Fitted) and one.step for one in fitted))
        found = dict(zip(waiting, fitted, strict=True))
    lost = [one for one in found.values() if isinstance(one, Diverged)]
    for folder, one in places.items():
        fit = found.get(folder)
        if isinstance(fit, Fitted) and not fit.finished:
            yield folder, {"name": one.name, "seed": one.seed, "steps": fit.step}
        elif not isinstance(fit, Diverged):
            yield folder, run(one, folder, quiet=True, prepared=prepared)
    if lost:
        raise lost[0]


def check(members: Sequence[Experiment]) -> None:
    """Whether experiments can be one population.

    Raises:
      ValueError: they cannot; the message names the field and what would fit.
    """
    if not members:
        raise ValueError("members is empty; a population has at least one")
    base = members[0]
    if not isinstance(base.model, TransformerConfig):
        raise ValueError(
            f"model.kind is {base.model.kind}; populations are of Transformers, and runs of their "
            "own would fit other kinds"
        )
    for one in members[1:]:
        for name, here, there in configs.differences(configs.to_json(one), configs.to_json(base)):
            if name not in MAY_DIFFER:
                raise ValueError(
                    f"{name} is {here!r} in {one.name} and {there!r} in {base.name}; members of a "
                    f"population may differ only in {', '.join(MAY_DIFFER)}"
                )
    _check_heads(members)
    _check_rates(members)
    if base.training.vocabulary_chunk is not None:
        raise ValueError(
            f"training.vocabulary_chunk is {base.training.vocabulary_chunk}; members of a "
            "population hold all logits: None, or runs of their own, would fit"
        )
    if base.training.embeddings is not None:
        raise ValueError(
            f"training.embeddings is {base.training.embeddings}; members of a population start by "
            "chance: None would fit, or runs of their own"
        )
    if base.training.skip_limit:
        raise ValueError(
            f"training.skip_limit is {base.training.skip_limit}; a member cannot run the batches "
            "after one that is left out again while the others wait: 0 would fit"
        )
    if base.model.dropout and base.training.rng != "threefry2x32":
        raise ValueError(
            f"training.rng is {base.training.rng!r} with dropout {base.model.dropout}; mapped over "
            "members it gives other bits than alone: threefry2x32, or no dropout, would fit"
        )
    if len({one.seed for one in members}) > 1 and base.data.shapes != 1:
        raise ValueError(
            f"data.shapes is {base.data.shapes} with several seeds, whose batches then have "
            "different shapes at one step; 1, or one seed, would fit"
        )


def _check_heads(members: Sequence[Experiment]) -> None:
    models = [as_transformer(one.model) for one in members]
    counts = sorted({one.heads for one in models})
    if len(counts) == 1:
        return
    most, model = counts[-1], models[0]
    for count in counts:
        if most % count:
            raise ValueError(
                f"model.heads is {count} in one member and {most} in another; head counts that "
                "divide the largest would fit"
            )
    for name in ("key_value_heads", "head_size", "encoder_heads", "decoder_heads", "cross_heads"):
        if getattr(model, name) is not None:
            raise ValueError(
                f"model.{name} is {getattr(model, name)}, but members differ in model.heads: their "
                "arrays then differ too; None, or one head count, would fit"
            )


def _check_rates(members: Sequence[Experiment]) -> None:
    optimizer = members[0].training.optimizer
    if all(one.training.optimizer.peak == optimizer.peak for one in members):
        return
    for name in ("initial", "final"):
        if getattr(optimizer, name):
            raise ValueError(
                f"training.optimizer.{name} is {getattr(optimizer, name)}, but members differ in "
                "the peak: a rate is then no multiple of another's; 0, or one peak, would fit"
            )


def _claimed(folder: Path, one: Experiment) -> contextlib.AbstractContextManager[None]:
    return claimed(folder, configs.to_json(one), lambda: configs.to_json(read_config(folder)))


def _trained(folder: Path) -> bool:
    """Whether nothing is left to train there."""
    if (folder / "result.json").exists():
        return True
    steps = checkpoint.finished(folder / "checkpoints")
    newest = folder / "checkpoints" / str(max(steps, default=0))
    try:
        return bool(steps) and bool(checkpoint.read_record(newest)["finished"])
    except Damaged:  # which training will set aside
        return False


def _introduce(folder: Path, population: Population) -> None:
    """Writes what a run's folder holds before its first step."""
    if not (folder / "tokenizer.json").exists():
        population.prepared.tokenizer.save(folder / "tokenizer.json")
    write_quarantine(folder / "quarantine.jsonl", population.prepared.corpus)
    if not (folder / "environment.json").exists():
        found = environment() | {"together": len(population.members)}
        text = json.dumps(found, indent=2, allow_nan=False) + "\n"
        replace_file(folder / "environment.json", text.encode())
    keep = population.members[0].training.keep
    check_room(folder, keep + 1, population.programs.single.parameters)
