"""The task of making pictures in one go, against a discriminator: a Self-Attention GAN.

Sources: Zhang et al. 2019; Heusel et al. 2017 (a rate for each player); Lim and Ye 2017, "Geometric
GAN" (the hinge).
"""

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax import lax

from attention_jax.analysis.picture_judge import in_parts
from attention_jax.data.images import Pictures, PicturesConfig, as_floats, load_pictures, shifted
from attention_jax.data.rows import RowsPlan, generator, in_order
from attention_jax.models.sagan import Sagan, SaganConfig, asked
from attention_jax.models.sagan_layers import normalized
from attention_jax.tasks.judging import FIXED, HELD_OUT, JudgingConfig, check_sizes, judged
from attention_jax.tasks.work import Work
from attention_jax.training.chosen import Which
from attention_jax.training.loss import Loss
from attention_jax.training.optimizer import OptimizerConfig, make_optimizer
from attention_jax.training.step import split
from attention_jax.training.training_config import TrainingConfig


class Faced(NamedTuple):
    """Real pictures, and what others are made from."""

    images: np.ndarray
    """uint8 [B, side, side, channels], real"""
    labels: np.ndarray
    """int32 [B]: what they show"""
    latents: np.ndarray
    """float32 [B, F], standard normal"""
    wanted: np.ndarray
    """int32 [B]: what pictures made from the latents shall show"""
    weights: np.ndarray
    """float32 [B]; 0 is no picture"""


@dataclass(frozen=True)
class SaganTask:
    """Make pictures of given kinds against a discriminator (Self-Attention GAN)."""

    kind: Literal["sagan"] = "sagan"
    """which task this is"""
    name: str = "run"
    """what reports call it"""
    seed: int = 0
    """of initial weights, order and latent numbers"""
    data: PicturesConfig = field(default_factory=lambda: PicturesConfig(batch=64))
    """pictures and batches"""
    model: SaganConfig = field(default_factory=SaganConfig)
    """the sizes of both players"""
    training: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(
            steps=5_000,
            smoothing=0.0,
            optimizer=OptimizerConfig(
                "constant", peak=4e-4, warmup=0, b1=0.0, b2=0.9, eps=1e-8, clip=None
            ),
        )
    )
    """the loop and the optimizer; its rate is the discriminator's"""
    judging: JudgingConfig = field(default_factory=JudgingConfig)
    """what pictures are judged by"""
    which: Which = "last"
    """the parameters that are judged; the players' loss says not which are the best"""

    def work(self, folder: Path | None = None) -> Work:
        """Reads the pictures; nothing is kept in the folder but them made.

        Raises:
          ValueError: the pictures cannot be read, or are of another size than the model's.
        """
        pictures = load_pictures(self.data)
        config = self.model
        check_sizes(config, pictures)

        def change(batch: Faced, chance: np.random.Generator) -> Faced:
            moved = shifted(batch.images, self.data.shift, chance)
            return _drawn(batch._replace(images=moved), chance, config)

        held_out = Pictures(*(rows[:HELD_OUT] for rows in pictures.splits["validation"]))
        validation = _drawn(_rows(held_out), generator(0, FIXED), config)

        def score(model: Sagan, folder: Path) -> dict[str, Any]:
            def make(labels: np.ndarray) -> np.ndarray:
                return sampled(model, labels, seed=self.seed)

            gammas = {
                "gamma_generator": float(model.generator.attention.gamma[...]),
                "gamma_discriminator": float(model.discriminator.attention.gamma[...]),
            }
            return gammas | judged(self.judging, pictures, make, folder)

        rows = _rows(pictures.splits["train"])
        return Work(
            make_model=lambda rngs: Sagan(config, rngs=rngs),
            objective=both_hinges,
            plan=RowsPlan(rows, size=self.data.batch, seed=self.seed, change=change),
            validation=in_order(validation, self.data.batch),
            digest=pictures.digest(),
            score=score,
            notes=pictures.notes,
            unit="pictures",
            likelihood=False,
            optimizer=two_rates(self.training, config.generator_rate),
        )


def both_hinges(
    model: Any, batch: Faced, *, rng: Any = None, smoothing: float = 0.0, **call: Any
) -> Any:
    """What both players lower at once, each with its own parameters alone.

    The discriminator's: max(0, 1 - D(x)) + max(0, 1 + D(G(z))), with the made picture held fixed.
    The generator's: -D(G(z)), with the discriminator held fixed. One gradient of the sum is both of
    theirs, and one update moves both at once. `nll`, what held-out pictures are looked at by, is
    the discriminator's share alone: 2 means that it can tell nothing apart, 0 that it tells all.

    Source: Zhang et al. 2019, equation 4.
    """
    unexplained: dict[str, Any] = {**call, "explain": False}
    weights, one, blind = batch.weights, asked(**call), asked(**unexplained)
    generator, discriminator = normalized(model.generator), normalized(model.discriminator)
    made = generator(batch.latents, batch.wanted, one)
    real = discriminator(as_floats(batch.images), batch.labels, one)
    fake = discriminator(lax.stop_gradient(made), batch.wanted, blind)
    fooled = _held(discriminator)(made, batch.wanted, blind)

    def total(x):
        return (x.astype(jnp.float32) * weights).sum()

    tells = total(jax.nn.relu(1 - real) + jax.nn.relu(1 + fake))
    sums = Loss(tells - total(fooled), tells, weights.sum())
    return sums if one.explain is None else (sums, one.found)


def two_rates(training: TrainingConfig, ratio: float) -> optax.GradientTransformation:
    """The optimizer of the training, the generator's updates multiplied by the ratio.

    Adam divides a gradient's scale away, so that no factor in the objective could do this.

    Source: Heusel et al. 2017, "GANs Trained by a Two Time-Scale Update Rule".
    """

    def slowed(updates, params=None):
        generator = jax.tree.map(lambda update: ratio * update, updates["generator"])
        return {**updates, "generator": generator}

    return optax.chain(make_optimizer(training.optimizer, training.steps), optax.stateless(slowed))


def sampled(model: Any, labels: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Pictures of these labels, numbers from -1 to 1 [N, side, side, channels].

    The latent numbers of each depend on the seed and its place alone.
    """
    graph, params = split(model)
    shape = len(labels), model.config.latent
    latents = generator(seed, FIXED + 1).standard_normal(shape, np.float32)
    return in_parts(partial(_made, graph, params), latents, labels)


@partial(jax.jit, static_argnums=0)
def _made(graph: nnx.GraphDef, params: Any, latents: Any, labels: Any) -> Any:
    model: Any = nnx.merge(graph, params)
    return model(latents, labels)


def _held(player: Any) -> Any:
    """The player, through which no gradient reaches its parameters."""
    graph, params = split(player)
    return nnx.merge(graph, jax.tree.map(lax.stop_gradient, params))


def _rows(pictures: Pictures) -> Faced:
    """All pictures, without latent numbers as yet."""
    count = len(pictures.labels)
    none = np.zeros((count, 0), np.float32)
    ones = np.ones(count, np.float32)
    return Faced(pictures.images, pictures.labels, none, np.zeros(count, np.int32), ones)


def _drawn(batch: Faced, chance: np.random.Generator, config: SaganConfig) -> Faced:
    """A batch with its latent numbers and the labels to make drawn."""
    count = len(batch.labels)
    return batch._replace(
        latents=chance.standard_normal((count, config.latent), np.float32),
        wanted=chance.integers(0, config.classes, count).astype(np.int32),
    )
