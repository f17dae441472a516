"""Beginning where a masked-word run ended: its tokens and its encoder, under a new head.

Source: Devlin et al. 2019, "BERT", figure 1 (pre-training, then fine-tuning of all parameters).
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
from flax import nnx

from attention_jax.data.tokens import Tokenizer
from attention_jax.models.encoder_only_config import EncoderOnlyConfig
from attention_jax.models.masked_word_head import MaskedWords
from attention_jax.training.chosen import read_params
from attention_jax.training.step import State, split

FREE = ("dropout", "vocabulary")
"""fields of an encoder that may be others than those of the run that it begins from"""


def tokenizer_of(folder: Path | None, begin: Path | None) -> Tokenizer | None:
    """The tokenizer that a run has kept, or that of the run that it begins from, or none yet.

    Raises:
      ValueError: there is no run to begin from.
    """
    for place in (folder, begin):
        if place is not None and (kept := place / "tokenizer.json").exists():
            return Tokenizer.load(kept)
    if begin is not None:
        raise ValueError(f"begin is {str(begin)!r}, which is no run of masked words")
    return None


def beginning(begin: Path, config: EncoderOnlyConfig) -> Callable[[State], State]:
    """From a fresh state to one whose encoder is that of a trained run, read once it is needed.

    Args:
      begin: the folder of a run of masked words.
      config: of the encoder that begins, its vocabulary set.

    Raises:
      ValueError: the folder holds no such run, or its encoder is of other sizes; said once the
        function is called.
    """

    def begun(state: State) -> State:
        from attention_jax.tasks.run import read_task

        task = read_task(begin)
        if task.kind != "masked_words":
            raise ValueError(f"begin is a run of {task.kind}; one of masked_words would fit")
        for name in EncoderOnlyConfig.__dataclass_fields__:
            mine, other = getattr(config, name), getattr(task.model, name)
            if mine != other and name not in FREE:
                raise ValueError(
                    f"model.{name} is {mine}, and {other} in the run that begin names; {other} "
                    "would fit"
                )
        there = replace(task.model, vocabulary=config.vocabulary)
        shapes = nnx.eval_shape(lambda: MaskedWords(there, rngs=nnx.Rngs(0)))
        params = read_params(begin, split(shapes)[1], task.which)
        encoder = jax.tree.map(np.asarray, params["encoder"])
        return state._replace(params={**state.params, "encoder": encoder})

    return begun
