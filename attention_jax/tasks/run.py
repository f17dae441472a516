"""A run of a task, recorded in one folder; see `experiment.run`, which does the same for pairs.

The folder holds config.json, environment.json, metrics.jsonl, checkpoints/, mean/, what the task
keeps there, and once all is done result.json. From it alone the run can be resumed and used.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
from flax import nnx

from attention_jax import configs
from attention_jax.parallel.engines import engine, programs_on
from attention_jax.tasks.kinds import TASKS
from attention_jax.tasks.work import Task, Work
from attention_jax.training import peers
from attention_jax.training.chosen import read_params
from attention_jax.training.environment import environment, versions
from attention_jax.training.folder import check_room, claimed
from attention_jax.training.log import replace_file
from attention_jax.training.loop import Fitted, fit
from attention_jax.training.manifest import origin_of
from attention_jax.training.programs import Programs
from attention_jax.training.signals import Signals


@dataclass(frozen=True)
class Loaded:
    """A trained task.

    Attributes:
      task: what it is.
      work: its data.
      model: with the parameters that are judged.
      folder: of the run.
    """

    task: Any
    work: Work
    model: Any
    folder: Path


def run(
    task: Task,
    folder: str | Path,
    *,
    quiet: bool = False,
    stop_after: int | None = None,
    mesh: str = "auto",
) -> dict[str, Any]:
    """Trains, judges and records a task; goes on with what the folder holds of it.

    Args:
      task: what to learn.
      folder: new or empty, or that of this very task.
      quiet: shows nothing.
      stop_after: stops after a checkpoint at this step, for tests; the record is then partial.
      mesh: the devices that train; see `parallel.engines.engine`.

    Returns:
      The record that result.json holds. A finished run is not run again.

    Raises:
      ValueError: the folder is another's, or the data, the checkpoints or the devices do not fit.
      OSError: the folder cannot be written, or the disk is too full.
      Stopped: SIGTERM or Ctrl-C came; what was done until then is saved.
    """
    if peers.count() > 1:
        raise ValueError(f"found {peers.count()} processes; a task of this kind is learned by one")
    folder, mine = Path(folder), configs.to_json(task)
    with (
        claimed(folder, mine, lambda: configs.to_json(read_task(folder))),
        Signals(task.training.grace) as signals,
    ):
        result = folder / "result.json"
        if result.exists():
            return json.loads(result.read_text("utf-8"))
        work, how = task.work(folder), engine(mesh)
        for name, content in work.files.items():
            if not (folder / name).exists():
                replace_file(folder / name, content)
        programs = programs_of(task, work, how)
        if not (folder / "environment.json").exists():
            _write_json(folder / "environment.json", environment() | {"mesh": str(how)})
        check_room(folder, task.training.keep, programs.parameters)
        if not quiet:
            _introduce(task, work, programs)
        origin = origin_of(
            mine, versions(("jax", "jaxlib", "flax", "optax")), tokenizer="", data=work.digest
        )
        fitted = fit(
            programs,
            task.training,
            work.plan,
            work.validation,
            folder,
            seed=task.seed,
            quiet=quiet,
            stop_after=stop_after,
            origin=origin,
            signals=signals,
            begin=work.begin,
        )
        done = f"step {fitted.step:,} of {task.training.steps:,}, which is saved"
        signals.stop(saved=fitted.step > 0, said=done if fitted.step else "")
        if not fitted.finished:
            return {"name": task.name, "seed": task.seed, "steps": fitted.step}
        params = jax.device_put(read_params(folder, programs.structs.params, task.which))
        alone = programs if programs.devices == 1 else programs_of(task, work)
        figures = {"loss": alone.loss(params, work.validation)}
        figures |= work.score(nnx.merge(programs.graph, params), folder)
        record = _record(task, work, programs, fitted) | figures | {"mesh": str(how)}
        _write_json(result, record)
        return record


def read_task(folder: str | Path) -> Task:
    """The task that a folder is a run of.

    Raises:
      ValueError: the folder holds no run of a task, or its config.json cannot be read.
    """
    path = Path(folder) / "config.json"
    if not path.exists():
        raise ValueError(f"{folder} holds no run: there is no config.json in it")
    try:
        data = json.loads(path.read_text("utf-8"))
        kind = str(data.get("kind")) if isinstance(data, dict) else ""
        if kind not in TASKS:
            raise ValueError(f"kind is {kind!r:.60}; one of {', '.join(TASKS)} would fit")
        return configs.from_json(TASKS[kind], data)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: {error}") from error


def is_task(folder: str | Path) -> bool:
    """Whether a folder is a run of a task, and not of a translation."""
    try:
        read_task(folder)
    except (ValueError, OSError):
        return False
    return True


def load(folder: str | Path) -> Loaded:
    """What a run's folder has learned.

    Raises:
      ValueError: the folder holds no run of a task, or nothing is trained yet.
    """
    task, folder = read_task(folder), Path(folder)
    work = task.work(folder)
    programs = programs_of(task, work)
    params = jax.device_put(read_params(folder, programs.structs.params, task.which))
    return Loaded(task, work, nnx.merge(programs.graph, params), folder)


def programs_of(task: Task, work: Work, how: Any = "single") -> Programs:
    """What training compiles, on an engine.

    Raises:
      ValueError: the task's training asks for what only models that translate have.
    """
    training = task.training
    if training.vocabulary_chunk is not None:
        raise ValueError(
            f"vocabulary_chunk is {training.vocabulary_chunk}, which is for models that translate; "
            f"None would fit the task {task.kind}"
        )
    return programs_on(
        how,
        work.make_model,
        work.optimizer or training.optimizer,
        steps=training.steps,
        smoothing=training.smoothing,
        rng=training.rng,
        compute=training.compute,
        objective=work.objective,
        unit=work.unit,
        likelihood=work.likelihood,
    )


def _record(task: Task, work: Work, programs: Programs, fitted: Fitted) -> dict[str, Any]:
    return {
        "name": task.name,
        "kind": task.kind,
        "heads": getattr(task.model, "heads", None),
        "seed": task.seed,
        "parameters": programs.parameters,
        "steps": fitted.step,
        "best_step": fitted.best_step,
        work.unit: fitted.tokens,
        f"{work.unit}_per_second": fitted.tokens_per_second,
        "train_seconds": fitted.train_seconds,
        "compile_seconds": fitted.compile_seconds,
        "memory_bytes": programs.step_bytes,
        "peak_bytes": fitted.peak_bytes,
        "peak_of": fitted.peak_of,
    }


def _introduce(task: Task, work: Work, programs: Programs) -> None:
    notes = [f"{task.name}: {programs.parameters:,} parameters, {work.plan}", *work.notes]
    notes += [f"on {programs.devices} devices"] if programs.devices > 1 else []
    print("\n".join([*notes, *programs.notes]), file=sys.stderr, flush=True)


def _write_json(path: Path, data: Any) -> None:
    replace_file(path, (json.dumps(data, indent=2, allow_nan=False) + "\n").encode())
