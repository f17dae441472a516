"""BERT fine-tuned to sort sentences: one logit for each class, from the whole text.

Source: Devlin et al. 2019, "BERT", section 4.1 (the first token's row through a dense layer and
tanh, then a map to the classes); Reimers and Gurevych 2019, "Sentence-BERT", section 3 (the mean of
all rows instead).
"""

from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from attention_jax.functional.layers import dropout
from attention_jax.models.encoder_only import EncoderOnly, EncoderOnlyConfig
from attention_jax.modules import Dense

__all__ = ["Pooling", "Sentences", "pooled"]

Pooling = Literal["first", "mean"]
"""what stands for a text: its first token's row, or the mean over its tokens"""


class Sentences(nnx.Module):
    """An encoder, and a logit for each class of texts."""

    def __init__(
        self, config: EncoderOnlyConfig, classes: int, pooling: Pooling = "first", *, rngs: nnx.Rngs
    ):
        """Makes all parameters from `rngs.params`.

        Raises:
          ValueError: there are less than two classes, or no such pooling.
        """
        if classes < 2:
            raise ValueError(f"classes is {classes}; at least 2 would fit")
        if pooling not in ("first", "mean"):
            raise ValueError(f"pooling is {pooling!r}; first or mean would fit")
        self.config, self.pooling = config, pooling
        self.encoder = EncoderOnly(config, rngs=rngs)
        self.dense = Dense(config.width, config.width, letters="D P", rngs=rngs)
        self.classes = Dense(config.width, classes, letters="P V", rngs=rngs)

    def __call__(
        self,
        tokens: Int[Array, "B S"],
        types: Int[Array, "B S"] | None = None,
        *,
        rng: Array | None = None,
        explain=False,
        **call,
    ):
        """Which class each text is of.

        Args:
          tokens: padding at the end.
          types: as of the encoder.
          rng: a `jax.random` key switches dropout on.
          explain: as of the encoder.
          **call: the encoder's other options.

        Returns:
          Logits [B, V], V the classes; with `explain` the pair (logits, what the encoder gives
          besides).
        """
        rng, own = (None, None) if rng is None else jax.random.split(rng)
        found: Any = self.encoder(tokens, types, rng=rng, explain=explain, **call)
        hidden, seen = found if explain else (found, None)
        real = tokens != self.config.padding
        row = hidden[:, 0] if self.pooling == "first" else pooled(hidden, real)
        row = dropout(jnp.tanh(self.dense(row)), self.config.dropout, own)
        logits = self.classes(row)
        return (logits, seen) if explain else logits


def pooled(hidden: Float[Array, "B S D"], real: Bool[Array, "B S"]) -> Float[Array, "B D"]:
    """The mean of the rows that are real; zeros where none is."""
    sums = jnp.where(real[..., None], hidden, 0).sum(1)
    return sums / jnp.maximum(real.sum(1), 1).astype(hidden.dtype)[:, None]
