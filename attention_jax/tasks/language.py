"""Language modelling: the next token of one's own text, by a decoder-only Transformer.

Source: Radford et al. 2018 and 2019; the defaults are those of Karpathy 2023, nanoGPT, for
Shakespeare on a CPU.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
from flax import nnx

from attention_jax.data.characters import Characters
from attention_jax.data.packing import packed
from attention_jax.data.passages import (
    FILES,
    Codec,
    PassagesConfig,
    codec_of,
    load_codec,
    read_passages,
)
from attention_jax.data.rows import DrawnPlan, RowsPlan, in_order
from attention_jax.data.windows import drawn_windows, windows_in_order
from attention_jax.decoding.sampling import SamplingConfig, continued
from attention_jax.models.decoder_only import PRESETS, DecoderOnly, DecoderOnlyConfig
from attention_jax.tasks.language_loss import held_out_figures, packed_loss, window_loss
from attention_jax.tasks.work import Work
from attention_jax.training.chosen import Which, read_params
from attention_jax.training.objective import Objective
from attention_jax.training.optimizer import OptimizerConfig
from attention_jax.training.step import split
from attention_jax.training.training_config import TrainingConfig

TRAINING = TrainingConfig(
    steps=2_000,
    optimizer=OptimizerConfig(
        "cosine", peak=1e-3, final=1e-4, warmup=100, b2=0.99, eps=1e-8, weight_decay=0.1
    ),
    smoothing=0.0,
    evaluate_every=250,
)
"""nanoGPT's, for a CPU"""


@dataclass(frozen=True)
class LanguageTask:
    """Language modelling: your own text, token by token."""

    kind: Literal["language"] = "language"
    """what is learned"""
    name: str = "run"
    """what reports call it"""
    seed: int = 0
    """of initial weights, of what is drawn from the text, and of dropout"""
    data: PassagesConfig = field(default_factory=PassagesConfig)
    """the text"""
    model: DecoderOnlyConfig = PRESETS["gpt-shakespeare"]
    """the model; rows of text are as long as its context"""
    training: TrainingConfig = TRAINING
    """the loop and the optimizer"""
    which: Which = "best"
    """the parameters that are judged: best by validation loss, the last, or a mean"""
    sampling: SamplingConfig = field(default_factory=lambda: SamplingConfig(0.8))
    """how the sample is drawn that a finished run writes"""
    sample_tokens: int = 500
    """its length"""

    def __post_init__(self):
        """Refuses what cannot be trained."""
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed is {self.seed}; a number from 0 to 2**32 - 1 would fit")
        if self.sample_tokens < 1:
            raise ValueError(f"sample_tokens is {self.sample_tokens}; it must be at least 1")

    def work(self, folder: Path | None = None) -> Work:
        """The text as rows of tokens; see `tasks.work`."""
        passages = read_passages(self.data)
        kept = folder is not None and (folder / FILES[self.data.tokens]).exists()
        codec = load_codec(self.data, folder) if folder and kept else codec_of(self.data, passages)
        sides = [_encoded(codec, side) for side in passages]
        length, rows = self.model.context, self.data.rows
        if self.data.packed:
            train, held_out = (packed(side, length) for side in sides)
            plan = RowsPlan(train, size=min(rows, len(train.tokens)), seed=self.seed)
        else:
            text = sides[0][0]
            make = drawn_windows(text, length, rows)
            epoch = max(1, len(text) // (length * rows))
            plan = DrawnPlan(make, seed=self.seed, length=epoch)
            held_out = windows_in_order(sides[1][0], length)
        model = replace(self.model, vocabulary=codec.size)
        validation = in_order(held_out, rows)
        characters = sum(map(len, passages.validation))
        counts = [sum(map(len, side)) for side in sides]

        def score(model: DecoderOnly, folder: Path) -> dict[str, Any]:
            figures = held_out_figures(model, self.objective, validation, characters)
            text = self.sample(model, codec)
            (folder / "sample.txt").write_text(f"{text}\n", "utf-8")
            return figures

        return Work(
            make_model=lambda rngs: DecoderOnly(model, rngs=rngs),
            objective=self.objective,
            plan=plan,
            validation=validation,
            digest=_digest(sides),
            score=score,
            files={FILES[self.data.tokens]: codec.to_bytes()},
            notes=[
                f"{counts[0]:,} {self.data.tokens} to learn from, {counts[1]:,} held out, "
                f"{codec.size:,} different"
            ],
            real=lambda batch: {"decoder": (batch.weights != 0,) * 2},
        )

    @property
    def objective(self) -> Objective:
        """What a batch costs: rows of documents, or windows of a text."""
        return packed_loss if self.data.packed else window_loss

    def sample(self, model: DecoderOnly, codec: Codec) -> str:
        """A text of the model's own: a new document, or what stands after the end of a line."""
        return continued(
            model,
            codec,
            [beginning(self.data, codec)],
            self.sample_tokens,
            seed=self.seed,
            config=self.sampling,
        )[0]


def read_model(folder: str | Path) -> tuple[LanguageTask, Codec, DecoderOnly]:
    """What a run has learned, without its text.

    Raises:
      ValueError: the folder holds no run of this task, or nothing is trained yet.
    """
    from attention_jax.tasks.run import read_task

    folder, task = Path(folder), read_task(folder)
    if not isinstance(task, LanguageTask):
        raise ValueError(f"{folder} is a run of {task.kind}; one of language would fit")
    if not (folder / FILES[task.data.tokens]).exists():
        raise ValueError(f"{folder} has no {FILES[task.data.tokens]}: its training has not begun")
    codec = load_codec(task.data, folder)
    config = replace(task.model, vocabulary=codec.size)
    graph, structs = split(nnx.eval_shape(lambda: DecoderOnly(config, rngs=nnx.Rngs(0))))
    params = jax.device_put(read_params(folder, structs, task.which))
    return task, codec, nnx.merge(graph, params)


def beginning(data: PassagesConfig, codec: Codec) -> str:
    """What a text of the model's own is written after: nothing, where documents begin anew."""
    if data.packed:
        return ""
    if isinstance(codec, Characters) and "\n" not in codec.characters:
        return codec.characters[0]
    return "\n"


def _encoded(codec: Codec, texts: Sequence[str]) -> list[np.ndarray]:
    if isinstance(codec, Characters):
        return [codec.encode_array(text) for text in texts]
    return [np.asarray(ids, np.int32) for ids in codec.encode_all(texts)]


def _digest(sides: Sequence[Sequence[np.ndarray]]) -> str:
    found = hashlib.sha256()
    for side in sides:
        found.update(np.array([len(side), *map(len, side)], "<i8").tobytes())
        for ids in side:
            found.update(ids.astype("<i4").tobytes())
    return found.hexdigest()
