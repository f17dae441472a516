"""Every task, small: what shared tests run on.

A new task is an entry here, and so joins `test_family` and `test_family_runs`.
"""

from typing import Any

from attention_jax.data.images import PicturesConfig
from attention_jax.data.labelled_text import LabelledTextConfig
from attention_jax.data.masked_text import MaskedTextConfig
from attention_jax.data.passages import PassagesConfig
from attention_jax.data.scenes import ScenesConfig
from attention_jax.data.spoken_digits import SpokenDigitsConfig
from attention_jax.data.tagged_text import TaggedTextConfig
from attention_jax.models.captioning_config import CaptioningConfig
from attention_jax.models.captioning_layers import CellsConfig
from attention_jax.models.decoder_only import DecoderOnlyConfig
from attention_jax.models.encoder_only_config import EncoderOnlyConfig
from attention_jax.models.speech_config import SpeechConfig
from attention_jax.models.vision import VisionConfig
from attention_jax.models.visual_question_config import VisualQuestionConfig
from attention_jax.tasks.captioning import CaptioningTask
from attention_jax.tasks.language import LanguageTask
from attention_jax.tasks.masked_words import MaskedWordsTask
from attention_jax.tasks.sentences import SentencesTask
from attention_jax.tasks.speech import SpeechTask
from attention_jax.tasks.tags import TagsTask
from attention_jax.tasks.vision import VisionTask
from attention_jax.tasks.visual_question import VisualQuestionTask
from attention_jax.training.optimizer import OptimizerConfig
from attention_jax.training.training_config import TrainingConfig
from tests.tasks import generators

TRAINING = TrainingConfig(
    steps=8,
    smoothing=0.0,
    log_every=4,
    evaluate_every=4,
    checkpoint_every=3,
    optimizer=OptimizerConfig(peak=0.01, warmup=2, eps=1e-3),
)

ENCODER = EncoderOnlyConfig(
    width=16, layers=2, heads=2, feed_forward=24, context=40, epsilon=1e-6, dropout=0.0
)

SCENES = ScenesConfig(train=40, validation=16, test=16)
CELLS = CellsConfig(narrow=4, channels=8, convolutions=1)

FAMILY: dict[str, Any] = {
    "diffusion": generators.DIFFUSION,
    "captioning": CaptioningTask(
        data=SCENES,
        batch=8,
        model=CaptioningConfig(cells=CELLS, width=12, embedding=8, alignment=8, dropout=0.2),
        doubly_stochastic=0.01,
        training=TRAINING,
    ),
    "language": LanguageTask(
        data=PassagesConfig(rows=4, limit=4_000, packed=True),
        model=DecoderOnlyConfig(
            width=16, layers=2, heads=2, feed_forward=24, context=24, dropout=0.2
        ),
        training=TRAINING,
        sample_tokens=8,
    ),
    "masked_words": MaskedWordsTask(
        data=MaskedTextConfig(vocabulary=300, rows=8, limit=40),
        model=ENCODER,
        training=TRAINING,
    ),
    "sagan": generators.SAGAN,
    "sentences": SentencesTask(
        data=LabelledTextConfig(vocabulary=300, rows=8, limit=40),
        model=ENCODER,
        pooling="mean",
        training=TRAINING,
    ),
    "speech": SpeechTask(
        data=SpokenDigitsConfig(clips=16, held=8, speakers=4, digits=2, mels=8, batch=8),
        model=SpeechConfig(
            mels=8,
            width=16,
            encoder_layers=1,
            decoder_layers=1,
            heads=2,
            feed_forward=24,
            context=4,
            dropout=0.2,
        ),
        training=TRAINING,
    ),
    "tags": TagsTask(
        data=TaggedTextConfig(vocabulary=300, max_length=40, rows=8, limit=40),
        model=ENCODER,
        training=TRAINING,
    ),
    "vision": VisionTask(
        data=PicturesConfig(limit=40, batch=8, shift=1),
        model=VisionConfig(patch=14, width=8, layers=2, heads=2, feed_forward=12, dropout=0.0),
        training=TRAINING,
    ),
    "visual_question": VisualQuestionTask(
        data=SCENES,
        batch=8,
        model=VisualQuestionConfig(
            cells=CELLS, width=16, layers=2, heads=2, feed_forward=24, dropout=0.2
        ),
        training=TRAINING,
    ),
}
"""Tasks by kind, on data that are made."""

QUICK = ("language",)
"""the others' turn comes in the slow tests"""

SLOW = ("captioning",)
"""of the dearest tests only these; all others' are exhaustive"""
