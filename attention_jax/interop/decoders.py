"""Pretrained language models, and the texts that they go on with."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import jax
import numpy as np
from flax import nnx
from jaxtyping import Float, Int

from attention_jax.interop.continuing import continuation, padded
from attention_jax.interop.marks import Marks
from attention_jax.interop.pieces import encoded, needed, shown
from attention_jax.models.decoder_only import DecoderOnly

if TYPE_CHECKING:
    import tokenizers

STRIDE = 16
"""tokens; texts are computed at multiples of it"""


@dataclass(frozen=True)
class PretrainedDecoder:
    """A pretrained language model and its tokenizer.

    Attributes:
      name: of the folder.
      model: the decoder. `model(tokens[:, :0], tokens)` gives the logits of each next token.
      tokenizer: of the library `tokenizers`; it neither pads nor cuts. None where it was not read.
      marks: what ends a text.
    """

    name: str
    model: DecoderOnly
    tokenizer: "tokenizers.Tokenizer | None" = None
    marks: Marks = field(default_factory=Marks)

    def encode(self, texts: Sequence[str]) -> Int[np.ndarray, "B S"]:
        """The tokens of texts, with the marks that the tokenizer puts in front.

        Args:
          texts: at least one.

        Returns:
          Tokens, padded at the end to the longest.

        Raises:
          ValueError: there is no text, one is empty, is no valid Unicode or has a token of padding
            in it.
        """
        return padded(encoded(self.tokenizer, texts, self._padding), self._padding)

    def tokens(self, ids: Sequence[int]) -> list[str]:
        """Each token for a reader.

        Raises:
          ValueError: a number is no token's.
        """
        return shown(needed(self.tokenizer), ids)

    def written(self, tokens: Int[np.ndarray, "B S"], length: int) -> Int[np.ndarray, "B T"]:
        """The likeliest tokens behind each row, one after the other; see `continuation`."""
        return continuation(self.model, tokens, length, self.marks)

    def write(self, texts: Sequence[str], length: int) -> list[str]:
        """What the model writes behind texts: at every place the likeliest token.

        Args:
          texts: at least one.
          length: the most tokens that are written for each.

        Raises:
          ValueError: as `encode`, or there are not so many positions.
        """
        rows, config = encoded(self.tokenizer, texts, self._padding), self.model.config
        tokens = padded(rows, self._padding, STRIDE)  # texts of about one length share a program
        if config.positions == "learned" and tokens.shape[1] - 1 + length > config.context:
            tokens = padded(rows, self._padding)
        found = self.written(tokens, length)
        kept = [[int(one) for one in row if one != self._padding] for row in found]
        return needed(self.tokenizer).decode_batch(kept)

    def explain(self, text: str) -> tuple[list[str], Float[np.ndarray, "L H S S"]]:
        """The tokens of a text, and who looks where.

        Raises:
          ValueError: as `encode`.
        """
        tokens = self.encode([text])
        weights = jax.device_get(_looked(*nnx.split(self.model, nnx.Param), tokens))
        return self.tokens(tokens[0].tolist()), weights[:, 0]

    @property
    def _padding(self) -> int:
        return self.model.config.padding


@partial(jax.jit, static_argnums=0)
def _looked(graph, params, tokens):
    return nnx.merge(graph, params)(tokens[:, :0], tokens, explain=True)[1]
