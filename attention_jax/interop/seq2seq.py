"""Pretrained models with an encoder and a decoder, and what they write for texts."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import jax
import numpy as np
from flax import nnx
from jaxtyping import Float, Int

from attention_jax.interop.continuing import continuation, padded
from attention_jax.interop.marks import Marks
from attention_jax.interop.pieces import encoded, needed, shown
from attention_jax.models.encoder_decoder import EncoderDecoder
from attention_jax.models.places import Place

if TYPE_CHECKING:
    import tokenizers

STRIDE = 16
"""tokens; texts are computed at multiples of it"""


class Looked(NamedTuple):
    """Who looked where while a text was read and another written for it.

    Attributes:
      source: the tokens that were read.
      target: those that went into the decoder, the mark of the beginning first.
      chosen: what was written after each of them.
      text: all of that, decoded.
      weights: of every attention, [H, T, S].
    """

    source: list[str]
    target: list[str]
    chosen: list[str]
    text: str
    weights: dict[Place, Float[np.ndarray, "H T S"]]


@dataclass(frozen=True)
class PretrainedSeq2Seq:
    """A pretrained model that writes a text for a text, and its tokenizer.

    Attributes:
      name: of the folder.
      model: of source and target tokens; see `EncoderDecoder`.
      tokenizer: of the library `tokenizers`; it neither pads nor cuts. None where it was not read.
      marks: what a decoder begins with, and what ends a text.
    """

    name: str
    model: EncoderDecoder
    tokenizer: "tokenizers.Tokenizer | None" = None
    marks: Marks = field(default_factory=Marks)

    def encode(self, texts: Sequence[str]) -> Int[np.ndarray, "B S"]:
        """The tokens of texts, with the marks that the tokenizer puts behind them.

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
        """The likeliest tokens for each row, one after the other; see `continuation`."""
        return continuation(self.model, tokens, length, self.marks)

    def write(self, texts: Sequence[str], length: int) -> list[str]:
        """What the model writes for texts: at every place the likeliest token.

        Args:
          texts: at least one.
          length: the most tokens that are written for each.

        Raises:
          ValueError: as `encode`, or nothing says what the decoder begins with.
        """
        rows = encoded(self.tokenizer, texts, self._padding)
        found = self.written(padded(rows, self._padding, STRIDE), length)
        kept = [[int(one) for one in row if one != self._padding] for row in found]
        return needed(self.tokenizer).decode_batch(kept)

    def explain(self, text: str, target: str | None = None, length: int = 64) -> Looked:
        """Who looks where while a text is read and another written.

        Args:
          text: to read.
          target: a text to be written; None for what the model writes.
          length: the most tokens that it writes.

        Raises:
          ValueError: as `write`.
        """
        source = self.encode([text])
        if target is None:
            found = self.written(source, length)[0]
            ids = [int(one) for one in found if one != self._padding]
        else:
            ids = encoded(self.tokenizer, [target], self._padding)[0]
        if self.marks.start is None:
            raise ValueError("decoder_start_token_id is missing; a token would fit")
        into = [self.marks.start, *ids[:-1]]
        graph, params = nnx.split(self.model, nnx.Param)
        weights = jax.device_get(_looked(graph, params, source, np.array([into], np.int32)))
        weights = {place: one[0] for place, one in weights.items()}
        text = needed(self.tokenizer).decode(ids)
        read = self.tokens(source[0].tolist())
        return Looked(read, self.tokens(into), self.tokens(ids), text, weights)

    @property
    def _padding(self) -> int:
        return self.model.config.padding


@partial(jax.jit, static_argnums=0)
def _looked(graph, params, source, target):
    return nnx.merge(graph, params)(source, target, explain=True)[1]
