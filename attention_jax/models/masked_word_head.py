"""BERT in pre-training: which words stood where the text is masked.

Source: Devlin et al. 2019, "BERT", section 3.1, task 1; the head is that of the code published with
it: a dense layer, GELU and layer normalisation in front of the embedding's own table, and a bias.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from attention_jax.functional.layers import dense
from attention_jax.models.encoder_only import EncoderOnly, EncoderOnlyConfig
from attention_jax.modules import Dense, LayerNorm

__all__ = ["MaskedWordHead", "MaskedWords"]


class MaskedWords(nnx.Module):
    """An encoder, and a logit for each token at the places asked for."""

    def __init__(self, config: EncoderOnlyConfig, *, rngs: nnx.Rngs):
        """Makes all parameters from `rngs.params`."""
        self.config = config
        self.encoder = EncoderOnly(config, rngs=rngs)
        self.head = MaskedWordHead(config, rngs=rngs)

    def __call__(
        self,
        tokens: Int[Array, "B S"],
        types: Int[Array, "B S"] | None,
        places: Int[Array, "B M"],
        *,
        explain=False,
        **call,
    ):
        """What stood at some places of a text.

        Args:
          tokens: with masks, and padding at the end.
          types: as of the encoder.
          places: the positions to tell; no logits are computed elsewhere, which is most of the
            cost that a large vocabulary has.
          explain: as of the encoder.
          **call: the encoder's other options.

        Returns:
          Logits [B, M, V]; with `explain` the pair (logits, what the encoder gives besides).

        Raises:
          ValueError: as the encoder, or `places` are of other rows.
        """
        if places.ndim != 2 or places.shape[0] != tokens.shape[0]:
            raise ValueError(
                f"places have shape {list(places.shape)}; [{tokens.shape[0]}, M] would fit tokens "
                f"of shape {list(tokens.shape)}"
            )
        found: Any = self.encoder(tokens, types, explain=explain, **call)
        hidden, seen = found if explain else (found, None)
        rows = jnp.take_along_axis(hidden, places[..., None], 1)
        logits = self.head(rows, self.encoder.embedding.table[...])
        return (logits, seen) if explain else logits


class MaskedWordHead(nnx.Module):
    """From a row of features to a logit for each token, over the embedding's own table."""

    def __init__(self, config: EncoderOnlyConfig, *, rngs: nnx.Rngs):
        self.dense = Dense(config.width, config.width, letters="D P", rngs=rngs)
        self.norm = LayerNorm(config.width, epsilon=config.epsilon)
        self.bias = nnx.Param(jnp.zeros(config.vocabulary), letters="V")

    def __call__(
        self, rows: Float[Array, "B M D"], table: Float[Array, "V D"]
    ) -> Float[Array, "B M V"]:
        """norm(gelu(x·W + b))·Eᵀ + c."""
        rows = self.norm(jax.nn.gelu(self.dense(rows), approximate=False))
        return dense(rows, table.T, self.bias[...])
