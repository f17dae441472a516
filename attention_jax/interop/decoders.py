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
from attention_jax.interop.pieces import check_text, encode, needed, shown
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
        if isinstance(texts, str) or not texts:
            raise ValueError("found one string, or no text; a list of strings would fit")
        for text in texts:
            check_text(text)
        found = encode(needed(self.tokenizer), list(texts))
        for text, one in zip(texts, found, strict=True):
            if not one.ids:
                raise ValueError(f"{text!r:.60} has no token; a text would fit")
            if self.model.config.padding in one.ids:
                place = one.tokens[one.ids.index(self.model.config.padding)]
                raise ValueError(f"a text has {place!r} in it, which is never seen: it is padding")
        return padded([one.ids for one in found], self.model.config.padding)

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
        tokens = self.encode(texts)
        # Texts of about one length share a program.
        wide = padded([list(row) for row in tokens], self.model.config.padding, STRIDE)
        config = self.model.config
        if config.positions == "learned" and wide.shape[1] - 1 + length > config.context:
            wide = tokens
        rows = self.written(wide, length)
        kept = [[int(one) for one in row if one != config.padding] for row in rows]
        return needed(self.tokenizer).decode_batch(kept)

    def explain(self, text: str) -> tuple[list[str], Float[np.ndarray, "L H S S"]]:
        """The tokens of a text, and who looks where.

        Raises:
          ValueError: as `encode`.
        """
        tokens = self.encode([text])
        weights = jax.device_get(_looked(*nnx.split(self.model, nnx.Param), tokens))
        return self.tokens(tokens[0].tolist()), weights[:, 0]


@partial(jax.jit, static_argnums=0)
def _looked(graph, params, tokens):
    return nnx.merge(graph, params)(tokens[:, :0], tokens, explain=True)[1]
