"""Answering questions about pictures, with a Transformer that looks at them."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from attention_jax.analysis.grounding import Grounding, grounding, joined, shares
from attention_jax.data.rows import RowsPlan, in_order
from attention_jax.data.scene_questions import KINDS, LENGTH, Asked, QuestionBatch, asked
from attention_jax.data.scene_words import ANSWERS, CAPTION_WORDS, QUESTION_WORDS
from attention_jax.data.scenes import SIDE, ScenesConfig, scenes
from attention_jax.models.captioning import Captioning
from attention_jax.models.places import Head
from attention_jax.models.visual_question import VisualQuestion
from attention_jax.models.visual_question_config import VisualQuestionConfig
from attention_jax.tasks.captioning import digest_of
from attention_jax.tasks.work import Work
from attention_jax.training.chosen import Which, read_params
from attention_jax.training.loss import smoothed_cross_entropy
from attention_jax.training.optimizer import OptimizerConfig
from attention_jax.training.step import State, split
from attention_jax.training.training_config import TrainingConfig

HELD = 200
"""questions of a batch that is judged"""


class Split(NamedTuple):
    """The rows of one split, and what is known of each."""

    rows: QuestionBatch
    asked: Asked


class Answered(NamedTuple):
    """What a model makes of questions."""

    answers: Int[np.ndarray, "N Q"]
    """places in `ANSWERS`"""
    looks: dict[Head, Float[np.ndarray, "N Q S"]]
    """how much each head looks at each cell, from the mark that the answer is read from"""


def _training() -> TrainingConfig:
    optimizer = OptimizerConfig(schedule="cosine", peak=2e-3, warmup=100)
    return TrainingConfig(
        steps=4_000, smoothing=0.0, optimizer=optimizer, evaluate_every=250, checkpoint_every=500
    )


@dataclass(frozen=True)
class VisualQuestionTask:
    """Answer questions about pictures with one word."""

    kind: Literal["visual_question"] = "visual_question"
    """the task's name"""
    name: str = "run"
    """what reports call the run"""
    seed: int = 0
    """of initial weights, of the order of pictures, and of dropout"""
    data: ScenesConfig = field(default_factory=ScenesConfig)
    """the scenes, whose own seed says which they are"""
    questions: int = 4
    """questions a scene, on average"""
    batch: int = 16
    """pictures of a batch, with up to four questions each"""
    model: VisualQuestionConfig = field(default_factory=VisualQuestionConfig)
    """its sizes"""
    training: TrainingConfig = field(default_factory=_training)
    """the loop and the optimizer"""
    which: Which = "best"
    """the parameters that are judged: best by validation loss, the last, or a mean"""
    begin: Path | None = None
    """the folder of a captioning run, whose network that looks at pictures this one begins with"""

    def __post_init__(self):
        """Refuses what cannot be learned."""
        for name in ("questions", "batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.model.cells.side != SIDE:
            raise ValueError(f"model.cells.side is {self.model.cells.side}; {SIDE} would fit")
        if self.model.length < LENGTH:
            raise ValueError(f"model.length is {self.model.length}; {LENGTH} or more would fit")

    def work(self, folder: Path | None = None) -> Work:
        """Draws the scenes, and asks about them."""
        del folder
        found = {
            name: Split(*asked(some, self.questions * len(some), self.data.seed))
            for name, some in scenes(self.data).items()
        }
        train, validation = found["train"].rows, found["validation"].rows
        sizes = {"vocabulary": len(QUESTION_WORDS), "answers": len(ANSWERS)}
        config = replace(self.model, **sizes)
        return Work(
            make_model=lambda rngs: VisualQuestion(config, rngs=rngs),
            objective=answering,
            plan=RowsPlan(train, size=min(self.batch, len(train.answers)), seed=self.seed),
            validation=in_order(validation, min(HELD, len(validation.answers))),
            digest=digest_of(*(rows for rows, _ in found.values())),
            score=partial(score, splits=found),
            notes=[
                f"{int(one.rows.weights.sum()):,} questions about {len(one.rows.answers):,} "
                f"pictures: {name}"
                for name, one in found.items()
            ],
            unit="questions",
            begin=None if self.begin is None else beginning(self.begin, config),
            real=partial(_real, cells=config.cells.count),
        )


def beginning(begin: Path, config: VisualQuestionConfig) -> Callable[[State], State]:
    """From a fresh state to one that looks at pictures as a trained captioning run does.

    Args:
      begin: the folder of the run, read once it is needed.
      config: of the model that begins.

    Raises:
      ValueError: the folder holds no such run, or its network is of other sizes; said once the
        function is called.

    Source: Yang et al. 2016, section 3.1, whose network has learned from other pictures before.
    """

    def begun(state: State) -> State:
        from attention_jax.tasks.run import read_task

        task = read_task(begin)
        if task.kind != "captioning" or task.model.cells != config.cells:
            cells = getattr(task.model, "cells", "no cells")
            raise ValueError(
                f"begin is a run of {task.kind} with {cells}; one of captioning with "
                f"{config.cells} would fit"
            )
        other = replace(task.model, vocabulary=len(CAPTION_WORDS))
        shapes = nnx.eval_shape(lambda: Captioning(other, rngs=nnx.Rngs(0)))
        params = read_params(begin, split(shapes)[1], task.which)
        cells = jax.tree.map(np.asarray, params["cells"])
        return state._replace(params={**state.params, "cells": cells})

    return begun


def _real(batch: QuestionBatch, *, cells: int) -> dict[str, tuple[Array, Array]]:
    words = (batch.questions != 0) & (batch.weights != 0)[..., None]
    each, together = words.reshape(-1, words.shape[-1]), words.reshape(len(words), -1)
    everywhere = jnp.broadcast_to(together.any(-1)[:, None], (len(words), cells))
    return {"encoder": (each, each), "cross": (together, everywhere)}


def answering(
    model: Any, batch: Any, *, rng: Array | None = None, smoothing: float = 0.0, **call: Any
) -> Any:
    """The cross-entropy of the answers: the `Objective` of the task."""
    found = model(batch.pictures, batch.questions, rng=rng, **call)
    logits, *seen = found if call.get("explain") else (found,)
    sums = smoothed_cross_entropy(logits, batch.answers, batch.weights, smoothing=smoothing)
    return (sums, *seen) if seen else sums


def answered(model: Any, rows: QuestionBatch) -> Answered:
    """What the model answers, and where its heads look for it."""
    graph, params = split(model)
    cross = [place for place in model.config.places() if place.part == "cross"]

    @jax.jit
    def best(params: Any, batch: QuestionBatch) -> tuple[Array, list[Array]]:
        count, together, length = batch.questions.shape

        def from_mark(place, weights):
            if place.part == "cross":
                return weights.reshape(count, -1, together, length, weights.shape[-1])[..., 0, :]
            return None

        model = nnx.merge(graph, params)
        logits, found = model(batch.pictures, batch.questions, explain=from_mark)
        return logits.argmax(-1), [found[place] for place in cross]

    batches = in_order(rows, min(HELD, len(rows.answers)))
    answers, looks = zip(*(jax.device_get(best(params, batch)) for batch in batches), strict=True)
    count = len(rows.answers)
    layers = [np.concatenate(one)[:count] for one in zip(*looks, strict=True)]
    return Answered(
        np.concatenate(answers)[:count],
        {
            Head(place.part, place.layer, head): layer[:, head]
            for place, layer in zip(cross, layers, strict=True)
            for head in range(layer.shape[1])
        },
    )


def score(model: Any, folder: Path, *, splits: Mapping[str, Split]) -> dict[str, Any]:
    """How many questions are answered right, and where the model looks for the answers.

    Returns:
      accuracy: of test questions; accuracy_by_kind; guess: of who knows how often each question,
      word for word, has each answer in the test questions, but sees no picture; grounding: see
      `grounded`.
    """
    del folder
    rows, asked = splits["test"]
    right, real = answered(model, rows).answers == rows.answers, rows.weights > 0
    return {
        "questions_asked": int(real.sum()),
        "accuracy": float(right[real].mean()),
        "accuracy_by_kind": {
            name: float(right[asked.kinds == number].mean())
            for number, name in enumerate(KINDS)
            if (asked.kinds == number).any()
        },
        "guess": guess(rows),
        "grounding": grounded(model, splits),
    }


def guess(rows: QuestionBatch) -> float:
    """The best that can be done without pictures: each question's most frequent answer."""
    real, answers = rows.weights > 0, defaultdict(list)
    for question, answer in zip(rows.questions[real], rows.answers[real], strict=True):
        answers[question.tobytes()].append(int(answer))
    best = [max(map(found.count, found)) for found in answers.values()]
    return sum(best) / int(real.sum())


def grounded(model: Any, splits: Mapping[str, Split]) -> dict[str, Any]:
    """Where heads look, from the mark, for the things that the answer is read from.

    Returns:
      heads: the share of attention inside the things' boxes, of every head that looks at the
      picture, on validation questions; best: the head that has most; test: its `Grounding` on test
      questions, and test_by_kind the same of each kind of question. Questions whose answer is read
      from no thing, as where there is none, do not count.
    """
    sides = model.config.cells.rows, model.config.cells.rows, SIDE, SIDE
    inside, looks = {}, {}
    for name in ("validation", "test"):
        rows, asked = splits[name]
        inside[name] = joined(shares(asked.boxes, *sides)[:, None], asked.about)
        looks[name] = answered(model, rows).looks
    heads = {
        head: _on(weights, inside["validation"]) for head, weights in looks["validation"].items()
    }
    best = max(heads, key=lambda head: heads[head].inside)
    weights, kinds = looks["test"][best], splits["test"].asked.kinds
    return {
        "heads": {str(head): found.record()["inside"] for head, found in heads.items()},
        "best": str(best),
        "test": _on(weights, inside["test"]).record(),
        "test_by_kind": {
            name: _on(weights[kinds == number], inside["test"][kinds == number]).record()
            for number, name in enumerate(KINDS)
        },
    }


def _on(weights: Float[np.ndarray, "*N S"], inside: Float[np.ndarray, "*N S"]) -> Grounding:
    return grounding(*(one.reshape(-1, one.shape[-1]) for one in (weights, inside)))
