"""What a ring is told before it is traced, and its tiles: some queries before some sources."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import lax
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Bool, Float, Int

from attention_jax.functional.logits import score_rows
from attention_jax.functional.mask_algebra import Mask, expand
from attention_jax.functional.mask_parts import parts
from attention_jax.functional.normalize import hide
from attention_jax.functional.online import CLEAR
from attention_jax.functional.scores import Score
from attention_jax.functional.shield import tainted
from attention_jax.parallel.split_masks import Outline
from attention_jax.parallel.zigzag import AXIS, Places, kinds


@dataclass(frozen=True)
class Trip:
    """All that the program of a ring depends on, besides arrays."""

    mesh: Mesh
    spec: PartitionSpec  # of [*B, T, H, K]
    queries: Places
    sources: Places
    steps: int  # after which no device has work
    score: Score
    outline: Outline

    @property
    def tiles(self) -> PartitionSpec:
        """How what is kept for each tile is spread: `[tiles, *B, H, T, 1]`."""
        *batch, place, heads, _ = self.spec
        return PartitionSpec(place, *batch, heads, None, None)


class Tile(NamedTuple):
    """Some queries before some sources: where they stand, and the mask that lies between."""

    trip: Trip
    mask: Mask | None
    kind: int
    first: Any  # position of the first query
    source: Any  # position of the first source
    furthest: Any  # position of the last source that is not filling

    def seen(self, rank: int) -> Bool[Array, "*B H T S"]:
        """Which sources may be seen; axes of size one where it makes no difference."""
        sources = self.source + jnp.arange(self.trip.sources.tile)
        real = expand((sources <= self.furthest)[None, :], rank)
        if self.mask is None or self.kind == CLEAR:
            return real
        queries = self.first + jnp.arange(self.trip.queries.tile)
        return real & expand(self.mask.tile(queries, sources), rank)

    def logits(self, query: Array, key: Array) -> Float[Array, "*B H T S"]:
        """The scores, -inf where masked."""
        queries = self.first + jnp.arange(self.trip.queries.tile)
        sources = self.source + jnp.arange(self.trip.sources.tile)
        logits = score_rows(self.trip.score, query, key, queries, sources)
        return hide(logits, None if self.kind == CLEAR else self.seen(logits.ndim))

    def sees_bad(self, bad_queries: Array, bad_sources: Array) -> Bool[Array, "*B T H 1"]:
        """The rows that see what is not finite; at no cost while all is."""

        def look():
            seen = self.seen(bad_queries.ndim)
            return tainted(bad_queries[..., 0], bad_sources[..., 0], seen)[..., None]

        bad = jnp.any(bad_queries) | jnp.any(bad_sources)
        return lax.cond(bad, look, lambda: jnp.zeros_like(bad_queries))


class Visit(NamedTuple):
    """What is to be done while a device has the sources of another."""

    kinds: Int[Array, "blocks pieces"]
    tile: Callable[[int, Any, Any], Tile]
    """of a kind, between a block and a piece"""


def visit(trip: Trip, arrays: tuple[Array, ...], step: Any) -> Visit:
    """The visit at this step, on the device that asks; the arrays are those of the mask."""
    here, mask = lax.axis_index(AXIS), trip.outline.filled(arrays)
    first, last = trip.queries.ends(here)
    source, furthest = trip.sources.ends((here - step) % trip.sources.devices)
    blocks, pieces = (first[:, None], last[:, None]), (source[None], furthest[None])

    def tile(kind, i, j):
        return Tile(trip, mask, kind, first[i], source[j], furthest[j])

    return Visit(kinds(parts(mask), blocks, pieces, trip.sources.tile), tile)
