"""Real removal: a model without some of its heads, with smaller arrays, that says the same.

A head that is silenced still costs what it cost. Cut out of the four kernels of its attention it
costs nothing: fewer parameters, fewer keys and values to keep while decoding, less to multiply.
What it would have given on average can stay, as a bias of the output projection.

Source: Michel et al. 2019, section 4.3 ("pruned heads are actually removed"); Voita et al. 2019.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from attention_jax import configs, trained
from attention_jax import experiment as runs
from attention_jax.analysis.ablation import loss as loss_of
from attention_jax.analysis.ablation import slot, without_heads
from attention_jax.data import Tokenizer
from attention_jax.experiment import Experiment
from attention_jax.models.kinds import as_transformer
from attention_jax.models.places import PARTS, Head, Place
from attention_jax.models.transformer import Transformer, TransformerConfig
from attention_jax.training.checkpoint import Checkpoints
from attention_jax.training.environment import environment
from attention_jax.training.ledger import Progress
from attention_jax.training.log import Log, replace_file
from attention_jax.training.metrics import perplexity
from attention_jax.training.optimizer import make_optimizer
from attention_jax.training.prepared import Prepared
from attention_jax.training.step import State, split


def remove(
    config: TransformerConfig,
    params: Any,
    removed: Collection[Head],
    *,
    meaning: Literal["zero", "mean"] = "zero",
    means: Mapping[Place, Float[Array, "H K"]] | None = None,
) -> tuple[TransformerConfig, Any]:
    """The model without the heads: its config and its parameters, for `Transformer(config)`.

    It computes what the whole model computes with these heads silenced, in as many operations as
    its smaller arrays need. Layers may be left with unequal numbers of heads, or with none.

    Args:
      config: of the whole model.
      params: its parameters.
      removed: the heads to leave out.
      meaning: what they gave that stays: nothing, or their mean (as a bias, `output_bias`).
      means: for "mean", what `ablation.mean_outputs` gave.

    Raises:
      ValueError: there is no such head, heads share keys and values, or `means` is missing.
    """
    if config.key_value_heads not in (None, config.heads):
        raise ValueError(
            f"key_value_heads is {config.key_value_heads}: heads that share keys and values cannot "
            "be removed one by one; key_value_heads=None would fit"
        )
    if meaning not in ("zero", "mean"):
        raise ValueError(f"meaning is {meaning!r}; a removed head can leave 'zero' or 'mean'")
    if meaning == "mean" and means is None:
        raise ValueError("means is None; removal that keeps the mean needs it, see mean_outputs")
    gates = without_heads(config, removed)
    counts = {
        part: tuple(int(gates[p].sum()) if p in gates else 0 for p in _layers(config, part))
        for part in PARTS
    }
    size, bias = config.size_of_head, config.output_bias or meaning == "mean"
    unequal = {f"{part}_heads": count for part, count in counts.items()}
    smaller = replace(config, key_value_heads=None, output_bias=bias, **unequal)
    params = jax.tree.map(lambda leaf: leaf, params)  # new dicts, the same arrays
    for place in config.places():
        layer, name = slot(params, place)
        old = layer.pop(name, {})  # nothing of an attention that had no heads before
        stays = np.repeat(np.asarray(gates.get(place, ()), bool), size)
        left = means[place] if means is not None and meaning == "mean" and old else None
        if new := _cut(old, stays, left, bias=bias, width=config.width):
            layer[name] = new
    return smaller, params


def save_run(
    folder: str | Path,
    experiment: Experiment,
    tokenizer: Tokenizer,
    config: TransformerConfig,
    params: Any,
    *,
    loss: float | None = None,
) -> Experiment:
    """Writes a run that has not yet begun, whose checkpoint of step 0 is this model.

    So all that takes a run's folder takes this one: `trained.load`, `attention-jax translate`,
    and `experiment.run(found, folder)`, which trains on from here, with a fresh optimizer.

    Args:
      folder: new or empty.
      experiment: what the model comes from; its `training` is how it would be trained on.
      tokenizer: of the text.
      config: of the model.
      params: its parameters.
      loss: of validation; training on then keeps the best of what it finds and this.

    Returns:
      The experiment with the model's config, which the folder is a run of.

    Raises:
      ValueError: the folder is not empty.
    """
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{folder} is not empty; another folder would fit")
    folder.mkdir(parents=True, exist_ok=True)
    experiment = replace(experiment, model=config)
    training = experiment.training
    tokenizer.save(folder / "tokenizer.json")
    _write_json(folder / "environment.json", environment())
    params = jax.tree.map(jnp.asarray, params)
    stream = jax.random.key_data(jax.random.key(experiment.seed, impl=training.rng))
    moments = make_optimizer(training.optimizer, training.steps).init(params)
    state = State(params, moments, jnp.zeros((), jnp.int32), stream, jnp.ones((), jnp.bool))
    progress = Progress()
    with Log(folder / "metrics.jsonl", quiet=True) as log:
        if loss is not None:
            progress.best_step, progress.best_loss = 0, loss
            log.write(0, "validation", loss=loss, perplexity=perplexity(loss, 1))
    every = training.checkpoint_every
    with Checkpoints(folder / "checkpoints", keep=training.keep, every=every) as saver:
        saver.save(0, state, progress.__dict__, best=progress.best_step)
    # Last: a folder with a config and no checkpoint would be a run that starts from its seed.
    _write_json(folder / "config.json", configs.to_json(experiment))
    return experiment


def train_on(
    experiment: Experiment,
    prepared: Prepared,
    params: Any,
    removed: Collection[Head],
    *,
    folder: str | Path,
    steps: int,
    peak: float = 3e-4,
) -> dict[str, tuple[nnx.GraphDef, Any]]:
    """Cuts heads out of a model and trains what is left a little more, in a run folder of its own.

    Args:
      experiment: what the model is of.
      prepared: the data.
      params: of the whole model.
      removed: the heads to cut out.
      folder: new or empty, or that of this very training, which is then gone on with.
      steps: batches.
      peak: the learning rate, which falls to 0 along a half cosine.

    Returns:
      (graph, params) of the model as it was cut, "removed", and after training, "retrained" (the
      better of the two by validation loss).
    """
    folder = Path(folder)
    optimizer = replace(
        experiment.training.optimizer,
        schedule="cosine",
        peak=peak,
        warmup=0,
        initial=0.0,
        final=0.0,
    )
    course = replace(
        experiment.training,
        steps=steps,
        optimizer=optimizer,
        evaluate_every=max(steps // 2, 1),
        checkpoint_every=steps,
        log_every=max(steps // 20, 1),
        patience=None,
    )
    config, cut = remove(as_transformer(experiment.model), params, removed)
    later = replace(
        experiment,
        name=f"{experiment.name}-pruned",
        model=config,
        training=course,
        decoding=replace(experiment.decoding, beams=1),
        scoring=replace(experiment.scoring, which="best"),
    )
    if not (folder / "config.json").exists():
        whole = replace(config, vocabulary=prepared.tokenizer.size)
        graph, _ = split(nnx.eval_shape(lambda: Transformer(whole, rngs=nnx.Rngs(0))))
        before = loss_of(graph, cut, prepared.held_out()["validation"])
        save_run(folder, later, prepared.tokenizer, config, cut, loss=before)
    runs.run(later, folder, quiet=True, prepared=prepared)
    _, _, graph, retrained = trained.load(folder, "best")
    return {"removed": (graph, cut), "retrained": (graph, retrained)}


def _write_json(path: Path, data: Any) -> None:
    replace_file(path, (json.dumps(data, indent=2, allow_nan=False) + "\n").encode())


def _layers(config: TransformerConfig, part: str) -> list[Place]:
    return [place for place in config.places() if place.part == part]


def _cut(
    attention: Mapping[str, Any],
    stays: np.ndarray,
    means: Float[Array, "H K"] | None,
    *,
    bias: bool,
    width: int,
) -> dict[str, Any]:
    """An attention's parameters with the features that stay, and the means of others as a bias."""
    shift = {}
    if bias:
        # An attention without heads has its bias alone.
        old = attention.get("output", attention).get("bias", np.zeros(width, np.float32))
        total = np.asarray(old, np.float64)
        if means is not None and not stays.all():
            rows = np.asarray(attention["output"]["kernel"], np.float64)[~stays]
            total = total + np.asarray(means, np.float64).reshape(-1)[~stays] @ rows
        shift["bias"] = jnp.asarray(total.astype(old.dtype))
    if not stays.any():
        return shift
    found = {
        name: {"kernel": attention[name]["kernel"][:, stays]} for name in ("query", "key", "value")
    }
    return found | {"output": {"kernel": attention["output"]["kernel"][stays]} | shift}
