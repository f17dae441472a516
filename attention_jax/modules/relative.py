"""Multi-head attention of a sequence to itself that knows how far apart its rows stand."""

from functools import partial
from typing import Any, Literal, get_args

import jax
from flax import nnx
from jaxtyping import Array, Float, Int

from attention_jax.functional import attend, explain, scaled_dot
from attention_jax.functional.biases import ALiBi, Bias, T5Buckets, alibi_slopes
from attention_jax.functional.masks import Mask
from attention_jax.functional.relative import relative, weigh_relative
from attention_jax.functional.rotary import rotary
from attention_jax.functional.scores import Score
from attention_jax.modules.attention import Attend, Change, MultiHeadAttention

Distances = Literal["none", "relative", "t5", "rotary", "alibi"]
"""How attention is told how far away a source stands."""

Begin = int | Int[Array, ""]
"""Where the first row stands: 0, or, of a step of decoding, the cache's position."""


class RelativeAttention(MultiHeadAttention):
    """Self-attention that is told distances, and no positions.

    - "relative": learned rows for the distances -r to r, added to keys and to values, the same for
      all heads (Shaw et al. 2018, equations 3 and 4).
    - "t5": a learned number for each head and bucket of distances (Raffel et al. 2020, section
      2.1), 2r buckets up to distance 8r: with r = 16 the 32 and 128 of the paper. There all layers
      share a table; here each has its own.
    - "rotary": queries and keys turned by their positions (Su et al. 2021).
    - "alibi": a fixed slope for each head (Press et al. 2022), in both directions alike where the
      mask lets both be seen.
    - "none": nothing; `MultiHeadAttention` with the same parameters and the same bits.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        distances: Distances = "none",
        reach: int = 16,
        causal: bool = False,
        rngs: nnx.Rngs,
        **sizes: Any,
    ):
        """Makes the four projections, and after them what is learned of distances.

        Args:
          width: D, features of a row.
          heads: H.
          distances: how they are told.
          reach: r, the farthest distance that "relative" tells from farther ones.
          causal: no row ever sees one behind it: then all of T5's buckets are of what lies before.
          rngs: where parameters come from.
          **sizes: as of `MultiHeadAttention`.

        Raises:
          ValueError: there is no such way, or a size is impossible.
        """
        super().__init__(width, heads, rngs=rngs, **sizes)
        if distances not in (fits := get_args(Distances)):
            raise ValueError(f"distances is {distances!r}; one of {fits} fits")
        if reach < 2:
            raise ValueError(f"reach is {reach}; it must be at least 2")
        if distances == "rotary" and self.head_size % 2:
            raise ValueError(
                f"head_size is {self.head_size}; rotary positions turn pairs, so that an even "
                "number would fit"
            )
        self.distances, self.reach, self.causal = distances, reach, causal
        if distances == "relative" and heads:
            shape = 2 * reach + 1, self.head_size
            glorot = nnx.initializers.glorot_uniform()
            self.key_rows, self.value_rows = (
                nnx.Param(glorot(rngs.params(), shape), letters="L K") for _ in range(2)
            )
        if distances == "t5" and heads:
            table = jax.random.normal(rngs.params(), (2 * reach, heads)) * width**-0.5
            self.buckets = nnx.Param(table, letters="L H")

    def queries(self, x: Float[Array, "B T D"], begin: Begin = 0) -> Float[Array, "B T H K"]:
        """What each row looks for, head by head; the first row stands at `begin`."""
        return self._turned(super().queries(x), begin)

    def sources(
        self, x: Float[Array, "B S D"], begin: Begin = 0
    ) -> tuple[Float[Array, "B S G K"], Float[Array, "B S G K"]]:
        """What each row can be found by, and what it then gives; the first stands at `begin`."""
        key, value = super().sources(x)
        return self._turned(key, begin), value

    def read(
        self,
        query: Float[Array, "B T H K"],
        key: Float[Array, "B S G K"],
        value: Float[Array, "B S G K"],
        mask: Mask | None,
        *,
        score: Score = scaled_dot,
        change: Change | None = None,
        attend: Attend = attend,
        begin: Begin = 0,
    ) -> Float[Array, "B T D"]:
        """As `MultiHeadAttention.read`; query 0 stands at source `begin`.

        Raises:
          ValueError: distances are "relative", which is a score itself, and another is asked for.
        """
        told = self._told(score, begin)

        def placed(query, key, value, *, score: Score, mask: Mask | None) -> Array:
            outputs = attend(query, key, value, mask=mask, **told)
            if self.distances != "relative":
                return outputs
            weights = explain(query, key, mask=mask, **told)
            rows = weigh_relative(weights, self.value_rows[...], offset=begin)
            return outputs + rows.astype(outputs.dtype)

        return super().read(query, key, value, mask, score=score, change=change, attend=placed)

    def explain(
        self,
        x: Float[Array, "B T D"],
        source: Float[Array, "B S D"],
        *,
        mask: Mask | None = None,
        score: Score = scaled_dot,
    ) -> Float[Array, "B H T S"]:
        """The weights with which `__call__` reads."""
        if not self.heads:
            return super().explain(x, source, mask=mask, score=score)
        key, _ = self.sources(source)
        return explain(self.queries(x), key, mask=mask, **self._told(score, 0))

    def _turned(self, rows: Float[Array, "B T H K"], begin: Begin) -> Float[Array, "B T H K"]:
        if self.distances != "rotary" or not self.heads:
            return rows
        return rotary(rows, begin + jax.numpy.arange(rows.shape[1]))

    def _told(self, score: Score, begin: Begin) -> dict[str, Any]:
        """The score and the bias, where there is one, of queries from `begin` on."""
        bias: Bias | None = None
        if self.distances == "relative" and self.heads:
            if score is not scaled_dot:
                raise ValueError(
                    f"score is {getattr(score, '__name__', score)}, but positions are 'relative', "
                    "which is a score of its own: scaled_dot, or other positions, would fit"
                )
            return {"score": partial(relative, table=self.key_rows[...], offset=begin)}
        if self.distances == "alibi":
            bias = ALiBi(alibi_slopes(self.heads), begin) if self.heads else None
        elif self.distances == "t5" and self.heads:
            bias = T5Buckets(self.buckets[...], not self.causal, 8 * self.reach, begin)
        return {"score": score} if bias is None else {"score": score, "bias": bias}
