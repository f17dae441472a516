"""Who computes what around a ring, and that nobody ever holds an array of T×S."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding

from attention_jax.functional import Causal, Lengths, Prefix, Segments, Window, attend, tile_plan
from attention_jax.functional.mask_parts import parts
from attention_jax.functional.online import CLEAR, HIDDEN
from attention_jax.parallel import sequence
from attention_jax.parallel.layout import Layout, spec
from attention_jax.parallel.zigzag import kinds, places
from tests.parallel.sequence_cases import LAYOUTS, Arrays, both


@pytest.mark.parametrize("devices", [2, 8, 64, 256])
def test_causal_work_is_balanced_in_zigzag_order(devices):
    length = 131_072
    tiles = sequence.work(Causal(), length, length, devices)
    assert tiles.sum(1).max() <= 1.1 * tiles.sum(1).mean()
    # At each step too, where devices wait for each other.
    assert tiles.max(0).sum() <= 1.1 * tiles.sum(1).mean()
    # About half of all tiles, and no more.
    shape = (1, 8, length, length)
    rows, columns = (place.tile for place in places(Causal(), shape, devices))
    assert tiles.sum() < 0.6 * length / rows * length / columns


def test_contiguous_causal_work_is_not():
    tiles = sequence.work(Causal(), 131_072, 131_072, 8, order="contiguous").sum(1)
    assert tiles.max() > 1.7 * tiles.mean()


def test_a_window_ends_the_trip_before_it_is_around():
    assert sequence.work(Window(1000, 0), 131_072, 131_072, 64).shape == (64, 2)
    assert sequence.work(Causal(), 131_072, 131_072, 64).shape == (64, 64)
    assert sequence.work(None, 131_072, 131_072, 64).shape == (64, 64)


@pytest.mark.parametrize(
    "mask", [None, Causal(), Causal(-7), Window(3, 1), Window(30, 0, offset=9), Prefix(3)], ids=repr
)
@pytest.mark.parametrize("order", ["zigzag", "contiguous"])
@pytest.mark.parametrize(("queries", "sources"), [(37, 37), (50, 21)])
def test_a_tile_is_skipped_or_taken_whole_only_where_it_may_be(
    monkeypatch, mask, order, queries, sources
):
    """All positions are on the ring once, and each tile's kind is that of its cells."""
    monkeypatch.setattr(tile_plan, "SIDES", (2, 3))
    placed = places(mask, (1, 1, queries, sources), 4, order)
    ends = [place.ends(np.arange(4)) for place in placed]
    for (first, last), length in zip(ends, (queries, sources), strict=True):
        there = [np.arange(*pair) for pair in zip(first.ravel(), last.ravel() + 1, strict=True)]
        np.testing.assert_array_equal(np.sort(np.concatenate(there)), np.arange(length))
    seen = np.ones((queries, sources), bool) if mask is None else mask.array(queries, sources)
    (first, last), (source, furthest) = [[end.ravel() for end in pair] for pair in ends]
    pairs = (first[:, None], last[:, None]), (source[None], furthest[None])
    found = kinds(parts(mask), *pairs, placed[1].tile)
    assert {CLEAR, HIDDEN} & set(found.ravel().tolist())
    for i, j in np.ndindex(found.shape):
        tile = np.asarray(seen)[first[i] : last[i] + 1, source[j] : furthest[j] + 1]
        if found[i, j] == CLEAR:
            assert tile.all() and tile.shape[1] == placed[1].tile
        if found[i, j] == HIDDEN:
            assert not tile.any()


@pytest.mark.parametrize("devices", [2, 3, 8])
def test_zigzag_goes_there_and_back(devices):
    """What a device is given stands where `ends` says, and returns to its place."""
    length = devices * 6
    mesh = Layout(sequence=devices).mesh(jax.devices()[:devices])
    queries, _ = places(Causal(), (1, length, length), devices)
    x = jnp.arange(length).reshape(length, 1, 1)

    def there_and_back(x):
        arranged = queries.arranged(x)
        return arranged, queries.restored(arranged)

    cut = spec("T H K")
    run = jax.shard_map(there_and_back, mesh=mesh, in_specs=cut, out_specs=(cut, cut))
    arranged, restored = jax.jit(run)(x)
    np.testing.assert_array_equal(restored, x)
    first, _ = queries.ends(np.arange(devices))
    np.testing.assert_array_equal(arranged.reshape(devices, 2, 3)[:, :, 0], first)


def _sizes(jaxpr):
    """How many numbers each intermediate array has, of all programs inside; one device's share."""
    for equation in jaxpr.eqns:
        yield from (v.aval.size for v in equation.outvars if hasattr(v.aval, "size"))
        for given in equation.params.values():
            for inner in jax.tree.leaves(given, is_leaf=lambda x: hasattr(x, "eqns")):
                inner = getattr(inner, "jaxpr", inner)
                if hasattr(inner, "eqns"):
                    yield from _sizes(inner)


LENGTH = 1024
MASK = Causal() & Segments(jnp.arange(LENGTH) // 100) & Lengths(LENGTH - 5)


def _largest(attention, heads):
    given = jax.eval_shape(lambda: Arrays(*[jnp.zeros((1, LENGTH, heads, 2))] * 4))
    return max(_sizes(jax.make_jaxpr(both(attention).__wrapped__)(given).jaxpr))


def test_no_array_grows_with_the_square(monkeypatch):
    monkeypatch.setattr(tile_plan, "SIDES", (16, 8))
    mesh = LAYOUTS["8"].mesh()
    whole = _largest(partial(attend, mask=MASK, backend="reference"), 1)
    assert whole >= LENGTH**2
    # Not even those of one device by those of another.
    ring = _largest(partial(sequence.attend, mesh=mesh, mask=MASK), 1)
    assert ring < (LENGTH // 8) ** 2
    heads = partial(sequence.attend, mesh=mesh, mask=MASK, exchange="all_to_all")
    assert _largest(heads, 8) < LENGTH // 8 * LENGTH


def test_a_ring_sends_to_neighbours_and_gathers_nothing():
    mesh = LAYOUTS["8"].mesh()
    placed = NamedSharding(mesh, spec("B T H K"))
    row = jax.ShapeDtypeStruct((1, LENGTH, 1, 2), jnp.float32, sharding=placed)
    attention = both(partial(sequence.attend, mesh=mesh, mask=MASK))
    text = attention.lower(Arrays(row, row, row, row)).compile().as_text()
    assert "collective-permute" in text
    assert not [kind for kind in ("all-gather", "all-reduce", "all-to-all(") if kind in text]
