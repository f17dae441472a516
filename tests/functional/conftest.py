"""Tiles so small that the tests' small arrays take many of them."""

import pytest

from attention_jax.functional import tile_plan


@pytest.fixture(autouse=True)
def many_tiles(monkeypatch):
    """Blocks of two queries, pieces of three sources."""
    monkeypatch.setattr(tile_plan, "SIDES", (2, 3))
