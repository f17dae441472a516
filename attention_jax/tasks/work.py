"""What a task is: data, a model, what training lowers, and what the model is judged by."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import optax
from flax import nnx

from attention_jax.data.plan import Plan
from attention_jax.training.chosen import Which
from attention_jax.training.objective import Objective
from attention_jax.training.step import State
from attention_jax.training.training_config import TrainingConfig


@dataclass(frozen=True)
class Work:
    """A task with its data read.

    Attributes:
      make_model: the model from its random streams.
      objective: what a batch costs.
      plan: the batches of training.
      validation: held-out batches, all of one shape.
      digest: SHA-256 of the data, in hex: what a run was trained on.
      score: the figures of a trained model, fit for JSON; pictures and texts go into the folder.
      files: what the run's folder keeps besides, such as a tokenizer: name and bytes.
      notes: what a user should know of the data, a line each.
      unit: what costs are counted in.
      likelihood: costs are -log p, so that a perplexity tells something.
      optimizer: instead of the one that the config of the training gives.
      begin: from a fresh state, on the host, to the one that training begins with.
      real: from a batch to the real queries [B, T] and sources [B, S] of its attentions, by part;
        None: all positions of rows that count.
    """

    make_model: Callable[[nnx.Rngs], nnx.Module]
    objective: Objective
    plan: Plan
    validation: Sequence[Any]
    digest: str
    score: Callable[[Any, Path], dict[str, Any]]
    files: Mapping[str, bytes] = field(default_factory=dict)
    notes: Sequence[str] = ()
    unit: str = "tokens"
    likelihood: bool = True
    optimizer: optax.GradientTransformation | None = None
    begin: Callable[[State], State] | None = None
    real: Callable[[Any], Mapping[str, tuple[Any, Any]]] | None = None


class Task(Protocol):
    """Everything that decides a run: a frozen dataclass of JSON's values and such dataclasses."""

    @property
    def kind(self) -> str:
        """Its name among `TASKS`."""
        ...

    @property
    def name(self) -> str:
        """What reports call the run."""
        ...

    @property
    def seed(self) -> int:
        """Of initial weights, of all that is drawn in the data, and of dropout."""
        ...

    @property
    def model(self) -> Any:
        """The config of the model."""
        ...

    @property
    def training(self) -> TrainingConfig:
        """The loop and the optimizer."""
        ...

    @property
    def which(self) -> Which:
        """The parameters that are judged: best by validation loss, the last, or a mean."""
        ...

    def work(self, folder: Path | None = None) -> Work:
        """Reads the data; `folder`: of a run that goes on, whose kept files are taken.

        Raises:
          ValueError: the data are not there or do not fit; one message that says what would.
        """
        ...
