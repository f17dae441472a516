"""Readings of trained tasks, for the command `attention-jax show`."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from attention_jax.tasks.run import Loaded, load
from attention_jax.views import (
    captioning_view,
    diffusion_view,
    language_view,
    masked_view,
    sagan_view,
    sentences_view,
    speech_view,
    tags_view,
    vision_view,
    visual_question_view,
)
from attention_jax.views.readings import Reading

READERS: Mapping[str, Callable[[Loaded, Sequence[str]], list[Reading]]] = {
    "captioning": captioning_view.readings,
    "diffusion": diffusion_view.readings,
    "language": language_view.readings,
    "masked_words": masked_view.readings,
    "sagan": sagan_view.readings,
    "sentences": sentences_view.readings,
    "speech": speech_view.readings,
    "tags": tags_view.readings,
    "vision": vision_view.readings,
    "visual_question": visual_question_view.readings,
}
"""from a kind of task, and the words of the command line, to what its model looks at"""


def read_task_run(folder: str | Path, words: Sequence[str]) -> list[Reading]:
    """What the model of a task's run looks at.

    Args:
      folder: of the run.
      words: what is to be read: the number of a test picture, a text; none for an example.

    Raises:
      ValueError: there is nothing trained, or the words ask for nothing that can be read.
    """
    loaded = load(folder)
    return READERS[loaded.task.kind](loaded, words)
