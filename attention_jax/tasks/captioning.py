"""Saying what is in a picture, with Show, Attend and Tell."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from attention_jax.analysis.grounding import grounding, shares
from attention_jax.data.drawn_shapes import COLOURS, SHAPES, SIZES
from attention_jax.data.rows import RowsPlan, in_order
from attention_jax.data.scene_captions import LENGTH, CaptionBatch, Gold, captioned
from attention_jax.data.scene_words import CAPTION_WORDS
from attention_jax.data.scenes import SIDE, ScenesConfig, scenes
from attention_jax.decoding.translate import DecodingConfig, searcher
from attention_jax.models.captioning import Captioning, unevenness
from attention_jax.models.captioning_config import ATTENTION, CaptioningConfig
from attention_jax.tasks.work import Work
from attention_jax.training.chosen import Which
from attention_jax.training.loss import smoothed_cross_entropy
from attention_jax.training.metrics import bleu
from attention_jax.training.optimizer import OptimizerConfig
from attention_jax.training.step import split
from attention_jax.training.training_config import TrainingConfig

MISTAKES = "mistakes.txt"
"""test captions that are not what they should be, in the run's folder"""
HELD = 200
"""pictures of a batch that is judged"""
KINDS = {"size": tuple(SIZES), "colour": tuple(COLOURS), "shape": SHAPES}
"""words that name a thing, by what they say of it"""


class Split(NamedTuple):
    """The rows of one split, and what their words name."""

    rows: CaptionBatch
    gold: Gold


def _training() -> TrainingConfig:
    optimizer = OptimizerConfig(schedule="cosine", peak=3e-3, warmup=100)
    return TrainingConfig(
        steps=2_500, smoothing=0.0, optimizer=optimizer, evaluate_every=250, checkpoint_every=500
    )


@dataclass(frozen=True)
class CaptioningTask:
    """Say what is in a picture, looking at a part of it for every word."""

    kind: Literal["captioning"] = "captioning"
    """the task's name"""
    name: str = "run"
    """what reports call the run"""
    seed: int = 0
    """of initial weights, of the order of pictures, and of dropout"""
    data: ScenesConfig = field(default_factory=ScenesConfig)
    """the scenes, whose own seed says which they are"""
    batch: int = 32
    """pictures of a batch"""
    model: CaptioningConfig = field(default_factory=CaptioningConfig)
    """its sizes"""
    doubly_stochastic: float = 0.0
    """λ: how much it costs to look at cells for more or less than one word in sum"""
    training: TrainingConfig = field(default_factory=_training)
    """the loop and the optimizer"""
    which: Which = "best"
    """the parameters that are judged: best by validation loss, the last, or a mean"""

    def __post_init__(self):
        """Refuses what cannot be learned."""
        if self.batch < 1:
            raise ValueError(f"batch is {self.batch}; it must be at least 1")
        if not 0 <= self.doubly_stochastic < float("inf"):
            raise ValueError(
                f"doubly_stochastic is {self.doubly_stochastic}; a finite number from 0 up would "
                "fit"
            )
        if self.model.cells.side != SIDE:
            raise ValueError(f"model.cells.side is {self.model.cells.side}; {SIDE} would fit")

    def work(self, folder: Path | None = None) -> Work:
        """Draws the scenes."""
        del folder
        found = {
            name: Split(*captioned(some, self.data.seed))
            for name, some in scenes(self.data).items()
        }
        train, validation = found["train"].rows, found["validation"].rows
        config = replace(self.model, vocabulary=len(CAPTION_WORDS))
        return Work(
            make_model=lambda rngs: Captioning(config, rngs=rngs),
            objective=partial(telling, doubly_stochastic=self.doubly_stochastic),
            plan=RowsPlan(train, size=min(self.batch, len(train.pictures)), seed=self.seed),
            validation=in_order(validation, min(HELD, len(validation.pictures))),
            digest=digest_of(*(rows for rows, _ in found.values())),
            score=partial(score, splits=found),
            notes=[f"{len(rows.pictures):,} pictures: {name}" for name, (rows, _) in found.items()],
            real=partial(_real, cells=config.cells.count),
        )


def _real(batch: CaptionBatch, *, cells: int) -> dict[str, tuple[Array, Array]]:
    words = batch.weights != 0
    return {"cross": (words, jnp.broadcast_to(words.any(-1)[:, None], (len(words), cells)))}


def telling(
    model: Any,
    batch: Any,
    *,
    rng: Array | None = None,
    smoothing: float = 0.0,
    doubly_stochastic: float = 0.0,
    **call: Any,
) -> Any:
    """The cross-entropy of the words, each given the picture and those before it.

    Args:
      model: of captions.
      batch: pictures and captions.
      rng: of dropout.
      smoothing: of labels.
      doubly_stochastic: λ of `unevenness`, which is added to what is lowered, picture by picture.
      **call: goes into the model's call.

    Source: Xu et al. 2015, equation 14.
    """
    asked = call.pop("explain", False)
    if not (asked or doubly_stochastic):
        logits, weights = model(batch.pictures, batch.target_in, rng=rng, **call), None
    else:
        logits, found = model(batch.pictures, batch.target_in, rng=rng, explain=True, **call)
        weights = found[ATTENTION]
    sums = smoothed_cross_entropy(logits, batch.target_out, batch.weights, smoothing=smoothing)
    if doubly_stochastic and weights is not None:
        more = doubly_stochastic * unevenness(weights[:, 0], batch.weights)
        sums = sums._replace(loss=sums.loss + more)
    if not asked:
        return sums
    look = (lambda _, weights: weights) if asked is True else asked
    return sums, {ATTENTION: look(ATTENTION, weights)}


def written(model: Any, rows: CaptionBatch, *, beams: int = 1) -> list[str]:
    """What the model says of each picture.

    Args:
      model: of captions.
      rows: pictures; their captions are not looked at.
      beams: live hypotheses a picture; 1 is greedy search.
    """
    graph, params = split(model)
    size = min(HELD, len(rows.pictures))
    search = searcher(graph, DecodingConfig(beams=beams, max_length=LENGTH, rows=size))
    found = [np.asarray(search(params, batch.pictures)) for batch in in_order(rows, size)]
    return list(map(CAPTION_WORDS.decode, np.concatenate(found)[: len(rows.pictures)]))


def looks(model: Any, rows: CaptionBatch) -> Float[np.ndarray, "N T S"]:
    """How much the model looks at each cell for each word of the captions as they are."""
    graph, params = split(model)

    @jax.jit
    def explained(params: Any, pictures: Array, target_in: Array) -> Array:
        model = nnx.merge(graph, params)
        return model(pictures, target_in, explain=True)[1][ATTENTION][:, 0]

    batches = in_order(rows, min(HELD, len(rows.pictures)))
    found = [np.asarray(explained(params, one.pictures, one.target_in)) for one in batches]
    return np.concatenate(found)[: len(rows.pictures)]


def score(model: Any, folder: Path, *, splits: Mapping[str, Split]) -> dict[str, Any]:
    """How many captions are right to the last word, and where the model looks for its words.

    Returns:
      exact: of the test pictures, the share whose caption is exactly right; exact_new: of those
      whose caption no training picture has; exact_by_things: by the number of things; bleu: of all;
      grounding: of words that name a thing's size, colour and shape, see `analysis.grounding`, with
      the captions as they should be.
    """
    rows, gold = splits["test"]
    wanted = list(map(CAPTION_WORDS.decode, rows.target_out))
    said = written(model, rows)
    right = np.array([one == other for one, other in zip(said, wanted, strict=True)])
    known = set(map(CAPTION_WORDS.decode, splits["train"].rows.target_out))
    new = np.array([one not in known for one in wanted])
    things = gold.named.max(-1) + 1
    wrong = [f"{wanted[n]}\n{said[n]}\n" for n in np.flatnonzero(~right)]
    (folder / MISTAKES).write_text("\n".join(wrong), "utf-8")
    return {
        "exact": float(right.mean()),
        "exact_new": float(right[new].mean()) if new.any() else None,
        "new": int(new.sum()),
        "exact_by_things": {
            str(count): float(right[things == count].mean()) for count in np.unique(things)
        },
        "bleu": bleu(said, wanted, tokenize="none")["score"],
        "grounding": {kind: found.record() for kind, found in grounded(model, rows, gold).items()},
    }


def grounded(model: Any, rows: CaptionBatch, gold: Gold) -> dict[str, Any]:
    """The `Grounding` of words that say a thing's size, its colour and its shape."""
    weights, columns = looks(model, rows), model.config.cells.rows
    inside = shares(gold.boxes, columns, columns, SIDE, SIDE)
    found = {}
    for kind, words in KINDS.items():
        ids = CAPTION_WORDS.encode(" ".join(words))
        picture, place = np.nonzero(np.isin(rows.target_out, ids))
        named = gold.named[picture, place]
        found[kind] = grounding(weights[picture, place], inside[picture, named])
    return found


def digest_of(*batches: Any) -> str:
    """SHA-256 of arrays, in hex."""
    found = hashlib.sha256()
    for batch in batches:
        for name, array in batch._asdict().items():
            found.update(f"{name} {array.shape} {array.dtype.str} ".encode())
            found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()
