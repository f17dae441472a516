"""The layers of a decoder-only Transformer for long texts: attention in blocks, and through slots.

Source: Liu et al. 2018, section 4.2.3, "local attention" and "memory-compressed attention".
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from attention_jax.functional import explain
from attention_jax.functional.compressed import compress, compressed_mask
from attention_jax.functional.heads import merge_heads
from attention_jax.functional.masks import Causal, Lengths
from attention_jax.models.places import Place
from attention_jax.models.summarise_config import SummariseConfig
from attention_jax.models.transformer_layers import Pass
from attention_jax.modules import FeedForward, MultiHeadAttention, Residual


class Sources(NamedTuple):
    """Keys and values of a sequence, one a row and head."""

    key: Float[Array, "B S H K"]
    value: Float[Array, "B S H K"]


class Kept(NamedTuple):
    """What decoding keeps of a layer: no more than later rows can see."""

    seen: Sources
    """of a local layer those of the block, of a compressed one the slots, of a full one all"""
    recent: Sources
    """of a compressed layer those that the next slot is made of, of the others none"""


class SummariseLayer(nnx.Module):
    """Attention to what came before, then a feed-forward network, each inside a residual."""

    def __init__(self, config: SummariseConfig, layer: int, rngs: nnx.Rngs):
        self.place, self.sight = Place("decoder", layer), config.sights[layer]
        self.block, self.slot = config.block, config.slot
        self.attention = MultiHeadAttention(config.width, config.heads, rngs=rngs)
        if self.sight == "compressed":
            self.key_kernel, self.value_kernel = (_kernel(config) for _ in range(2))
        self.feed_forward = FeedForward(config.width, config.feed_forward, rngs=rngs)
        self.residuals = nnx.List(
            [Residual(config.width, config.dropout, norm="pre") for _ in range(2)]
        )

    def __call__(
        self, x: Float[Array, "B T D"], rngs: tuple, one: Pass
    ) -> tuple[Float[Array, "B T D"], Sources]:
        """One layer further, and the keys and values of its rows."""
        sources = Sources(x, x)

        def read(rows):
            nonlocal sources
            sources = Sources(*self.attention.sources(rows))
            return self._read(self.attention.queries(rows), sources, one)

        x = one.arrange(self.residuals[0](x, read, rngs[0]), "B T D")
        return one.arrange(self.residuals[1](x, self.feed_forward, rngs[1]), "B T D"), sources

    def keep(self, sources: Sources, lengths: Int[Array, " B"], room: int) -> Kept:
        """What decoding keeps of rows that were read at once, `lengths` of them, of `room`."""
        if self.sight == "local":
            return Kept(_piece(sources, lengths, self.block), _part(sources, 0))
        if self.sight == "full":
            return Kept(_part(sources, room), _part(sources, 0))
        slots = _part(self._slots(sources), -(-room // self.slot))
        return Kept(slots, _piece(sources, lengths, self.slot))

    def step(
        self, x: Float[Array, "B 1 D"], kept: Kept, position: Int[Array, " B"]
    ) -> tuple[Float[Array, "B 1 D"], Kept]:
        """One position of each row against what was kept; gives that back, grown."""

        def read(rows):
            nonlocal kept
            now = Sources(*self.attention.sources(rows))
            query = self.attention.queries(rows)
            if self.sight == "compressed":
                recent = _put(kept.recent, now, position % self.slot)
                # Written at every position, seen from that on at which it is whole.
                kept = Kept(_put(kept.seen, self._slots(recent), position // self.slot), recent)
                there = (position + 1) // self.slot
            else:
                at = position % self.block if self.sight == "local" else position
                kept, there = kept._replace(seen=_put(kept.seen, now, at)), at + 1
            return self.attention.read(query, *kept.seen, Lengths(there))

        x = self.residuals[0](x, read, None)
        return self.residuals[1](x, self.feed_forward, None), kept

    def _read(self, query: Array, sources: Sources, one: Pass) -> Float[Array, "B T D"]:
        """What each row reads, looked at and changed as asked, through the output projection."""
        length, mask = query.shape[1], Causal()
        if self.sight == "local":
            query = _in_blocks(query, self.block)
            sources = Sources(*(_in_blocks(x, self.block) for x in sources))
        elif self.sight == "compressed":
            sources = self._slots(sources)
            mask = compressed_mask(mask, stride=self.slot, width=self.slot)
        key, value = sources
        if one.explain is not None:
            weights = explain(query, key, score=one.score, mask=mask)
            if self.sight == "local":
                weights = _side_by_side(weights)
            elif self.sight == "compressed":
                weights = jnp.repeat(weights / self.slot, self.slot, axis=-1)
            weights = weights[..., :length, :length]
            weights = one.arrange(weights, "B H T S")
            one.found[self.place] = one.explain(self.place, weights)
        outputs = one.attend(query, key, value, score=one.score, mask=mask)
        if self.sight == "local":
            outputs = outputs.reshape(len(outputs), -1, *outputs.shape[3:])[:, :length]
        if one.heads is not None:
            outputs = one.heads(self.place, outputs)
        return self.attention.output(merge_heads(one.arrange(outputs, "B T H K")))

    def _slots(self, sources: Sources) -> Sources:
        """One key and one value of every `slot` rows; the last may be of fewer."""
        kernels = self.key_kernel[...], self.value_kernel[...]
        found = zip(sources, kernels, strict=True)
        return Sources(*(compress(x, kernel=kernel, stride=self.slot) for x, kernel in found))


def _kernel(config: SummariseConfig) -> nnx.Param:
    """From `slot` rows of a head to one, at first their mean.

    So what is learned of a row is learned for all places that it may have in its slot.
    """
    size = config.size_of_head
    mean = jnp.eye(size) / config.slot
    shape = config.slot, config.heads, size, size
    return nnx.Param(jnp.broadcast_to(mean, shape), letters="W G K P")


def _in_blocks(x: Float[Array, "B T H K"], block: int) -> Float[Array, "B N T H K"]:
    """The rows in blocks, the last filled up with zeros, which no row before them sees."""
    rows, length, *rest = x.shape
    padded = jnp.pad(x, [(0, 0), (0, -length % block), (0, 0), (0, 0)])
    return padded.reshape(rows, -1, block, *rest)


def _side_by_side(weights: Float[Array, "B N H T S"]) -> Float[Array, "B H N*T N*S"]:
    """The weights inside each block, zeros between blocks."""
    rows, blocks, heads, *_ = weights.shape
    own = jnp.eye(blocks, dtype=weights.dtype)
    return jnp.einsum("BNHTS,NM->BHNTMS", weights, own).reshape(
        rows, heads, blocks * weights.shape[-2], -1
    )


def _piece(sources: Sources, lengths: Int[Array, " B"], size: int) -> Sources:
    """The `size` rows that the next one belongs to: what of them is read already, then anything."""
    places = (lengths // size * size)[:, None] + jnp.arange(size)[None]

    def cut(x: Array) -> Array:
        return jnp.take_along_axis(x, places[..., None, None], axis=1, mode="fill", fill_value=0)

    return Sources(*map(cut, sources))


def _part(sources: Sources, room: int) -> Sources:
    """The first `room` rows, filled up with zeros."""

    def cut(x: Array) -> Array:
        return jnp.pad(x[:, :room], [(0, 0), (0, max(0, room - x.shape[1])), (0, 0), (0, 0)])

    return Sources(*map(cut, sources))


def _put(sources: Sources, new: Sources, places: Int[Array, " B"]) -> Sources:
    """The sources with one row replaced, at a place of its own in each row of the batch."""
    put = jax.vmap(lambda x, row, at: jax.lax.dynamic_update_slice_in_dim(x, row, at, 0))
    return Sources(*(put(x, row, places) for x, row in zip(sources, new, strict=True)))
