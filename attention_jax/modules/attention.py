"""Multi-head attention: the projections around `functional.attend`."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from attention_jax.functional import attend, explain, scaled_dot
from attention_jax.functional.heads import merge_heads, split_heads
from attention_jax.functional.masks import Mask
from attention_jax.functional.scores import Score
from attention_jax.modules.layers import Dense

Change = Callable[[Array], Array]
"""From what the heads give, [B, T, H, K], to what goes into the output projection."""

Attend = Callable[..., Array]
"""What computes an attention: called as `functional.attend`, with `score` and `mask`."""


class MultiHeadAttention(nnx.Module):
    """Several attentions side by side, each on its own projection of the same rows.

    The kernels are kept flat, [D, H·K], so at a fixed width every head count has the same
    parameters, and the same seed gives the same arrays. With fewer key/value heads than heads,
    groups of heads share keys and values (Shazeer 2019; Ainslie et al. 2023).

    Source: Vaswani et al. 2017, section 3.2.2; like there, the projections have no bias, unless
    they are asked to have one.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        key_value_heads: int | None = None,
        head_size: int | None = None,
        bias: bool = False,
        output_bias: bool = False,
        rngs: nnx.Rngs,
    ):
        """Makes the four projections.

        Args:
          width: D, features of a row; the heads share them.
          heads: H; divides `width` where `head_size` is None. With 0 heads, what is left after all
            were removed, there is no kernel at all, and every output is zero, or the bias.
          key_value_heads: G; divides `heads`; None for as many as heads.
          head_size: K, features of a head's queries, keys and values; None for D / H.
          bias: gives the projections to queries, keys and values a bias, from zero.
          output_bias: gives the output projection a bias, from zero.
          rngs: where the kernels come from.

        Raises:
          ValueError: a head count does not divide what it must divide, or a size is impossible.
        """
        groups = heads if key_value_heads is None else key_value_heads
        if head_size is None and (heads < 1 or width % heads):
            raise ValueError(f"heads is {heads}; it must divide the width, {width}")
        if heads < 0 or (head_size is not None and head_size < 1):
            raise ValueError(
                f"heads is {heads} and head_size {head_size}; at least 0 and 1 would fit"
            )
        if (heads and groups < 1) or groups < 0 or (groups and heads % groups):
            raise ValueError(f"key_value_heads is {groups}; it must divide heads, {heads}")
        size = width // heads if head_size is None else head_size
        self.width, self.heads, self.groups, self.head_size = width, heads, groups, size
        if heads:
            into: dict[str, Any] = {"bias": bias, "rngs": rngs}
            self.query = Dense(width, heads * size, letters="D H", **into)
            self.key = Dense(width, groups * size, letters="D G", **into)
            self.value = Dense(width, groups * size, letters="D G", **into)
            self.output = Dense(heads * size, width, bias=output_bias, letters="H D", rngs=rngs)
        else:
            self.bias = nnx.Param(jnp.zeros(width), letters="D") if output_bias else None

    def queries(self, x: Float[Array, "B T D"]) -> Float[Array, "B T H K"]:
        """What each row looks for, head by head."""
        if not self.heads:
            return self._nothing(x)
        return split_heads(self.query(x), self.heads)

    def sources(
        self, x: Float[Array, "B S D"]
    ) -> tuple[Float[Array, "B S G K"], Float[Array, "B S G K"]]:
        """What each row can be found by, and what it then gives."""
        if not self.heads:
            return self._nothing(x), self._nothing(x)
        return split_heads(self.key(x), self.groups), split_heads(self.value(x), self.groups)

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
    ) -> Float[Array, "B T D"]:
        """All heads' outputs, changed if asked for, side by side through the output projection."""
        if not self.heads:
            silent = jnp.zeros((*query.shape[:2], self.width), query.dtype)
            return silent if self.bias is None else silent + self.bias[...].reshape(1, 1, -1)
        outputs = attend(query, key, value, score=score, mask=mask)
        return self.output(merge_heads(outputs if change is None else change(outputs)))

    def __call__(
        self,
        x: Float[Array, "B T D"],
        source: Float[Array, "B S D"],
        *,
        mask: Mask | None = None,
        score: Score = scaled_dot,
        change: Change | None = None,
        attend: Attend = attend,
    ) -> Float[Array, "B T D"]:
        """Every row of `x` reads from the rows of `source` that the mask lets it see."""
        query, (key, value) = self.queries(x), self.sources(source)
        return self.read(query, key, value, mask, score=score, change=change, attend=attend)

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
            return jnp.zeros((x.shape[0], 0, x.shape[1], source.shape[1]), x.dtype)
        return explain(self.queries(x), self.sources(source)[0], score=score, mask=mask)

    def _nothing(self, x: Float[Array, "B T D"]) -> Float[Array, "B T 0 K"]:
        return jnp.zeros((*x.shape[:2], 0, self.head_size), x.dtype)
