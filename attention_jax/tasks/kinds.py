"""All tasks, by their names."""

from collections.abc import Mapping
from typing import Any

from attention_jax.tasks.vision import VisionTask

TASKS: Mapping[str, Any] = {"vision": VisionTask}
"""from the name of a kind to the class of its tasks"""
