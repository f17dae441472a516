"""Telling what a picture shows, with a Vision Transformer."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import numpy as np
from flax import nnx
from jaxtyping import Array

from attention_jax.data.images import (
    Pictures,
    PicturesConfig,
    PictureSet,
    as_floats,
    load_pictures,
    shifted,
)
from attention_jax.data.png import png, sheet
from attention_jax.data.rows import RowsPlan, in_order
from attention_jax.models.vision import VisionConfig, VisionTransformer
from attention_jax.tasks.work import Work
from attention_jax.training.chosen import Which
from attention_jax.training.loss import smoothed_cross_entropy
from attention_jax.training.optimizer import OptimizerConfig
from attention_jax.training.step import split
from attention_jax.training.training_config import TrainingConfig

MISTAKES = "mistakes.png"
"""The first test pictures that the model takes for something else, in the run's folder. Beside them
mistakes.json has what each shows and was taken for, and counts it for all: rows are labels."""
SHOWN = 60
"""of them, at most"""
HELD = 256
"""pictures of a batch that is judged"""


class PictureBatch(NamedTuple):
    """Pictures to be told what they show; arrays of NumPy on the host, of JAX inside a step."""

    pictures: Any
    """uint8 [B, height, width, channels]"""
    labels: Any
    """int32 [B]"""
    weights: Any
    """float32 [B]; 0 leaves a picture out"""


def _training() -> TrainingConfig:
    optimizer = OptimizerConfig(schedule="cosine", peak=2e-3, warmup=200, weight_decay=0.05)
    return TrainingConfig(
        steps=2_000, optimizer=optimizer, evaluate_every=250, checkpoint_every=250
    )


@dataclass(frozen=True)
class VisionTask:
    """Tell what pictures show, with a Vision Transformer."""

    kind: Literal["vision"] = "vision"
    """the task's name"""
    name: str = "run"
    """what reports call the run"""
    seed: int = 0
    """of initial weights, of the order and the shifts of pictures, and of dropout"""
    data: PicturesConfig = field(default_factory=PicturesConfig)
    """the pictures"""
    model: VisionConfig = field(default_factory=VisionConfig)
    """its sizes, which must fit the pictures"""
    training: TrainingConfig = field(default_factory=_training)
    """the loop and the optimizer"""
    which: Which = "best"
    """the parameters that are judged: best by validation loss, the last, or a mean"""

    def work(self, folder: Path | None = None) -> Work:
        """Reads the pictures.

        Raises:
          ValueError: they are not there, or of another size than the model's.
        """
        found = load_pictures(self.data)
        self._check(found)
        rows = {name: batch_of(split) for name, split in found.splits.items()}
        return Work(
            make_model=lambda rngs: VisionTransformer(self.model, rngs=rngs),
            objective=telling,
            plan=RowsPlan(
                rows["train"],
                size=min(self.data.batch, len(rows["train"].labels)),
                seed=self.seed,
                change=partial(moved, most=self.data.shift),
            ),
            validation=in_order(rows["validation"], HELD),
            digest=found.digest(),
            score=partial(score, splits=found.splits),
            notes=found.notes,
            unit="pictures",
        )

    def _check(self, found: PictureSet) -> None:
        model = self.model
        names = "picture_height", "picture_width", "channels"
        for name, size in zip(names, found.shape, strict=True):
            if getattr(model, name) != size:
                raise ValueError(
                    f"model.{name} is {getattr(model, name)}, but the pictures of {found.name} "
                    f"have {size}; --model.{name.replace('_', '-')} {size} would fit"
                )
        if model.classes < len(found.classes):
            raise ValueError(
                f"model.classes is {model.classes}, but {found.name} has {len(found.classes)}; "
                f"--model.classes {len(found.classes)} would fit"
            )


def telling(
    model: Any, batch: Any, *, rng: Array | None = None, smoothing: float = 0.0, **call: Any
) -> Any:
    """The cross-entropy of what the pictures show: the `Objective` of the task."""
    found = model(as_floats(batch.pictures), rng=rng, **call)
    logits, *seen = found if call.get("explain") else (found,)
    sums = smoothed_cross_entropy(logits, batch.labels, batch.weights, smoothing=smoothing)
    return (sums, *seen) if seen else sums


def batch_of(pictures: Pictures) -> PictureBatch:
    """The pictures as rows that all count."""
    return PictureBatch(*pictures, np.ones(len(pictures.labels), np.float32))


def moved(batch: PictureBatch, chance: np.random.Generator, *, most: int) -> PictureBatch:
    """The batch with each picture moved by chance."""
    return batch._replace(pictures=shifted(np.asarray(batch.pictures), most, chance))


def answers(model: nnx.Module, images: np.ndarray) -> np.ndarray:
    """The class that the model gives each picture, int [N]."""
    graph, params = split(model)

    @jax.jit
    def best(params: Any, images: Array) -> Array:
        return nnx.merge(graph, params)(as_floats(images)).argmax(-1)

    rows = PictureBatch(images, *(np.ones(len(images), kind) for kind in (np.int32, np.float32)))
    found = [np.asarray(best(params, batch.pictures)) for batch in in_order(rows, HELD)]
    return np.concatenate(found)[: len(images)]


def confusion(labels: np.ndarray, said: np.ndarray, classes: int) -> np.ndarray:
    """How many pictures of each class (rows) were given each class (columns)."""
    found = np.zeros((classes, classes), int)
    np.add.at(found, (labels, said), 1)
    return found


def score(model: Any, folder: Path, *, splits: Mapping[str, Pictures]) -> dict[str, Any]:
    """Shares of pictures told right; what was taken for what goes into the folder."""
    figures: dict[str, Any] = {}
    for name in ("validation", "test"):
        said, labels = answers(model, splits[name].images), splits[name].labels
        figures[f"{name}_accuracy"] = float((said == labels).mean())
        if name == "test":
            wrong = np.flatnonzero(said != labels)
            figures["mistakes"] = len(wrong)
            _write_mistakes(folder, splits[name], said, wrong, model.config.classes)
    return figures


def _write_mistakes(
    folder: Path, pictures: Pictures, said: np.ndarray, wrong: np.ndarray, classes: int
) -> None:
    shown = wrong[:SHOWN]
    found = {
        "confusion": confusion(pictures.labels, said, classes).tolist(),
        "shown": [
            {"picture": int(n), "label": int(pictures.labels[n]), "said": int(said[n])}
            for n in shown
        ],
    }
    (folder / MISTAKES).with_suffix(".json").write_text(json.dumps(found) + "\n", "utf-8")
    if len(shown):
        (folder / MISTAKES).write_bytes(png(sheet(pictures.images[shown], 12, zoom=2)))
