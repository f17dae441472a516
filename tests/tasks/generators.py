"""Both generators of pictures, small, for tests: on a few of the digits that are drawn here."""

from dataclasses import replace

from attention_jax.data.images import PicturesConfig
from attention_jax.models.diffusion import DiffusionConfig
from attention_jax.models.sagan import SaganConfig
from attention_jax.tasks.diffusion import DiffusionTask, SamplingConfig
from attention_jax.tasks.judging import JudgingConfig
from attention_jax.tasks.sagan import SaganTask
from attention_jax.training.optimizer import OptimizerConfig
from attention_jax.training.training_config import TrainingConfig

DATA = PicturesConfig(limit=40, batch=8, shift=1)
TRAINING = TrainingConfig(
    steps=8,
    smoothing=0.0,
    log_every=4,
    evaluate_every=4,
    checkpoint_every=3,
    optimizer=OptimizerConfig(peak=0.01, warmup=2, eps=1e-3),
)
JUDGING = JudgingConfig(pictures=20, judge_steps=2)

DIFFUSION = DiffusionTask(
    data=DATA,
    model=DiffusionConfig(patch=14, width=8, layers=2, heads=2, feed_forward=12, frequencies=4),
    training=TRAINING,
    sampling=SamplingConfig(steps=2),
    judging=JUDGING,
)
NOISE = replace(DIFFUSION, model=replace(DIFFUSION.model, predicts="noise"))
SAGAN = SaganTask(
    data=DATA,
    model=SaganConfig(latent=4, features=2, heads=2, head_size=2),
    training=TRAINING,
    judging=JUDGING,
)
