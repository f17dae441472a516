"""What a run's folder gives once something is trained: parameters, scores, translations."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from attention_jax.data import Tokenizer
from attention_jax.decoding import Translator
from attention_jax.experiment import Experiment, prepare, programs_of, read_config
from attention_jax.training.chosen import Which, read_params
from attention_jax.training.scores import score


def load(folder: str | Path, which: Which = "best") -> tuple[Experiment, Tokenizer, Any, Any]:
    """(experiment, tokenizer, graph, params) of a run; `nnx.merge(graph, params)` is the model.

    Args:
      folder: of a run, finished or not.
      which: the parameters with the best validation loss, the last ones, or the mean of the last.

    Raises:
      ValueError: the folder holds no run, or not (yet) what is asked for.
    """
    experiment = read_config(folder)
    if not (Path(folder) / "tokenizer.json").exists():
        raise ValueError(f"{folder} has no tokenizer.json: its training has not begun")
    tokenizer = Tokenizer.load(Path(folder) / "tokenizer.json")
    programs = programs_of(experiment, tokenizer)
    return (
        experiment,
        tokenizer,
        programs.graph,
        read_params(Path(folder), programs.structs.params, which),
    )


def evaluate(
    folder: str | Path,
    *,
    split: str | None = None,
    scoring: Mapping[str, Any] | None = None,
    decoding: Mapping[str, Any] | None = None,
) -> dict[str, dict[str, Any]]:
    """Scores of a run on its held-out splits, by split.

    Args:
      folder: of the run.
      split: the one to score; None for all.
      scoring: fields of the run's scoring config to replace.
      decoding: fields of the run's decoding config to replace.
    """
    experiment = read_config(folder)
    judged = replace(experiment.scoring, **scoring or {})
    search = replace(experiment.decoding, **decoding or {})
    _, tokenizer, _, params = load(folder, judged.which)
    prepared = prepare(experiment.data, tokenizer)
    held_out = prepared.held_out()
    if split is not None and split not in held_out:
        raise ValueError(f"there is no split {split!r}; held out are {', '.join(held_out)}")
    chosen = held_out if split is None else {split: held_out[split]}
    programs = programs_of(experiment, tokenizer)
    scored = score(programs, params, prepared, search, judged, chosen)
    return {name: found.scores for name, found in scored.items()}


def translator(folder: str | Path, *, which: Which = "best", **decoding: Any) -> Translator:
    """A run's model, ready for text; `decoding` replaces fields of its decoding config."""
    experiment, tokenizer, graph, params = load(folder, which)
    config = replace(experiment.decoding, **decoding)
    return Translator(graph, params, tokenizer, config, experiment.data.max_length)
