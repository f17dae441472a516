"""A Transformer that reads a question, looks at a picture with every word, and answers.

The words attend to each other, then to the cells of the picture, layer after layer; the answer is
read from the mark before the question.

Source: Yang, He, Gao, Deng and Smola, *Stacked Attention Networks for Image Question Answering*,
2016 (a question looks several times); the layers are those of Vaswani et al. 2017, section 3.1, as
Tan and Bansal 2019, "LXMERT", section 2.2, let words look at pictures.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int, UInt8

from attention_jax.functional import attend, scaled_dot
from attention_jax.functional.layers import dropout
from attention_jax.functional.masks import Lengths, Mask
from attention_jax.functional.scores import Score
from attention_jax.models.captioning_layers import Cells
from attention_jax.models.places import Place
from attention_jax.models.transformer_layers import Arrange, Pass, as_it_is
from attention_jax.models.visual_question_config import VisualQuestionConfig
from attention_jax.modules import (
    Dense,
    Embedding,
    FeedForward,
    LayerNorm,
    MultiHeadAttention,
    Residual,
)
from attention_jax.modules.attention import Attend

__all__ = ["VisualQuestion", "VisualQuestionConfig"]


class VisualQuestion(nnx.Module):
    """From pictures, and questions about each, to logits for each answer.

    A picture is looked at once for all its questions, which know nothing of each other. Padding (0)
    is never seen, and may stand only at the end of a question.
    """

    def __init__(self, config: VisualQuestionConfig, *, rngs: nnx.Rngs):
        """Makes all parameters from `rngs.params`."""
        self.config = config
        width = config.width
        self.cells = Cells(config.cells, rngs=rngs)
        self.into = Dense(config.cells.channels, width, rngs=rngs)
        self.seen_norm = LayerNorm(width)
        self.embedding = Embedding(config.vocabulary, width, rngs=rngs)
        places = jax.random.normal(rngs.params(), (config.length, width))
        self.positions = nnx.Param(places, letters="L D")
        self.layers = nnx.List([LookingLayer(config, n, rngs) for n in range(config.layers)])
        self.norm = LayerNorm(width)
        self.projection = Dense(width, config.answers, letters="D V", rngs=rngs)

    def __call__(
        self,
        pictures: UInt8[Array, "B rows columns 3"],
        questions: Int[Array, "B Q T"],
        *,
        rng: Array | None = None,
        explain: bool | Callable[[Place, Array], Any] = False,
        heads: Callable[[Place, Array], Array] | None = None,
        score: Score = scaled_dot,
        attend: Attend = attend,
        arrange: Arrange = as_it_is,
    ):
        """Logits for every answer.

        Args:
          pictures: red, green and blue from 0 to 255.
          questions: Q about each picture: a mark, then words, padding (0) at the end.
          rng: a `jax.random` key switches dropout on.
          explain: True also gives all attention weights by `Place`: "encoder" [B·Q, H, T, T] of
            each question to itself, "cross" [B, H, Q·T, S] of all their words to the cells, row by
            row. A function is given every place and its weights, and only what it returns is kept.
            The logits stay the same.
          heads: is given every place and what its heads give there, [B·Q, T, H, K] or
            [B, Q·T, H, K], and returns what goes into the output projection instead: to gate heads,
            to replace them, to look.
          score: of all attentions.
          attend: computes all attentions, called as `functional.attend`.
          arrange: called with activations and their letters; says where they lie on devices.

        Returns:
          Logits [B, Q, V]; with `explain` the pair (logits, what was asked for by `Place`).

        Raises:
          ValueError: pictures of another size, or questions longer than `config.length`.
        """
        if questions.ndim != 3 or questions.shape[-1] > self.config.length:
            raise ValueError(
                f"questions have shape {list(questions.shape)}; [B, Q, T] would fit, with T "
                f"at most {self.config.length}, as there are no more positions"
            )
        look = (lambda _, weights: weights) if explain is True else explain or None
        one = Pass(look, heads, score, attend, arrange)
        count = 1 + 3 * self.config.layers
        streams = [None] * count if rng is None else list(jax.random.split(rng, count))
        seen = arrange(self.seen_norm(self.into(self.cells(pictures))), "B S D")
        rows, together, length = questions.shape
        words = questions.reshape(rows * together, length)
        real = words != 0
        x = self.embedding.embed(words) + self.positions[...][None, :length]
        # Nobody reads padding, but the backward pass multiplies what it holds by zero.
        x = dropout(jnp.where(real[..., None], x, 0), self.config.dropout, streams.pop())
        x, mask = arrange(x, "B T D"), Lengths(real.sum(-1))
        for layer in self.layers:
            x = layer(x, seen, mask, [streams.pop() for _ in range(3)], one)
        logits = self.projection(self.norm(x[:, 0])).reshape(rows, together, -1)
        return logits if look is None else (logits, one.found)


class LookingLayer(nnx.Module):
    """Attention of a question to itself and to a picture, then a feed-forward network.

    Each stands inside a residual, behind a layer normalisation.
    """

    def __init__(self, config: VisualQuestionConfig, layer: int, rngs: nnx.Rngs):
        width, rate = config.width, config.dropout
        self.layer = layer
        self.attention = MultiHeadAttention(width, config.heads, rngs=rngs)
        self.cross = MultiHeadAttention(width, config.heads, rngs=rngs)
        self.feed_forward = FeedForward(width, config.feed_forward, rngs=rngs)
        self.residuals = nnx.List([Residual(width, rate, norm="pre") for _ in range(3)])

    def __call__(self, x, seen, mask: Mask, rngs: list, one: Pass) -> Float[Array, "B T D"]:
        """One layer further."""

        def read_question(rows):
            return one.read(self.attention, Place("encoder", self.layer), rows, rows, mask)

        def read_picture(rows):
            # All words of all questions about a picture, one behind another.
            words = rows.reshape(seen.shape[0], -1, rows.shape[-1])
            found = one.read(self.cross, Place("cross", self.layer), words, seen, None)
            return found.reshape(rows.shape)

        x = self.residuals[0](x, read_question, rngs[0])
        x = self.residuals[1](x, read_picture, rngs[1])
        return one.arrange(self.residuals[2](x, self.feed_forward, rngs[2]), "B T D")
