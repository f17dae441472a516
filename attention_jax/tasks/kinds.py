"""All tasks, by their names."""

from collections.abc import Mapping
from typing import Any

from attention_jax.tasks.language import LanguageTask
from attention_jax.tasks.masked_words import MaskedWordsTask
from attention_jax.tasks.sentences import SentencesTask
from attention_jax.tasks.tags import TagsTask
from attention_jax.tasks.vision import VisionTask

TASKS: Mapping[str, Any] = {
    "language": LanguageTask,
    "masked_words": MaskedWordsTask,
    "sentences": SentencesTask,
    "tags": TagsTask,
    "vision": VisionTask,
}
"""from the name of a kind to the class of its tasks"""
