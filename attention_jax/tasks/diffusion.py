"""The task of making pictures from noise, step by step: a Diffusion Transformer.

Sources: Peebles and Xie 2023; Lipman et al. 2023 and Liu et al. 2023 (velocity), Ho et al. 2020 and
Nichol and Dhariwal 2021 (noise); Ho and Salimans 2022 (labels left out by chance).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from attention_jax.analysis.picture_judge import in_parts
from attention_jax.data.images import (
    Pictures,
    PicturesConfig,
    as_floats,
    load_pictures,
    shifted,
)
from attention_jax.data.rows import RowsPlan, generator, in_order
from attention_jax.decoding.denoise import SAMPLERS, guided
from attention_jax.functional.noising import noised
from attention_jax.models.diffusion import Diffusion, DiffusionConfig
from attention_jax.tasks.judging import FIXED, HELD_OUT, JudgingConfig, check_sizes, judged
from attention_jax.tasks.work import Work
from attention_jax.training.chosen import Which
from attention_jax.training.loss import Loss
from attention_jax.training.optimizer import OptimizerConfig
from attention_jax.training.step import split
from attention_jax.training.training_config import TrainingConfig

TIMES = 10
"""times at which held-out pictures are tried: the middles of as many parts from 0 to 1"""


class Noised(NamedTuple):
    """Pictures with all that chance does to them."""

    images: np.ndarray
    """uint8 [B, side, side, channels]"""
    labels: np.ndarray
    """int32 [B]; `classes` where the label is left out"""
    times: np.ndarray
    """float32 [B], from 0 to 1"""
    noise: np.ndarray
    """float32 [B, side, side, channels], standard normal"""
    weights: np.ndarray
    """float32 [B]; 0 is no picture"""


@dataclass(frozen=True)
class SamplingConfig:
    """How pictures are made."""

    sampler: Literal["heun", "euler", "ddim"] | None = None
    """None: heun for a model that predicts velocities, ddim for one that predicts noise"""
    steps: int = 12
    """from noise to picture; heun asks the model twice in each"""
    guidance: float = 2.0
    """how far predictions are pushed towards those with a label: 1 is the model as it is"""

    def __post_init__(self):
        """Refuses numbers that make no pictures."""
        if self.steps < 1:
            raise ValueError(f"steps is {self.steps}; it must be at least 1")
        if not 0 <= self.guidance < float("inf"):
            raise ValueError(f"guidance is {self.guidance}; a number from 0 up would fit")


@dataclass(frozen=True)
class DiffusionTask:
    """Make pictures of given kinds from noise (DiT, flow matching)."""

    kind: Literal["diffusion"] = "diffusion"
    """which task this is"""
    name: str = "run"
    """what reports call it"""
    seed: int = 0
    """of initial weights, order, times and noise"""
    data: PicturesConfig = field(default_factory=lambda: PicturesConfig(batch=64))
    """pictures and batches"""
    model: DiffusionConfig = field(default_factory=DiffusionConfig)
    """the sizes of the model"""
    training: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(
            steps=6_000,
            smoothing=0.0,
            optimizer=OptimizerConfig("cosine", peak=2e-3, warmup=100, b2=0.99),
        )
    )
    """the loop and the optimizer"""
    unlabelled: float = 0.1
    """share of training pictures whose label is left out, so that guidance is possible"""
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    """how pictures are made"""
    judging: JudgingConfig = field(default_factory=JudgingConfig)
    """what they are judged by"""
    which: Which = "best"
    """the parameters that are judged"""

    def __post_init__(self):
        """Refuses what does not go together."""
        if not 0 <= self.unlabelled < 1:
            raise ValueError(
                f"unlabelled is {self.unlabelled}; it must be at least 0 and less than 1"
            )
        sampler, noise = self.sampling.sampler, self.model.predicts == "noise"
        if sampler is not None and (sampler == "ddim") != noise:
            fits = "ddim" if noise else "heun or euler"
            raise ValueError(
                f"sampling.sampler is {sampler}, and the model predicts {self.model.predicts}; "
                f"{fits} would fit"
            )

    def work(self, folder: Path | None = None) -> Work:
        """Reads the pictures; nothing is kept in the folder but them made.

        Raises:
          ValueError: the pictures cannot be read, or are of another size than the model's.
        """
        pictures = load_pictures(self.data)
        config = self.model
        check_sizes(config, pictures)

        def change(batch: Noised, chance: np.random.Generator) -> Noised:
            moved = shifted(batch.images, self.data.shift, chance)
            return _drawn(batch._replace(images=moved), chance, config.classes, self.unlabelled)

        held_out = Pictures(*(rows[:HELD_OUT] for rows in pictures.splits["validation"]))
        validation = in_order(on_a_grid(held_out), self.data.batch)

        def score(model: Diffusion, folder: Path) -> dict[str, Any]:
            def make(labels: np.ndarray) -> np.ndarray:
                return sampled(model, labels, self.sampling, seed=self.seed)

            losses = {"loss_at": loss_by_time(model, validation)}
            return losses | judged(self.judging, pictures, make, folder)

        rows = _rows(pictures.splits["train"])
        return Work(
            make_model=lambda rngs: Diffusion(config, rngs=rngs),
            objective=squared_error,
            plan=RowsPlan(rows, size=self.data.batch, seed=self.seed, change=change),
            validation=validation,
            digest=pictures.digest(),
            score=score,
            notes=pictures.notes,
            unit="pictures",
            likelihood=False,
        )


def squared_error(
    model: Any, batch: Noised, *, rng: Any = None, smoothing: float = 0.0, **call: Any
) -> Any:
    """The mean squared error, over pixels, of what the model finds in noised pictures.

    Source: Lipman et al. 2023, equation 23; Ho et al. 2020, equation 14.
    """
    errors, *seen = _errors(model, batch, rng=rng, **call)
    total = (errors * batch.weights).sum()
    sums = Loss(total, total, batch.weights.sum())
    return (sums, *seen) if seen else sums


def _errors(model: Any, batch: Any, **call: Any) -> tuple:
    """Each picture's error, float32 [B], and, where `call` asks to explain, what was found."""
    predicts = model.config.predicts
    x, target = noised(predicts, as_floats(batch.images), batch.noise, batch.times)
    found = model(x, batch.times, batch.labels, **call)
    guess, *seen = found if call.get("explain") else (found,)
    difference = (guess - target).astype(jnp.float32)
    return jnp.square(difference).mean((1, 2, 3)), *seen


def sampled(
    model: Any, labels: np.ndarray, sampling: SamplingConfig, *, seed: int = 0
) -> np.ndarray:
    """Pictures of these labels, numbers near -1 to 1 [N, side, side, channels].

    The noise that each begins with depends on the seed and its place alone.
    """
    config, (graph, params) = model.config, split(model)
    shape = len(labels), config.side, config.side, config.channels
    noise = generator(seed, FIXED + 1).standard_normal(shape, np.float32)
    return in_parts(partial(_made, graph, sampling, params), noise, labels)


@partial(jax.jit, static_argnums=(0, 1))
def _made(
    graph: nnx.GraphDef, sampling: SamplingConfig, params: Any, noise: Any, labels: Any
) -> Any:
    model: Any = nnx.merge(graph, params)
    config = model.config
    sampler = SAMPLERS[sampling.sampler or ("ddim" if config.predicts == "noise" else "heun")]
    predict = guided(model, labels, none=config.classes, strength=sampling.guidance)
    return sampler(predict, noise, steps=sampling.steps)


def loss_by_time(model: Diffusion, batches: Sequence[Noised]) -> dict[str, float]:
    """The mean squared error at each time that the batches have."""
    graph, params = split(model)
    found = np.concatenate([np.asarray(_each(graph, params, batch)) for batch in batches])
    times, real = (
        np.concatenate([getattr(batch, name) for batch in batches]) for name in ("times", "weights")
    )
    return {
        f"{time:.2f}": float(found[(times == time) & (real > 0)].mean())
        for time in np.unique(times[real > 0])
    }


@partial(jax.jit, static_argnums=0)
def _each(graph: nnx.GraphDef, params: Any, batch: Noised) -> Any:
    return _errors(nnx.merge(graph, params), batch)[0]


def on_a_grid(pictures: Pictures) -> Noised:
    """Held-out pictures with their labels, noise that never changes, and times that take turns."""
    rows = _rows(pictures)
    places = np.arange(len(pictures.labels)) % TIMES
    chance = generator(0, FIXED)
    noise = chance.standard_normal(pictures.images.shape, np.float32)
    return rows._replace(times=((places + 0.5) / TIMES).astype(np.float32), noise=noise)


def _rows(pictures: Pictures) -> Noised:
    """All pictures, without times and noise as yet."""
    count = len(pictures.labels)
    none = np.zeros((count, 0, 0, 0), np.float32)
    ones = np.ones(count, np.float32)
    return Noised(pictures.images, pictures.labels, np.zeros(count, np.float32), none, ones)


def _drawn(batch: Noised, chance: np.random.Generator, none: int, unlabelled: float) -> Noised:
    """A batch with its times, noise and lost labels drawn.

    Times are one of each part of the way from 0 to 1, which says as much as twice as many drawn
    one by one (Kingma et al. 2021, "Variational Diffusion Models", appendix I.1).
    """
    count = len(batch.labels)
    times = (chance.permutation(count) + chance.random(count)) / count
    lost = chance.random(count) < unlabelled
    return batch._replace(
        labels=np.where(lost, none, batch.labels).astype(np.int32),
        times=times.astype(np.float32),
        noise=chance.standard_normal(batch.images.shape, np.float32),
    )
