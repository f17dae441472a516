"""An experiment: data, model, training and decoding, run and recorded in one folder.

A run's folder holds config.json, environment.json, tokenizer.json, metrics.jsonl, checkpoints/,
mean/ and, once all is done, result.json; where something was wrong also quarantine.jsonl (lines
that are no text), bad/ (batches without a finite loss) and damaged/ (checkpoints that are not what
was written). From it alone a run can be resumed, evaluated and used; see `trained`.
"""

import contextlib
import functools
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from attention_jax import configs
from attention_jax.data import DataConfig, Tokenizer, write_quarantine
from attention_jax.decoding import DecodingConfig
from attention_jax.models.decoder_only import DecoderOnlyConfig
from attention_jax.models.kinds import ModelConfig, build
from attention_jax.models.sizes import cache_bytes
from attention_jax.models.transformer import TransformerConfig
from attention_jax.parallel.engines import SINGLE, check_heads, engine, programs_on
from attention_jax.parallel.layout import Layout
from attention_jax.training import peers
from attention_jax.training.chosen import read_params
from attention_jax.training.embeddings import starting
from attention_jax.training.environment import environment, versions
from attention_jax.training.folder import check_room, claimed
from attention_jax.training.log import replace_file
from attention_jax.training.loop import Fitted, TrainingConfig, fit
from attention_jax.training.manifest import Origin, origin_of
from attention_jax.training.objective import objective_of
from attention_jax.training.prepared import Prepared, prepare
from attention_jax.training.programs import Programs, compilations
from attention_jax.training.scores import Scored, ScoringConfig, score, write_translations
from attention_jax.training.signals import Signals
from attention_jax.training.step import State

__all__ = [
    "Experiment",
    "Prepared",
    "prepare",
    "read_config",
    "read_result",
    "resume",
    "run",
]


@dataclass(frozen=True)
class Experiment:
    """Everything that decides a run."""

    name: str = "run"
    """what reports call it"""
    seed: int = 0
    """of initial weights, the order of batches and dropout"""
    data: DataConfig = field(default_factory=DataConfig)
    """text and batches"""
    model: ModelConfig = field(default_factory=TransformerConfig)
    """which model, and its sizes"""
    training: TrainingConfig = field(default_factory=TrainingConfig)
    """the loop and the optimizer"""
    decoding: DecodingConfig = field(default_factory=DecodingConfig)
    """the search for translations"""
    scoring: ScoringConfig = field(default_factory=ScoringConfig)
    """what the run is judged by in the end"""

    def __post_init__(self):
        """Refuses seeds that the random generators do not take."""
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed is {self.seed}; a number from 0 to 2**32 - 1 would fit")


def run(
    experiment: Experiment,
    folder: str | Path,
    *,
    quiet: bool = False,
    prepared: Prepared | None = None,
    stop_after: int | None = None,
    mesh: str = "auto",
) -> dict[str, Any]:
    """Trains, evaluates and records an experiment; resumes what the folder holds of it.

    Of several processes (`parallel.processes.join`) all call it, with a folder that all of them
    see; one of them writes.

    Args:
      experiment: what to run.
      folder: new or empty, or that of this very experiment.
      quiet: shows nothing.
      prepared: corpus and tokenizer of `experiment.data`, to share them between runs.
      stop_after: stops after a checkpoint at this step, for tests; the record is then partial.
      mesh: the devices that train; see `parallel.engines.engine`. It may be another when a run goes
        on: checkpoints fit all.

    Returns:
      The record that result.json holds. A finished run is not run again.

    Raises:
      ValueError: the folder is another's, or the data, the checkpoints or the devices do not fit.
      OSError: the folder cannot be written, or the disk is too full.
      Stopped: SIGTERM or Ctrl-C came; what was done until then is saved.
    """
    folder = Path(folder)
    compilations()  # starts counting
    mine = configs.to_json(experiment)
    one = peers.writes()
    with (
        claimed(folder, mine, lambda: configs.to_json(read_config(folder)))
        if one
        else contextlib.nullcontext(),
        Signals(experiment.training.grace) as signals,
    ):
        result = folder / "result.json"
        if peers.share(result.exists()):
            return read_result(folder)
        before = compilations()
        if prepared is not None and prepared.data != experiment.data:
            raise ValueError("prepared is of another data config than the experiment's")
        if one:
            prepared = _prepared(experiment, folder, prepared)
        peers.barrier("prepared")  # so that the others find what one has
        if prepared is None:
            prepared = prepare(experiment.data, Tokenizer.load(folder / "tokenizer.json"))
        how = engine(mesh)
        programs = programs_of(experiment, prepared.tokenizer, how)
        plan = prepared.plan(experiment.seed)
        if one:
            _begin(experiment, folder, programs, how)
            if not quiet:
                _introduce(experiment, prepared, programs, plan)
        held_out = prepared.held_out()
        fitted = fit(
            programs,
            experiment.training,
            plan,
            held_out["validation"],
            folder,
            seed=experiment.seed,
            quiet=quiet,
            stop_after=stop_after,
            origin=origin(experiment, prepared),
            signals=signals,
            begin=_begin_from(experiment, prepared),
        )
        done = f"step {fitted.step:,} of {experiment.training.steps:,}, which is saved"
        signals.stop(saved=fitted.step > 0, said=done if fitted.step else "")
        if not fitted.finished:
            return {"name": experiment.name, "seed": experiment.seed, "steps": fitted.step}
        record = None
        if one:
            scoring = experiment.scoring
            params = read_params(folder, programs.structs.params, scoring.which)
            alone = programs_of(experiment, prepared.tokenizer)
            scored = score(alone, params, prepared, experiment.decoding, scoring, held_out)
            write_translations(folder / "translations.jsonl", prepared, scored)
            record = _record(experiment, programs, fitted, scored) | {"mesh": str(how)}
            record["programs"] = compilations() - before
            _write_json(result, record)
        return peers.share(record)


def resume(folder: str | Path, *, quiet: bool = False, mesh: str = "auto") -> dict[str, Any]:
    """Goes on with the run that a folder holds; see `run`."""
    return run(read_config(folder), folder, quiet=quiet, mesh=mesh)


def read_config(folder: str | Path) -> Experiment:
    """The experiment that a folder is a run of.

    Raises:
      ValueError: the folder holds no run, or its config.json cannot be read.
    """
    path = Path(folder) / "config.json"
    if not path.exists():
        raise ValueError(f"{folder} holds no run: there is no config.json in it")
    try:
        return configs.from_json(Experiment, json.loads(path.read_text("utf-8")))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: {error}") from error


def read_result(folder: str | Path) -> dict[str, Any]:
    """The record of a finished run.

    Raises:
      ValueError: the run is not finished, or its result.json is damaged.
    """
    path = Path(folder) / "result.json"
    if not path.exists():
        raise ValueError(
            f"{folder} is not finished: there is no result.json in it; `attention-jax train --run "
            f"{folder}` goes on with it"
        )
    try:
        return json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{path} is damaged: {error}; delete it, and the same command makes it again"
        ) from error


def origin(experiment: Experiment, prepared: Prepared) -> Origin:
    """What a run's checkpoints are told from another's by; see `training.manifest`."""
    return origin_of(
        configs.to_json(experiment),
        versions(("jax", "jaxlib", "flax", "optax")),
        tokenizer=prepared.tokenizer.digest(),
        data=prepared.digest(),
    )


def programs_of(
    experiment: Experiment, tokenizer: Tokenizer, how: str | Layout = SINGLE
) -> Programs:
    """What training compiles on an engine; experiments that differ in their seed alone share it.

    Raises:
      ValueError: the model's heads cannot be cut as the engine's layout asks, or it has none.
    """
    training, model = experiment.training, replace(experiment.model, vocabulary=tokenizer.size)
    if isinstance(how, Layout):
        if not isinstance(model, (TransformerConfig, DecoderOnlyConfig)):
            raise ValueError(
                f"mesh {how} is for the Transformer and decoder_only; single or replicate would "
                f"fit {model.kind}"
            )
        counts = [model.heads_at(place) for place in model.places()]
        check_heads(how, [*counts, model.key_value_heads or model.heads])
        if training.vocabulary_chunk is not None and how.data != how.size:
            raise ValueError(
                f"vocabulary_chunk is {training.vocabulary_chunk}, which is for whole models; mesh "
                f"{how} cuts this one: None, or an axis of data alone, would fit"
            )
    steps = training.steps if training.optimizer.schedule == "cosine" else 0
    settings = training.smoothing, training.rng, training.compute, training.vocabulary_chunk
    return _programs(how, model, training.optimizer, steps, *settings)


@functools.lru_cache(maxsize=8)
def _programs(
    how, model: ModelConfig, optimizer, steps, smoothing, rng, compute, chunk
) -> Programs:
    def make_model(rngs):
        return build(model, rngs=rngs)

    settings = {"smoothing": smoothing, "rng": rng, "compute": compute}
    settings["objective"] = objective_of(model, chunk)
    return programs_on(how, make_model, optimizer, steps=steps, **settings)


def _prepared(experiment: Experiment, folder: Path, prepared: Prepared | None) -> Prepared:
    """Corpus and tokenizer, with what of them is kept in the folder."""
    kept = folder / "tokenizer.json"
    if prepared is None:
        prepared = prepare(experiment.data, Tokenizer.load(kept) if kept.exists() else None)
    if not kept.exists():
        prepared.tokenizer.save(kept)
    write_quarantine(folder / "quarantine.jsonl", prepared.corpus)
    return prepared


def _begin_from(experiment: Experiment, prepared: Prepared) -> Callable[[State], State] | None:
    """What is done to a fresh state, whose file is read only once there is one."""
    file = experiment.training.embeddings
    return None if file is None else lambda state: starting(file, prepared.tokenizer.names())(state)


def _begin(experiment: Experiment, folder: Path, programs: Programs, how: str | Layout) -> None:
    if not (folder / "environment.json").exists():
        where = {"mesh": str(how), "processes": peers.count()}
        _write_json(folder / "environment.json", environment() | where)
    check_room(folder, experiment.training.keep, programs.parameters)


def _record(
    experiment: Experiment, programs: Programs, fitted: Fitted, scored: Mapping[str, Scored]
) -> dict[str, Any]:
    """What result.json holds: the validation scores on top, those of test splits below "test"."""
    model, splits = experiment.model, [found.scores for found in scored.values()]
    seconds = sum(scores["translate_seconds"] for scores in splits)
    return {
        "name": experiment.name,
        "kind": model.kind,
        "heads": getattr(model, "heads", None),
        "seed": experiment.seed,
        "parameters": programs.parameters,
        **scored["validation"].scores,
        "test": {name: found.scores for name, found in scored.items() if name != "validation"},
        "steps": fitted.step,
        "best_step": fitted.best_step,
        "tokens": fitted.tokens,
        "tokens_per_second": fitted.tokens_per_second,
        "train_seconds": fitted.train_seconds,
        "compile_seconds": fitted.compile_seconds,
        "memory_bytes": programs.step_bytes or None,  # None: trained in a population
        "peak_bytes": fitted.peak_bytes,
        "peak_of": fitted.peak_of,
        "cache_bytes": cache_bytes(
            model, experiment.data.max_length, experiment.decoding.max_length
        ),
        "decode_tokens_per_second": sum(scores["written"] for scores in splits) / seconds,
    }


def _introduce(experiment: Experiment, prepared: Prepared, programs: Programs, plan) -> None:
    notes = [f"{experiment.name}: {programs.parameters:,} parameters, {plan}"]
    notes += [f"on {programs.devices} devices"] if programs.devices > 1 else []
    notes += programs.notes
    notes += prepared.corpus.notes
    notes += [prepared.examples("train").note] if prepared.examples("train").dropped else []
    print("\n".join(notes), file=sys.stderr, flush=True)


def _write_json(path: Path, data: Any) -> None:
    replace_file(path, (json.dumps(data, indent=2, allow_nan=False) + "\n").encode())
