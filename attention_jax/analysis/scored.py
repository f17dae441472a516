"""A Transformer whose attention to the source compares as asked, in as many features as asked.

Everything else stays the same, so that what a score does, and what its width does, can be told
from all else. Every matrix starts with variance 1 / rows: features of unit variance then give such
features at every width, which is what Vaswani et al. suppose where they scale by 1 / √K.

Sources: Luong et al. 2015, section 3.1; Vaswani et al. 2017, section 3.2.1, footnote 4; Britz et
al. 2017, section 4.5 (the width of the score, queries and keys projected to it).
"""

from functools import partial
from typing import Any, Literal, get_args

import jax
from flax import nnx
from jaxtyping import Array, Float

from attention_jax.functional import explain, scaled_dot, softmax
from attention_jax.functional.learned_scores import additive, bilinear, concat, location
from attention_jax.functional.masks import Mask
from attention_jax.functional.normalize import hide
from attention_jax.functional.scores import Score, dot
from attention_jax.models.transformer import Transformer, TransformerConfig
from attention_jax.modules import MultiHeadAttention

ScoreName = Literal["additive", "dot", "scaled_dot", "general", "concat", "location"]

SCORES: tuple[ScoreName, ...] = get_args(ScoreName)


class ScoredAttention(MultiHeadAttention):
    """One head that compares queries and keys of `size` features; values keep the full width.

    The output does not depend on the `score` that calls name: it has its own.
    """

    def __init__(self, width: int, name: ScoreName, size: int, *, longest: int, rngs: nnx.Rngs):
        """Makes the projections and what the score learns.

        Args:
          width: D, features of a row.
          name: of the score.
          size: K, features that queries and keys are compared in.
          longest: L, the longest source that "location" knows places of.
          rngs: where the parameters come from.

        Raises:
          ValueError: there is no such score, or a size is below 1.
        """
        if name not in SCORES:
            raise ValueError(f"score is {name!r}; one of {', '.join(SCORES)} would fit")
        if size < 1 or longest < 1:
            raise ValueError(f"size is {size} and longest {longest}; at least 1 would fit both")
        super().__init__(width, 1, rngs=rngs)
        self.name, self.head_size, self.shows_logits = name, size, False
        even = partial(_even, rngs)
        self.query.kernel, self.key.kernel = (even("D K", width, size) for _ in range(2))
        match name:
            case "general":
                self.weight = even("K K", size, size)
            case "concat":
                self.weight, self.v = even("K F", 2 * size, size), even("F", size)
            case "additive":
                self.v = even("K", size)
            case "location":
                self.weight = even("S K", longest, size, inputs=size)

    def score(self) -> Score:
        """`(query, key) -> logits`, its parameters joined to it."""
        match self.name:
            case "additive":
                return partial(additive, v=self.v[...])
            case "general":
                return partial(bilinear, weight=self.weight[...])
            case "concat":
                return partial(concat, weight=self.weight[...], v=self.v[...])
            case "location":
                return partial(location, weight=self.weight[...])
        return dot if self.name == "dot" else scaled_dot

    def read(
        self,
        query: Float[Array, "B T 1 K"],
        key: Float[Array, "B S 1 K"],
        value: Float[Array, "B S 1 D"],
        mask: Mask | None,
        *,
        score: Score | None = None,
        **how: Any,
    ) -> Float[Array, "B T D"]:
        """As `MultiHeadAttention.read`, by its own score."""
        return super().read(query, key, value, mask, score=self.score(), **how)

    def explain(
        self,
        x: Float[Array, "B T D"],
        source: Float[Array, "B S D"],
        *,
        mask: Mask | None = None,
        score: Score | None = None,
    ) -> Float[Array, "B 1 T S"]:
        """The weights; with `shows_logits` the logits instead, -inf where nothing may be seen."""
        normalize = hide if self.shows_logits else softmax
        query, (key, _) = self.queries(x), self.sources(source)
        return explain(query, key, score=self.score(), normalize=normalize, mask=mask)


def scored(
    config: TransformerConfig, name: ScoreName, size: int, *, longest: int, rngs: nnx.Rngs
) -> Transformer:
    """A Transformer with `ScoredAttention` from the decoder to the source, in every layer.

    Args:
      config: of all the rest.
      name: of the score.
      size: K, features that queries and keys are compared in.
      longest: L, the longest source.
      rngs: where all parameters come from.

    Raises:
      ValueError: there is no such score, or a size is below 1.
    """
    model = Transformer(config, rngs=rngs)
    for layer in model.decoder:
        layer.cross = ScoredAttention(config.width, name, size, longest=longest, rngs=rngs)
    return model


def _even(rngs: nnx.Rngs, letters: str, *shape: int, inputs: int | None = None) -> nnx.Param:
    """Numbers of mean 0 and variance 1 / inputs, the first axis where None."""
    deviation = (inputs or shape[0]) ** -0.5
    return nnx.Param(jax.random.normal(rngs.params(), shape) * deviation, letters=letters)
