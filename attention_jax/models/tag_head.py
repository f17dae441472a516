"""BERT fine-tuned to tag tokens: one logit for each tag, at each token.

Source: Devlin et al. 2019, "BERT", section 5.3 (named entities: the row of a word's first piece
goes into a map to the tags; no tag knows of its neighbours').
"""

from typing import Any

import jax
from flax import nnx
from jaxtyping import Array, Int

from attention_jax.functional.layers import dropout
from attention_jax.models.encoder_only import EncoderOnly, EncoderOnlyConfig
from attention_jax.modules import Dense

__all__ = ["Tags"]


class Tags(nnx.Module):
    """An encoder, and a logit for each tag of each token."""

    def __init__(self, config: EncoderOnlyConfig, tags: int, *, rngs: nnx.Rngs):
        """Makes all parameters from `rngs.params`.

        Raises:
          ValueError: there are less than two tags.
        """
        if tags < 2:
            raise ValueError(f"tags is {tags}; at least 2 would fit")
        self.config = config
        self.encoder = EncoderOnly(config, rngs=rngs)
        self.tags = Dense(config.width, tags, letters="D V", rngs=rngs)

    def __call__(
        self,
        tokens: Int[Array, "B S"],
        types: Int[Array, "B S"] | None = None,
        *,
        rng: Array | None = None,
        explain=False,
        **call,
    ):
        """Which tag each token has.

        Args:
          tokens: padding at the end.
          types: as of the encoder.
          rng: a `jax.random` key switches dropout on.
          explain: as of the encoder.
          **call: the encoder's other options.

        Returns:
          Logits [B, S, V], V the tags, those of padding without meaning; with `explain` the pair
          (logits, what the encoder gives besides).
        """
        rng, own = (None, None) if rng is None else jax.random.split(rng)
        found: Any = self.encoder(tokens, types, rng=rng, explain=explain, **call)
        hidden, seen = found if explain else (found, None)
        logits = self.tags(dropout(hidden, self.config.dropout, own))
        return (logits, seen) if explain else logits
