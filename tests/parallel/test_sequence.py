"""Attention around a ring gives what attention on one device gives, and its gradients."""

from functools import partial

import pytest

from attention_jax.functional import Causal, Window, capped, cosine, dot, tile_plan
from tests.parallel.sequence_cases import LAYOUTS, SELF, agree, arrays

DEFAULT = [("4x2", "causal lengths"), ("4x2", "window"), ("8", "segments"), ("2x2x2", "causal")]
SLOW = [("4x2", name) for name in SELF if ("4x2", name) not in DEFAULT]
SLOW += [("8", "causal"), ("8", "window"), ("2x2x2", "all"), ("2x2x2", "segments")]


@pytest.fixture(autouse=True)
def several_tiles(monkeypatch):
    """Two or three in each chunk, the last not full."""
    monkeypatch.setattr(tile_plan, "SIDES", (2, 3))


@pytest.mark.parametrize(("layout", "name"), DEFAULT)
def test_self_attention(layout, name):
    agree(LAYOUTS[layout], arrays(37, 37, heads=4, groups=2), SELF[name])


@pytest.mark.slow
@pytest.mark.parametrize(("layout", "name"), SLOW)
def test_every_mask_and_layout(layout, name):
    agree(LAYOUTS[layout], arrays(37, 37, heads=4, groups=2), SELF[name])


@pytest.mark.parametrize("mask", [None, Causal(6)], ids=["all", "causal"])
def test_cross_attention(mask):
    agree(LAYOUTS["8"], arrays(13, 43, heads=2, groups=2), mask)


@pytest.mark.slow
@pytest.mark.parametrize("order", ["zigzag", "contiguous"])
def test_any_order_serves_any_mask(order):
    agree(LAYOUTS["8"], arrays(21, 40), Window(3, 20), order=order)


@pytest.mark.slow
@pytest.mark.parametrize(
    "score",
    [dot, partial(cosine, temperature=0.3), partial(capped, cap=2.0)],
    ids=["dot", "cosine", "capped"],
)
def test_scores(score):
    agree(LAYOUTS["4x2"], arrays(17, 17, heads=2, groups=2), Causal(), score=score)
