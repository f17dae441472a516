"""Pretrained encoders of the BERT family, and the texts that they read."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import jax
import numpy as np
from flax import nnx
from jaxtyping import Float, Int

from attention_jax.interop.pieces import check_text, encode, needed, shown
from attention_jax.models.encoder_only import EncoderOnly

if TYPE_CHECKING:
    import tokenizers

STRIDE = 16
"""tokens; texts are computed at multiples of it"""


class Encoded(NamedTuple):
    """Texts as a model reads them: `model(*encoded)`."""

    tokens: Int[np.ndarray, "B S"]
    types: Int[np.ndarray, "B S"] | None


@dataclass(frozen=True)
class Pretrained:
    """A pretrained encoder and its tokenizer.

    Attributes:
      name: of the folder.
      model: the encoder; called with `encode`'s tokens and types.
      tokenizer: of the library `tokenizers`; it neither pads nor cuts. None where it was not read.
    """

    name: str
    model: EncoderOnly
    tokenizer: "tokenizers.Tokenizer | None"

    def encode(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> Encoded:
        """The tokens of texts, marks included, and of which sentence each is.

        Args:
          texts: at least one.
          pairs: a second sentence for each.

        Returns:
          Tokens, padded at the end to the longest; types, or None where the model tells none apart.

        Raises:
          ValueError: there is no text, one is no valid Unicode, has a token of padding in it, or
            has more tokens than the model has positions.
        """
        if isinstance(texts, str) or isinstance(pairs, str):
            raise ValueError("found one string; a list of strings would fit")
        if not texts or (pairs is not None and len(pairs) != len(texts)):
            second = "" if pairs is None else f" and {len(pairs)} to pair with them"
            raise ValueError(
                f"found {len(texts)} texts{second}; at least one, and as many, would fit"
            )
        for text in (*texts, *(pairs or ())):
            check_text(text)
        config = self.model.config
        both = list(texts if pairs is None else zip(texts, pairs, strict=True))
        found = encode(needed(self.tokenizer), both)
        longest = max(len(one.ids) for one in found)
        if longest > config.context:
            raise ValueError(
                f"a text has {longest:,} tokens; at most {config.context:,} would fit, as the "
                "model has no more positions"
            )
        tokens = np.full((len(found), longest), config.padding, np.int32)
        types = np.zeros_like(tokens)
        for row, one in enumerate(found):
            if config.padding in one.ids:
                place = one.tokens[one.ids.index(config.padding)]
                raise ValueError(f"a text has {place!r} in it, which is never seen: it is padding")
            tokens[row, : len(one.ids)] = one.ids
            if config.types > 1:  # a model of one type is given that one, whatever is said here
                if (kind := max(one.type_ids, default=0)) >= config.types:
                    raise ValueError(
                        f"the tokenizer gives type {kind}; below {config.types} would fit"
                    )
                types[row, : len(one.ids)] = one.type_ids
        return Encoded(tokens, types if config.types else None)

    def tokens(self, ids: Sequence[int]) -> list[str]:
        """Each token for a reader: "the", "·ing" where it carries on a word, "[CLS]".

        Raises:
          ValueError: a number is no token's.
        """
        return shown(needed(self.tokenizer), ids)

    def hidden(
        self, texts: Sequence[str], pairs: Sequence[str] | None = None
    ) -> tuple[Float[np.ndarray, "B S D"], Encoded]:
        """The features of every token after the last layer, and what was read.

        Raises:
          ValueError: as `encode`.
        """
        encoded = self.encode(texts, pairs)
        return self._read(encoded, explain=False)[:, : encoded.tokens.shape[1]], encoded

    def explain(
        self, text: str, pair: str | None = None
    ) -> tuple[list[str], Float[np.ndarray, "L H S S"]]:
        """The tokens of a text, or of two that are read as one, and who looks where.

        Raises:
          ValueError: as `encode`.
        """
        encoded = self.encode([text], None if pair is None else [pair])
        names = self.tokens(encoded.tokens[0].tolist())
        weights = self._read(encoded, explain=True)[1]
        return names, weights[:, 0, :, : len(names), : len(names)]

    def vectors(self, texts: Sequence[str]) -> Float[np.ndarray, "B D"]:
        """A vector of length 1 for each text: the mean of its tokens' features, marks included.

        The dot product of two is the cosine between them.

        Raises:
          ValueError: as `encode`.

        Source: Reimers and Gurevych 2019, "Sentence-BERT", section 3.
        """
        hidden, encoded = self.hidden(texts)
        real = (encoded.tokens != self._padding)[..., None]
        sums = np.where(real, hidden, 0).sum(1)
        return sums / np.linalg.norm(sums, axis=-1, keepdims=True)

    def _read(self, encoded: Encoded, explain: bool):
        """What the model gives, with more padding: texts of about one length share a program."""
        length = encoded.tokens.shape[1]
        more = min(-(-length // STRIDE) * STRIDE, self.model.config.context) - length
        tokens = np.pad(encoded.tokens, ((0, 0), (0, more)), constant_values=self._padding)
        types = None if encoded.types is None else np.pad(encoded.types, ((0, 0), (0, more)))
        return jax.device_get(_compiled(*nnx.split(self.model), Encoded(tokens, types), explain))

    @property
    def _padding(self) -> int:
        return self.model.config.padding


@partial(jax.jit, static_argnums=(0, 3))
def _compiled(graph, params, encoded: Encoded, explain: bool):
    return nnx.merge(graph, params)(*encoded, explain=explain)
