"""Training with one score of one width, and what its logits are before and after."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax

from attention_jax.analysis.logit_statistics import logit_statistics
from attention_jax.analysis.scored import ScoreName, scored
from attention_jax.experiment import Experiment
from attention_jax.models.transformer import TransformerConfig
from attention_jax.training.chosen import read_params
from attention_jax.training.log import replace_file
from attention_jax.training.loop import fit
from attention_jax.training.prepared import Prepared
from attention_jax.training.programs import Programs
from attention_jax.training.scores import score


def train_scored(
    experiment: Experiment,
    prepared: Prepared,
    name: ScoreName,
    width: int,
    seeds: Sequence[int],
    folder: Path,
) -> list[dict[str, Any]]:
    """Trains a Transformer whose attention to the source has this score, once a seed.

    Args:
      experiment: data, the Transformer, training and decoding; its seed is not used.
      prepared: of its data.
      name: of the score.
      width: features that it compares in.
      seeds: of the runs.
      folder: gets a folder for each run; what is there of it is not made again.

    Returns:
      A record for each seed: the scores on the test split, and the last layer's
      `logit_statistics` on the validation split, "variance_start" and so on before training and
      "variance_end" after it.

    Raises:
      ValueError: the experiment's model is no Transformer.
    """
    if not isinstance(experiment.model, TransformerConfig):
        raise ValueError(f"model is a {experiment.model.kind}; a transformer would fit")
    model = replace(experiment.model, vocabulary=prepared.tokenizer.size)
    training, longest = experiment.training, experiment.data.max_length

    def make(rngs):
        return scored(model, name, width, longest=longest, rngs=rngs)

    settings = {"smoothing": training.smoothing, "rng": training.rng}
    programs = Programs(make, training.optimizer, steps=training.steps, **settings)
    found = []
    for seed in seeds:
        run = folder / f"{name}-{width}-s{seed}"
        if not (run / "record.json").exists():
            record = {"score": name, "width": width, "seed": seed}
            record |= _run(experiment, prepared, programs, seed, run)
            replace_file(run / "record.json", json.dumps(record).encode())
        found.append(json.loads((run / "record.json").read_text("utf-8")))
    jax.clear_caches()
    return found


def _run(
    experiment: Experiment, prepared: Prepared, programs: Programs, seed: int, folder: Path
) -> dict[str, Any]:
    held_out, scoring = prepared.held_out(), experiment.scoring
    validation = held_out["validation"]
    start = logit_statistics(programs.graph, programs.start(seed).params, validation)[-1]
    plan = prepared.plan(seed)
    fit(programs, experiment.training, plan, validation, folder, seed=seed, quiet=True)
    params = read_params(folder, programs.structs.params, scoring.which)
    end = logit_statistics(programs.graph, params, validation)[-1]
    test = {"test": held_out["test"]}
    scores = score(programs, params, prepared, experiment.decoding, scoring, test)["test"].scores
    when = {"start": start, "end": end}
    numbers = {f"{key}_{at}": one[key] for at, one in when.items() for key in one}
    return numbers | scores | {"bleu": scores["bleu"]["score"], "steps": experiment.training.steps}
