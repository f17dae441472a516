"""What each head does: where it looks, how surely, and how much like its neighbours.

One pass over the sentences. Each layer's weights are reduced to a few sums a head as soon as they
are there, inside the compiled program, so no array of weights outlives its layer; the host adds
the batches' sums in float64.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh
from jaxtyping import Array, Float

from attention_jax.analysis.alignment import (
    Aligned,
    Reading,
    Words,
    align,
    error_rates,
    link_words,
)
from attention_jax.analysis.sentences import first_of
from attention_jax.analysis.similarity import Scatter, linear_cka, scatter
from attention_jax.analysis.weights import Sums, attention_sums, means
from attention_jax.data import Batch, Pair, Tokenizer
from attention_jax.models.places import PARTS, Head, Place
from attention_jax.parallel.layout import Layout
from attention_jax.parallel.statistics import call_on, placed_params, placed_positions, sums_on
from attention_jax.training import checkpoint
from attention_jax.training.chosen import Which, step_of
from attention_jax.training.log import replace_file


class Seen(NamedTuple):
    """What is kept of one attention and batch."""

    sums: Sums
    links: Any
    """[B, H + 1, T]: each target word's source word, by head and by the heads' mean; None: none"""
    outputs: Scatter | None
    """of all heads' outputs side by side; None without heads"""


def measure(
    graph: nnx.GraphDef,
    params: Any,
    batches: Sequence[Batch],
    aligned: Sequence[Aligned] | None = None,
    *,
    layout: Layout | None = None,
) -> dict[str, Any]:
    """What each head of a model does on some batches, from one pass.

    Args:
      graph: the model's structure.
      params: its parameters.
      batches: the sentences; batches of few shapes need few compilations.
      aligned: the batches' words and gold links, for alignment error rates.
      layout: of the devices that share the work, each with its own rows, heads and queries; None
        for one device.

    Returns:
      "heads": a dict for each head: "part", "layer", "head", the means of `STATISTICS`,
      "alignment_error" (of cross-attention, with `aligned`) and "redundancy", the largest
      similarity with another head of its layer. "similarity": linear CKA of the heads' outputs, by
      part, a matrix a layer. "mean_alignment_error": of the heads' mean, for each cross layer.
      None where there is nothing to measure.

    Raises:
      ValueError: there are no batches, or the layout cuts sentences whose words are aligned.
    """
    if not batches:
        raise ValueError("batches is empty; at least one would fit")
    words = [None] * len(batches) if aligned is None else [one.words for one in aligned]
    mesh = None
    if layout is not None:
        if aligned is not None and layout.sequence > 1:
            raise ValueError(
                f"aligned words need whole sentences; {layout} cuts them, and sequence=1 would fit"
            )
        mesh = layout.mesh()
        params = placed_params(graph, params, mesh)
    # Batch by batch: what came before is on the host before the next is looked at.
    found = [
        _seen(graph, params, batch, tokens, mesh)
        for batch, tokens in zip(batches, words, strict=True)
    ]
    heads, similarity = [], {part: [] for part in PARTS}
    mean_errors = []
    for place in sorted(found[0], key=lambda place: (PARTS.index(place.part), place.layer)):
        seen = [batch[place] for batch in found]
        statistics = means(_added([one.sums for one in seen]))
        count = len(statistics["entropy"])
        alike = _similarity([one.outputs for one in seen], count)
        errors = np.full(count + 1, math.nan)
        if aligned is not None and seen[0].links is not None:
            errors = error_rates([one.links for one in seen], aligned)
        similarity[place.part].append([[_number(value) for value in row] for row in alike])
        if place.part == "cross":
            mean_errors.append(_number(errors[-1]))
        others = np.where(np.eye(count, dtype=bool), -np.inf, np.nan_to_num(alike, nan=-np.inf))
        for head in range(count):
            heads.append(
                Head(place.part, place.layer, head)._asdict()
                | {name: _number(values[head]) for name, values in statistics.items()}
                | {"alignment_error": _number(errors[head])}
                | {"redundancy": _number(others[head].max())}
            )
    return {"heads": heads, "similarity": similarity, "mean_alignment_error": mean_errors}


def describe(
    folder: str | Path,
    *,
    split: str = "validation",
    which: Which = "best",
    sentences: int = 512,
) -> dict[str, Any]:
    """What each head of a run's model does, and what the model would lose without it.

    Args:
      folder: of the run.
      split: the one whose sentences are read.
      which: the parameters with the best validation loss, the last ones, or the mean of the last.
      sentences: how many, from the split's start.

    Returns:
      What `measure` gives, with "name", "split", "sentences" and "step", and for each head
      "importance" (the gradient estimate of Michel et al. 2019) and "loss_without" (nats a token
      more when the head alone is zeroed). Fit for JSON.

    Raises:
      ValueError: the folder holds no run, the split is not there, or `sentences` is below 1.
    """
    from attention_jax.analysis.ablation import loss, losses_without
    from attention_jax.analysis.importance import head_importance
    from attention_jax.trained import load

    experiment, tokenizer, graph, params = load(folder, which)
    batches, pairs = first_of(experiment.data, tokenizer, split, sentences)
    found = measure(graph, params, batches, _aligned(batches, pairs, tokenizer))
    importance = head_importance(graph, params, batches)
    before, without = loss(graph, params, batches), losses_without(graph, params, batches)
    for one in found["heads"]:
        head = Head(one["part"], one["layer"], one["head"])
        one["importance"] = _number(importance[head])
        one["loss_without"] = _number(without[head] - before)
    read = {"name": experiment.name, "split": split, "sentences": len(pairs)}
    return {**read, "step": step_of(Path(folder), which), **found}


def over_training(
    folder: str | Path,
    *,
    split: str = "validation",
    sentences: int = 512,
    reading: Reading = "predicting",
) -> Iterator[dict[str, Any]]:
    """What `measure` finds at each checkpoint that a run has kept, with its "step", in order.

    Args:
      folder: of the run; `TrainingConfig.keep` says how many checkpoints stay.
      split: the one whose sentences are read.
      sentences: how many, from the split's start.
      reading: whose weights speak for a target token, where there are gold alignments.

    Raises:
      ValueError: the folder holds no run, the split is not there, or `sentences` is below 1.
    """
    from attention_jax.trained import load

    experiment, tokenizer, graph, params = load(folder, "last")
    batches, pairs = first_of(experiment.data, tokenizer, split, sentences)
    aligned = _aligned(batches, pairs, tokenizer, reading)
    checkpoints = Path(folder) / "checkpoints"
    for step in checkpoint.finished(checkpoints):
        params = checkpoint.read(checkpoints / str(step), params, at="params").state
        yield {"step": step, **measure(graph, params, batches, aligned)}


def write(folder: str | Path, found: Mapping[str, Any]) -> Path:
    """Writes what `describe` found to heads.json in a folder, whole or not at all."""
    path = Path(folder) / "heads.json"
    replace_file(path, (json.dumps(found, indent=1, allow_nan=False) + "\n").encode())
    return path


def _seen(graph, params, batch: Batch, words: Words | None, mesh: Mesh | None) -> dict[Place, Seen]:
    """All that is kept of one batch, on the host."""
    if mesh is None:
        return jax.device_get(_look(graph, params, batch, words))
    placed = placed_positions(batch, mesh), placed_positions(words, mesh, filler=-1)
    found = jax.device_get(_look(graph, params, *placed, mesh))
    # Rows that were put behind have no links to count.
    rows = len(batch.source)
    return {
        place: one if one.links is None else one._replace(links=one.links[:rows])
        for place, one in found.items()
    }


@partial(jax.jit, static_argnames=("graph", "mesh"))
def _look(
    graph, params, batch: Batch, words: Words | None, mesh: Mesh | None = None
) -> dict[Place, Seen]:
    """All that is kept of one batch."""
    source, target = batch.source != 0, batch.weights != 0
    rows = {"encoder": (source, source), "decoder": (target, target), "cross": (target, source)}
    outputs: dict[Place, Scatter] = {}

    def watch(place: Place, given: Float[Array, "B T H K"]):
        outputs[place] = scatter(given, rows[place.part][0])
        return given

    def reduce(place: Place, weights: Float[Array, "B H T S"]) -> Seen:
        links = None
        if place.part == "cross" and words is not None:
            mean = weights.sum(1, keepdims=True) / max(1, weights.shape[1])
            # Joined as links: joined as weights they would be gathered.
            links = jnp.concatenate([link_words(weights, words), link_words(mean, words)], 1)
        return Seen(add(weights, *rows[place.part]), links, None)

    add = attention_sums if mesh is None else partial(sums_on, mesh, attention_sums)
    call = {} if mesh is None else call_on(mesh)
    model = nnx.merge(graph, params)
    _, seen = model(batch.source, batch.target_in, explain=reduce, heads=watch, **call)
    return {place: one._replace(outputs=outputs.get(place)) for place, one in seen.items()}


def _aligned(
    batches: Sequence[Batch],
    pairs: Sequence[Pair],
    tokenizer: Tokenizer,
    reading: Reading = "predicting",
) -> list[Aligned] | None:
    """Gold links, where there are any: a corpus has them for all pairs or for none."""
    if not any(pair.alignment for pair in pairs):
        return None
    return align(batches, pairs, tokenizer, reading=reading)


def _added(batches: Sequence[Sums]) -> Sums:
    """The sums over all batches, in float64."""
    return jax.tree.map(lambda *leaves: np.sum(np.asarray(leaves, np.float64), axis=0), *batches)


def _similarity(batches: Sequence[Scatter | None], heads: int) -> Float[np.ndarray, "H H"]:
    scatters = [jax.tree.map(partial(np.asarray, dtype=np.float64), one) for one in batches if one]
    if not scatters:
        return np.zeros((heads, heads))
    total = scatters[0]
    for one in scatters[1:]:
        total = total.joined(one)
    return linear_cka(total, heads)


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
