"""The tiles of splash attention: what they must divide and fit, and what they are chosen for."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attention_jax.functional import Causal, Lengths, Window, attend, fused, splash_tiles
from attention_jax.functional.splash_tiles import LANES, LARGEST, VMEM, steps, tiles, vmem

LENGTHS = (1, 100, 128, 130, 512, 640, 1_300, 2_816, 4_096, 5_000, 32_768)
BANDS = ((None, None), (None, 0), (-255, 0), (-1_023, 0), (-40, 40))


@pytest.mark.parametrize(("features", "itemsize"), [(64, 2), (128, 4), (256, 2), (256, 4)])
def test_tiles_divide_what_they_cut_and_fit_beside_the_core(features, itemsize):
    for T, S, band in itertools.product(LENGTHS, LENGTHS, BANDS):
        found = tiles(T, S, features, itemsize, *band)
        sides = (T, found.padded[0], found.queries), (S, found.padded[1], found.sources)
        for length, padded, tile in sides:
            assert tile % LANES == 0 and tile <= LARGEST and padded % tile == 0
            assert 0 <= padded - length < LANES * (padded // tile)
            if length % 512 == 0:
                assert padded == length
        assert found.sources % found.at_once == 0 and found.at_once % LANES == 0
        assert vmem(found, features, itemsize) <= VMEM


def test_what_a_mask_hides_decides():
    whole = tiles(8_192, 8_192, 128, 2)
    causal = tiles(8_192, 8_192, 128, 2, None, 0)
    window = tiles(8_192, 8_192, 128, 2, -255, 0)
    assert whole[:2] == causal[:2] == (1_024, 1_024)
    assert window.queries <= 512 and window.sources <= 512
    assert tiles(512, 512, 64, 2, None, 0)[:2] == (512, 512)
    assert tiles(1, 4_096, 64, 2).queries == LANES
    # The same window at twice the length is cut the same.
    assert tiles(16_384, 16_384, 128, 2, -255, 0)[:2] == window[:2]


@pytest.mark.parametrize("band", BANDS)
def test_steps_are_counted_as_the_kernel_does(band):
    from jax.experimental.pallas.ops.tpu import splash_attention
    from jax.experimental.pallas.ops.tpu.splash_attention import splash_attention_mask_info

    low, high = band
    found = tiles(1_000, 1_300, 64, 2, low, high)
    if band == (None, None):
        grid = found.padded[0] // found.queries * (found.padded[1] // found.sources)
        assert steps(found, low, high) == (grid, grid)
        return
    window = (None if low is None else -low, high)
    mask = splash_attention.LocalMask(found.padded, window, 0)
    info, _ = splash_attention_mask_info.process_mask(
        splash_attention.MultiHeadMask([mask]), found[:2], head_shards=1, q_seq_shards=1
    )
    blocks = np.asarray(info.block_mask)
    assert steps(found, low, high) == (blocks.size, np.count_nonzero(blocks))


@pytest.mark.parametrize(
    ("mask", "length", "sources"),
    [(Causal(), 300, 300), pytest.param(Window(20, 3), 130, 700, marks=pytest.mark.slow)]
    + [pytest.param(Lengths(np.array([700])), 200, 900, marks=pytest.mark.slow)],
)
def test_uneven_tiles_are_the_reference(monkeypatch, mask, length, sources):
    """Other tiles of queries than of sources, and these computed a part at a time."""
    monkeypatch.setattr(splash_tiles, "_tiles", lambda *_: chosen)
    padded = -(-length // 256) * 256, -(-sources // 384) * 384
    chosen = splash_tiles.Tiles(256, 384, 128, padded)
    rng = np.random.default_rng(0)
    query, d_output = (jnp.asarray(rng.normal(size=(1, length, 1, 8)), "f") for _ in "qd")
    key, value = (jnp.asarray(rng.normal(size=(1, sources, 1, 8)), "f") for _ in "kv")
    found = []
    for attention in (partial(fused.splash, interpret=True), partial(attend, backend="reference")):
        output, back = jax.vjp(partial(attention, mask=mask), query, key, value)
        found.append((output, *back(d_output)))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=5e-5)
