"""Pruning curves: how loss and translations change as heads are silenced one after the other.

Three orders: by gradient importance, found once (Michel et al. 2019, section 4); greedily, by what
the loss really becomes, found again as heads go; and at random, which the others have to beat.
The order is found on one set of sentences; the curve is drawn on others.

Sources: Michel et al. 2019, "Are Sixteen Heads Really Better than One?"; Voita et al. 2019,
"Analyzing Multi-Head Self-Attention".
"""

import json
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from flax import nnx

from attention_jax.analysis.ablation import config_of, losses, losses_with_only, without
from attention_jax.data import Batch, BatchPlan, Examples, Pair, Tokenizer
from attention_jax.decoding import Translator
from attention_jax.experiment import Experiment
from attention_jax.models.places import PARTS, Head
from attention_jax.models.transformer import TransformerConfig
from attention_jax.training.log import replace_file
from attention_jax.training.metrics import bleu, exact_match

Metric = Literal["bleu", "exact_match"]

Score = Callable[[nnx.GraphDef, Any], float]
"""(graph, params) -> how good the translations are."""


def one_left(
    graph: nnx.GraphDef,
    params: Any,
    chosen: Sequence[Batch],
    judged: Sequence[Batch],
    *,
    score: Score | None = None,
    together: int = 1,
) -> list[dict[str, Any]]:
    """What is left of the model when an attention keeps its best head only, for each attention.

    Args:
      graph: the model's structure.
      params: its parameters.
      chosen: what the best head is found on.
      judged: what the loss is of.
      score: how the translations are judged; None leaves "score" None.
      together: see `ablation.losses`.

    Returns:
      "part", "layer", "head" (the one that stays), "loss" in nats a token and "score", by place.

    Source: Michel et al. 2019, section 3.3, table 3.
    """
    config = config_of(graph, params)
    found = losses_with_only(graph, params, chosen, together=together)
    best = {}
    for head in found:
        best.setdefault(head.place, head)
        best[head.place] = min(best[head.place], head, key=found.__getitem__)
    removals = [[o for o in found if o.place == place and o != best[place]] for place in best]
    lost = losses(graph, params, judged, removals, together=together)
    scores = [None if score is None else score(graph, without(params, config, r)) for r in removals]
    return [
        {**head._asdict(), "loss": value, "score": points}
        for head, value, points in zip(best.values(), lost, scores, strict=True)
    ]


def importance_order(importance: Mapping[Head, float]) -> list[Head]:
    """The heads from the least important one on."""
    return sorted(importance, key=importance.__getitem__)


def random_order(config: TransformerConfig, seed: int) -> list[Head]:
    """All heads, shuffled."""
    heads = config.every_head()
    return [heads[i] for i in np.random.default_rng(seed).permutation(len(heads))]


def greedy_order(
    graph: nnx.GraphDef,
    params: Any,
    batches: Sequence[Batch],
    *,
    share: float = 0.0,
    together: int = 1,
) -> list[Head]:
    """The heads in the order in which each round silences those that the loss misses least.

    Args:
      graph: the model's structure.
      params: its parameters.
      batches: what the loss is of.
      share: the part of the heads left that a round takes, without looking again; at least one
        head is. 0 looks again after every head, which for H heads takes H·(H + 1) / 2 losses.
      together: see `ablation.losses`.

    Raises:
      ValueError: `share` is not from 0 to 1.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share is {share}; a number from 0 to 1 would fit")
    left, gone = config_of(graph, params).every_head(), []
    while left:
        removals = [[*gone, head] for head in left]
        found = losses(graph, params, batches, removals, together=together)
        least = np.argsort(found, kind="stable")[: max(1, math.floor(share * len(left)))]
        gone += [left[i] for i in least]
        left = [head for head in left if head not in gone]
    return gone


def curve(
    graph: nnx.GraphDef,
    params: Any,
    batches: Sequence[Batch],
    order: Sequence[Head],
    *,
    at: Iterable[int],
    score: Score | None = None,
    together: int = 1,
) -> list[dict[str, Any]]:
    """Loss and score as the heads of `order` are silenced, at some numbers of heads left.

    Args:
      graph: the model's structure.
      params: its parameters.
      batches: what the loss is of.
      order: all heads, the first to go first.
      at: numbers of heads left.
      score: how the translations are judged; None leaves "score" None.
      together: see `ablation.losses`.

    Returns:
      "left", "loss" in nats a token, "score" and "by_part" (heads left by part), from all heads on.

    Raises:
      ValueError: `order` is not all heads, once each, or a number of heads left is impossible.
    """
    config, numbers = config_of(graph, params), sorted(set(at), reverse=True)
    if sorted(order) != sorted(config.every_head()):
        raise ValueError(f"order has {len(order)} heads; all heads of the model, once each, fit")
    if any(not 0 <= left <= len(order) for left in numbers):
        raise ValueError(f"at is {numbers}; numbers from 0 to {len(order)} would fit")
    removals = [order[: len(order) - left] for left in numbers]
    found = losses(graph, params, batches, removals, together=together)
    points = []
    for removed, value in zip(removals, found, strict=True):
        judged = None if score is None else score(graph, without(params, config, removed))
        points.append(point(config, removed, value, judged))
    return points


def point(
    config: TransformerConfig, removed: Collection[Head], loss: float, score: float | None
) -> dict[str, Any]:
    """One point of a curve, as pruning.json holds it."""
    left = [head for head in config.every_head() if head not in set(removed)]
    by_part = {part: sum(head.part == part for head in left) for part in PARTS}
    return {"left": len(left), "loss": loss, "score": score, "by_part": by_part}


def spread(heads: int, points: int) -> list[int]:
    """Numbers of heads left, evenly from all to none."""
    return sorted({round(n) for n in np.linspace(0, heads, min(points, heads + 1))}, reverse=True)


def some_batches(examples: Examples, count: int, *, tokens: int = 4_096) -> list[Batch]:
    """Batches of `count` examples, spread evenly over all, in two shapes that waste little padding.

    Args:
      examples: of a split.
      count: how many; all, if there are no more.
      tokens: the most positions a side of a batch has.
    """
    chosen = np.unique(np.linspace(0, len(examples) - 1, min(count, len(examples))).astype(int))
    fewer = replace(
        examples,
        sources=[examples.sources[i] for i in chosen],
        targets=[examples.targets[i] for i in chosen],
        kept=examples.kept[chosen],
    )
    return list(BatchPlan(fewer, tokens=tokens, shapes=2))


def scorer(
    experiment: Experiment, tokenizer: Tokenizer, pairs: Sequence[Pair], metric: Metric = "bleu"
) -> Score:
    """How good greedy translations of some pairs are; models of one structure share a program.

    Raises:
      ValueError: an unknown metric.
    """
    if metric not in ("bleu", "exact_match"):
        raise ValueError(f"metric is {metric!r}; 'bleu' or 'exact_match' would fit")
    search = replace(experiment.decoding, beams=1, too_long="truncate")
    tokenize = experiment.scoring.tokenizer_for(experiment.data.target)
    sources, wanted = [pair.source for pair in pairs], [pair.target for pair in pairs]

    def score(graph: nnx.GraphDef, params: Any) -> float:
        longest = experiment.data.max_length
        found = Translator(graph, params, tokenizer, search, longest).translate(sources)
        if metric == "exact_match":
            return exact_match(found, wanted)
        return bleu(found, wanted, tokenize=tokenize)["score"]

    return score


def write(folder: Path, found: Mapping[str, Any]) -> str:
    """Writes pruning.json and pruning.md; gives the text of the latter."""
    folder.mkdir(parents=True, exist_ok=True)
    text = markdown(found)
    numbers = json.dumps(found, indent=2, allow_nan=False) + "\n"
    replace_file(folder / "pruning.json", numbers.encode())
    replace_file(folder / "pruning.md", text.encode())
    return text


def markdown(found: Mapping[str, Any]) -> str:
    """What pruning.json holds, as tables."""
    lines = [
        f"Loss in nats a token and {found['metric']} on {found['split']}: with all heads "
        f"{found['baseline']['loss']:.4f} and {_shown(found['baseline']['score'])}.",
    ]
    for name, points in found["curves"].items():
        lines += ["", f"| {name}: heads left | loss | {found['metric']} | {' | '.join(PARTS)} |"]
        lines += ["|---" * (3 + len(PARTS)) + "|"]
        lines += [
            f"| {one['left']} | {one['loss']:.4f} | {_shown(one['score'])} | "
            + " | ".join(str(one["by_part"][part]) for part in PARTS)
            + " |"
            for one in points
        ]
    lines += ["", f"| one head left in | loss | {found['metric']} |", "|---|---|---|"]
    lines += [
        f"| {one['part']} layer {one['layer'] + 1} (head {one['head'] + 1}) | {one['loss']:.4f} "
        f"| {_shown(one['score'])} |"
        for one in found["one_left"]
    ]
    if rows := found.get("removed"):
        names = [name for name in rows[0] if name != "what"]
        lines += ["", f"| | {' | '.join(name.replace('_', ' ') for name in names)} |"]
        lines += ["|---" * (1 + len(names)) + "|"]
        lines += [
            f"| {row['what']} | " + " | ".join(_shown(row[name]) for name in names) + " |"
            for row in rows
        ]
    return "\n".join(lines) + "\n"


def _shown(value: float | int | None) -> str:
    if value is None:
        return "–"
    if isinstance(value, int) or abs(value) >= 1_000:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) >= 10 else f"{value:.4f}"
