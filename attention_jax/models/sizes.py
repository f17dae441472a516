"""What a model's sizes come to: its parameters, the cache of its decoding; and widths that match.

Nothing here computes or holds an array: jax.eval_shape follows the shapes alone.
"""

import functools
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import jax
import jax.numpy as jnp
from flax import nnx

from attention_jax.models.decoder_only import DecoderOnlyConfig
from attention_jax.models.kinds import ModelConfig, as_transformer, build
from attention_jax.models.transformer import TransformerConfig

WithFeedForward = TransformerConfig | DecoderOnlyConfig
Wide = TypeVar("Wide", TransformerConfig, DecoderOnlyConfig)

TOLERANCE = 0.005
"""the largest share by which matched parameters may differ"""


@functools.lru_cache(maxsize=256)
def parameters(model: ModelConfig) -> int:
    """How many numbers a model of this config learns."""
    structs = jax.eval_shape(lambda: nnx.state(build(model, rngs=nnx.Rngs(0)), nnx.Param))
    return sum(leaf.size for leaf in jax.tree.leaves(structs))


def cache_bytes(model: ModelConfig, source_length: int, target_length: int) -> int:
    """What decoding one sentence keeps: of a Transformer the keys and values of both texts.

    Args:
      model: whose `start` makes the cache.
      source_length: tokens of the source, S.
      target_length: target positions that there is room for, T.

    Returns:
      Bytes; of a Transformer 2 L G K (S + T) numbers where all L decoder layers have G key/value
      heads; of a recurrent model its states, and what it attends to.
    """

    def start(source):
        return build(model, rngs=nnx.Rngs(0)).start(source, target_length)

    cache = jax.eval_shape(start, jax.ShapeDtypeStruct((1, source_length), jnp.int32))
    kept = [leaf for leaf in jax.tree.leaves(cache) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    return sum(leaf.size * leaf.dtype.itemsize for leaf in kept)


def matched(model: Wide, like: WithFeedForward) -> Wide:
    """The model with that feed-forward width which brings its parameters nearest to another's.

    Args:
      model: whose other sizes stay.
      like: has the parameters that are wanted.

    Raises:
      ValueError: no width comes within `TOLERANCE` of them.
    """

    def count(model: WithFeedForward, **changes: int) -> int:
        # Without the tables of tokens, which would hide a difference: it is small beside them.
        return parameters(replace(model, vocabulary=1, **changes))

    wanted, least = count(like), count(model, feed_forward=1)
    each = count(model, feed_forward=2) - least
    width = max(1, 1 + round((wanted - least) / each))
    if abs(count(model, feed_forward=width) - wanted) > TOLERANCE * wanted:
        raise ValueError(
            f"no feed_forward gives {model.heads} heads {wanted:,} parameters: without tokens they "
            f"have {least:,} at a width of 1, and {each:,} more with each further; a larger base "
            "feed_forward, or other heads, would fit"
        )
    return replace(model, feed_forward=width)


def all_matched(models: Sequence[ModelConfig]) -> list[TransformerConfig]:
    """The models with as many parameters as the largest of them; see `matched`."""
    found = [as_transformer(model) for model in models]
    largest = max(found, key=parameters)
    return [matched(model, largest) for model in found]
