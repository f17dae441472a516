"""Writing down what is said: digits, with a Transformer that hears."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from attention_jax.analysis.monotonic import Monotonic, monotonic
from attention_jax.data.rows import RowsPlan, in_order
from attention_jax.data.spoken_digits import Clips, SpokenDigitsConfig, load_spoken_digits, read
from attention_jax.data.tokens import END, START
from attention_jax.decoding.greedy import greedy
from attention_jax.models.places import Place
from attention_jax.models.speech import STRIDE, Speech, SpeechConfig, positions_of
from attention_jax.tasks.work import Work
from attention_jax.training.chosen import Which
from attention_jax.training.edits import accuracy
from attention_jax.training.loss import smoothed_cross_entropy
from attention_jax.training.optimizer import OptimizerConfig
from attention_jax.training.step import split
from attention_jax.training.training_config import TrainingConfig

MISTAKES = "mistakes.txt"
"""test clips that were not heard right, in the run's folder"""
HELD = 50
"""clips of a batch that is judged"""


class SpeechBatch(NamedTuple):
    """Sounds, and what is said in them."""

    frames: Float[Any, "B frames mels"]
    lengths: Int[Any, " B"]
    """frames that each sound has"""
    target_in: Int[Any, "B T"]
    target_out: Int[Any, "B T"]
    weights: Float[Any, "B T"]
    """1 where target_out is real, 0 where it is padding"""


def _training() -> TrainingConfig:
    optimizer = OptimizerConfig(schedule="cosine", peak=2e-3, warmup=100)
    return TrainingConfig(
        steps=1_500, smoothing=0.1, optimizer=optimizer, evaluate_every=250, checkpoint_every=250
    )


@dataclass(frozen=True)
class SpeechTask:
    """Write down the digits that somebody says."""

    kind: Literal["speech"] = "speech"
    """the task's name"""
    name: str = "run"
    """what reports call the run"""
    seed: int = 0
    """of initial weights, of the order of clips, and of dropout"""
    data: SpokenDigitsConfig = field(default_factory=SpokenDigitsConfig)
    """the clips, whose own seed says which they are"""
    model: SpeechConfig = field(default_factory=SpeechConfig)
    """its sizes; its bands and its vocabulary are those of the data"""
    training: TrainingConfig = field(default_factory=_training)
    """the loop and the optimizer"""
    which: Which = "best"
    """the parameters that are judged: best by validation loss, the last, or a mean"""

    def __post_init__(self):
        """Refuses a model that cannot write what the clips say, or hear it."""
        if self.model.context < self.data.longest:
            raise ValueError(
                f"model.context is {self.model.context}, but {self.data.digits} digits in "
                f"{self.data.written} take up to {self.data.longest} tokens; that would fit"
            )
        if self.model.mels != self.data.mels:
            raise ValueError(
                f"model.mels is {self.model.mels} and data.mels {self.data.mels}; as many would fit"
            )

    def work(self, folder: Path | None = None) -> Work:
        """Makes the clips.

        Raises:
          ValueError: their voice is not there.
        """
        del folder
        found = load_spoken_digits(self.data)
        config = replace(self.model, vocabulary=len(self.data.names))
        validation = batch_of(found.splits["validation"])
        return Work(
            make_model=lambda rngs: Speech(config, rngs=rngs),
            objective=hearing,
            plan=RowsPlan(batch_of(found.splits["train"]), size=self.data.batch, seed=self.seed),
            validation=in_order(validation, min(HELD, self.data.held)),
            digest=found.digest,
            score=partial(score, splits=found.splits, data=self.data),
            notes=found.notes,
            real=_real,
        )


def batch_of(clips: Clips) -> SpeechBatch:
    """The clips as rows that all count."""
    shifted = np.pad(clips.tokens[:, :-1], ((0, 0), (1, 0)), constant_values=START)
    real = clips.tokens != 0
    target_in = np.where(real, shifted, 0)
    return SpeechBatch(
        clips.frames, clips.lengths, target_in, clips.tokens, real.astype(np.float32)
    )


def _real(batch: SpeechBatch) -> Mapping[str, tuple[Any, Any]]:
    places = jnp.arange(positions_of(batch.frames.shape[1]))[None]
    words, sound = batch.weights != 0, places < positions_of(batch.lengths)[:, None]
    return {"encoder": (sound, sound), "decoder": (words, words), "cross": (words, sound)}


def hearing(
    model: Any, batch: Any, *, rng: Array | None = None, smoothing: float = 0.0, **call: Any
) -> Any:
    """The cross-entropy of the text, each token given the sound and those before it."""
    found = model(batch.frames, batch.lengths, batch.target_in, rng=rng, **call)
    logits, *seen = found if call.get("explain") else (found,)
    sums = smoothed_cross_entropy(logits, batch.target_out, batch.weights, smoothing=smoothing)
    return (sums, *seen) if seen else sums


def searched(model: Any, clips: Clips, data: SpokenDigitsConfig) -> Int[np.ndarray, "N T"]:
    """The tokens that the model writes of each clip, by greedy search."""
    graph, params = split(model)

    @jax.jit
    def search(params: Any, frames: Array, lengths: Array) -> Array:
        model: Any = nnx.merge(graph, params)
        cache = model.start(frames, lengths, data.longest)
        return greedy(model.step, cache, rows=len(frames), length=data.longest)

    batches = in_order(batch_of(clips), min(HELD, len(clips.lengths)))
    found = [np.asarray(search(params, one.frames, one.lengths)) for one in batches]
    return np.concatenate(found)[: len(clips.lengths)]


def looks(model: Any, clips: Clips) -> dict[Place, Float[np.ndarray, "N H T S"]]:
    """How much each head looks at each moment of the sound for each token of the text as it is."""
    graph, params = split(model)

    @jax.jit
    def explained(params: Any, batch: SpeechBatch) -> dict[Place, Array]:
        inputs = batch.frames, batch.lengths, batch.target_in
        found = nnx.merge(graph, params)(*inputs, explain=True)[1]
        return {place: weights for place, weights in found.items() if place.part == "cross"}

    batches = in_order(batch_of(clips), min(HELD, len(clips.lengths)))
    found = [jax.device_get(explained(params, one)) for one in batches]
    return {
        place: np.concatenate([one[place] for one in found])[: len(clips.lengths)]
        for place in found[0]
    }


def followed(model: Any, clips: Clips) -> dict[Place, Monotonic]:
    """How each head follows the sound, of every layer's attention to it."""
    steps = (clips.tokens != 0) & (clips.tokens != END)
    sides = clips.spans / STRIDE, steps, positions_of(clips.lengths)
    return {place: monotonic(weights, *sides) for place, weights in looks(model, clips).items()}


def score(
    model: Any, folder: Path, *, splits: Mapping[str, Clips], data: SpokenDigitsConfig
) -> dict[str, Any]:
    """What is heard right, and how attention follows the sound.

    Returns:
      Of validation and test: validation_digits, 1 - edits / digits, and validation_exact, the share
      of clips without a fault, and so on; following: of the test clips, by layer, see
      `analysis.monotonic`, with the text as it should be.
    """
    figures: dict[str, Any] = {}
    for name in ("validation", "test"):
        clips = splits[name]
        rows = searched(model, clips, data), clips.tokens
        said, wanted = ([read(row, data) for row in side] for side in rows)
        figures[f"{name}_digits"], figures[f"{name}_exact"] = accuracy(said, wanted)
        if name == "test":
            pairs = zip(wanted, said, strict=True)
            wrong = [
                f"{' '.join(one)}\n{' '.join(other)}\n" for one, other in pairs if one != other
            ]
            (folder / MISTAKES).write_text("\n".join(wrong), "utf-8")
    found = followed(model, splits["test"])
    figures["following"] = {str(place): one.record() for place, one in found.items()}
    return figures
