"""All tasks, by their names."""

from collections.abc import Mapping
from typing import Any

from attention_jax.tasks.captioning import CaptioningTask
from attention_jax.tasks.diffusion import DiffusionTask
from attention_jax.tasks.language import LanguageTask
from attention_jax.tasks.masked_words import MaskedWordsTask
from attention_jax.tasks.sagan import SaganTask
from attention_jax.tasks.sentences import SentencesTask
from attention_jax.tasks.speech import SpeechTask
from attention_jax.tasks.tags import TagsTask
from attention_jax.tasks.vision import VisionTask
from attention_jax.tasks.visual_question import VisualQuestionTask

TASKS: Mapping[str, Any] = {
    "captioning": CaptioningTask,
    "diffusion": DiffusionTask,
    "language": LanguageTask,
    "masked_words": MaskedWordsTask,
    "sagan": SaganTask,
    "sentences": SentencesTask,
    "speech": SpeechTask,
    "tags": TagsTask,
    "vision": VisionTask,
    "visual_question": VisualQuestionTask,
}
"""from the name of a kind to the class of its tasks"""
