"""Where positions stand on a ring of devices, and which tiles of the logits each device computes.

In contiguous order device d holds the d-th of n chunks, and under a causal mask the last device has
n times the work of the first. In zigzag order it holds the chunks d and 2n-1-d of 2n: what is early
and what is late add up to the same for all, around the whole ring and at each of its steps.

Source: Brandon et al. 2023, "Striped Attention" (the imbalance); Zhu 2024, "ring-flash-attention"
(zigzag).
"""

import math
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Int

from attention_jax.functional.mask_algebra import Mask
from attention_jax.functional.mask_parts import Parts, parts
from attention_jax.functional.online import HIDDEN, PARTLY
from attention_jax.functional.tile_plan import even, tile_sides

AXIS = "sequence"
ORDERS = ("auto", "zigzag", "contiguous")


@dataclass(frozen=True)
class Places:
    """Where the positions of one axis stand: in chunks of neighbours, which are cut into tiles."""

    length: int  # without the positions that fill the last chunk up
    devices: int
    chunks: int  # on each device: one in contiguous order, two in zigzag
    tile: int  # positions in a tile; the last of a chunk may hold fewer

    @property
    def chunk(self) -> int:
        """Positions in a chunk."""
        return math.ceil(self.length / (self.devices * self.chunks))

    @property
    def spare(self) -> int:
        """How many positions fill the last chunks up."""
        return self.chunk * self.chunks * self.devices - self.length

    @property
    def tiles(self) -> int:
        """How many tiles a device holds."""
        return self.chunks * math.ceil(self.chunk / self.tile)

    def ends(self, device: Any) -> tuple[Any, Any]:
        """The first and the last position of each tile of a device, `[*device, tiles]`.

        A tile whose last position stands before its first is all filling.

        Args:
          device: a number, or an array of several; NumPy's or traced.
        """
        numpy = jnp if isinstance(device, Array) else np
        held = [device] if self.chunks == 1 else self._pair(device)
        starts = self.chunk * numpy.stack([numpy.asarray(chunk) for chunk in held], -1)[..., None]
        stops = starts + self.chunk
        firsts = starts + self.tile * np.arange(self.tiles // self.chunks)[None]
        lasts = numpy.minimum(numpy.minimum(firsts + self.tile, stops), self.length) - 1
        flat = (*firsts.shape[:-2], self.tiles)
        return firsts.reshape(flat), lasts.reshape(flat)

    def arranged(self, x: Array) -> Array:
        """One device's share `[*B, t, H, K]` in natural order as its share on the ring."""
        if self.chunks == 1:
            return x
        return self._exchanged(x, self._moves(0), self._moves(1))

    def restored(self, x: Array) -> Array:
        """The same back: the inverse of `arranged`."""
        if self.chunks == 1:
            return x
        back = ([(there, here) for here, there in self._moves(half)] for half in (0, 1))
        return self._exchanged(x, *back)

    def cut(self, x: Array) -> Array:
        """A device's tiles on a first axis, `[tiles, *B, tile, H, K]`, filled up with zeros."""
        *batch, _, heads, features = x.shape
        each = self.tiles // self.chunks
        x = x.reshape(*batch, self.chunks, self.chunk, heads, features)
        more = [(0, 0)] * len(batch) + [(0, 0), (0, each * self.tile - self.chunk), (0, 0), (0, 0)]
        x = jnp.pad(x, more).reshape(*batch, self.tiles, self.tile, heads, features)
        return jnp.moveaxis(x, len(batch), 0)

    def joined(self, tiles: Array) -> Array:
        """The tiles side by side again: the inverse of `cut`."""
        *batch, _, heads, features = tiles.shape[1:]
        x = jnp.moveaxis(tiles, 0, len(batch))
        x = x.reshape(*batch, self.chunks, -1, heads, features)[..., : self.chunk, :, :]
        return x.reshape(*batch, self.chunks * self.chunk, heads, features)

    def _exchanged(self, x: Array, *moves: list[tuple[int, int]]) -> Array:
        halves = zip(jnp.split(x, 2, axis=-3), moves, strict=True)
        return jnp.concatenate([lax.ppermute(half, AXIS, to) for half, to in halves], axis=-3)

    def _pair(self, device: Any) -> tuple[Any, Any]:
        """The two chunks of a device, d and 2n-1-d: the one of even number, and the odd one."""
        last = 2 * self.devices - 1
        first = device + device % 2 * (last - 2 * device)
        return first, last - first

    def _moves(self, half: int) -> list[tuple[int, int]]:
        """From which device to which its first or second half goes; no device gets two."""
        chunks = [2 * device + half for device in range(self.devices)]
        return [(here, min(c, 2 * self.devices - 1 - c)) for here, c in enumerate(chunks)]


def kinds(found: Parts, queries: tuple[Any, Any], sources: tuple[Any, Any], tile: int) -> Any:
    """Of each tile whether it is HIDDEN, CLEAR or seen PARTLY, by what position alone tells.

    Args:
      found: the parts of the mask; only its band is known by position.
      queries: first and last position of each block of queries.
      sources: first and last position of each piece of the sources; as many axes as queries.
      tile: sources in a full piece; one with fewer is never clear.
    """
    (first, last), (source, furthest) = queries, sources
    hidden, clear = (first > last) | (source > furthest), furthest - source == tile - 1
    if found.low is not None:
        hidden = hidden | (furthest - first < found.low)
        clear = clear & (source - last >= found.low)
    if found.high is not None:
        hidden = hidden | (source - last > found.high)
        clear = clear & (furthest - first <= found.high)
    if found.lengths or found.segments or found.rest is not None:
        clear = clear & False
    return (1 - hidden) * (PARTLY - clear)  # HIDDEN is zero, and CLEAR one less than PARTLY


def places(
    mask: Mask | None, shape: tuple[int, ...], devices: int, order: str = "auto"
) -> tuple[Places, Places]:
    """Where queries and sources stand.

    Args:
      mask: what decides where order is "auto": zigzag for a band with one end, such as `Causal`,
        where late rows see more than early ones or the other way round; else contiguous.
      shape: the logits' `[*B, H, T, S]` on one device, but T and S of all.
      devices: how many the ring has.
      order: "zigzag", "contiguous" or "auto".
    """
    if order not in ORDERS:
        raise ValueError(f"order is {order!r}; {', '.join(ORDERS)} would fit")
    found = parts(mask)
    if order == "auto":
        order = "zigzag" if (found.low is None) != (found.high is None) else "contiguous"
    chunks = 2 if order == "zigzag" and devices > 1 else 1
    chunk = [math.ceil(length / (devices * chunks)) for length in shape[-2:]]
    tiles = tile_sides((*shape[:-2], *chunk), 1)
    queries, sources = (
        Places(length, devices, chunks, even(most, tile))
        for length, most, tile in zip(shape[-2:], chunk, tiles, strict=True)
    )
    return queries, sources


def work(
    mask: Mask | None,
    queries: int,
    sources: int,
    devices: int,
    order: str = "auto",
    heads: int = 8,
) -> Int[np.ndarray, "devices steps"]:
    """How many tiles each device computes at each step around the ring; the others it skips.

    The rule is the one by which the ring itself computes or skips. It ends after the last step at
    which any device has work: with a window, long before it is around.

    Args:
      mask: as in `sequence.attend`.
      queries: T.
      sources: S.
      devices: how many the ring has.
      order: as in `sequence.attend`.
      heads: rows of the batch times heads of a device, on which the size of a tile depends.

    Returns:
      Whole numbers.
    """
    placed = places(mask, (1, heads, queries, sources), devices, order)
    return counted(mask, *placed)


def counted(
    mask: Mask | None, queries: Places, sources: Places
) -> Int[np.ndarray, "devices steps"]:
    """The same once it is known where positions stand."""
    found, devices = parts(mask), np.arange(queries.devices)
    table = np.zeros((devices.size, devices.size), int)
    first, last = queries.ends(devices)
    for step in devices:
        source, furthest = sources.ends((devices - step) % devices.size)
        ends = (first[..., None], last[..., None]), (source[:, None], furthest[:, None])
        table[:, step] = (kinds(found, *ends, sources.tile) != HIDDEN).sum((-2, -1))
    busy = np.flatnonzero(table.any(0))
    return table[:, : busy[-1] + 1 if busy.size else 1]
