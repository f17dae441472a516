"""Show, Attend and Tell against its rewriting in NumPy, itself and its cache."""

import functools
from dataclasses import replace
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from attention_jax.models.captioning import Captioning, unevenness
from attention_jax.models.captioning_config import ATTENTION, CaptioningConfig
from attention_jax.models.captioning_layers import CellsConfig, name_of_cell
from attention_jax.models.places import Head
from attention_jax.training.step import split
from tests.models.attentive_oracle import in_float64
from tests.models.family import bits
from tests.models.picture_oracle import captioning

SMALL = CaptioningConfig(
    vocabulary=9,
    cells=CellsConfig(side=12, narrow=3, channels=5, convolutions=1),
    width=6,
    embedding=4,
    alignment=7,
)
PLAIN = replace(SMALL, gate=False, cells=replace(SMALL.cells, positions=False, convolutions=0))
VARIANTS = {"whole": SMALL, "no gate, no places": PLAIN}
PICTURES = np.random.default_rng(0).integers(0, 256, (3, 12, 12, 3), np.uint8)
TARGET = np.array([[1, 4, 5, 6], [1, 7, 8, 3], [1, 3, 3, 4]], np.int32)


@functools.cache
def made(name, dtype="float32"):
    """A model with random parameters, no bias zero, and compiled functions of them."""
    config = VARIANTS[name]
    graph, shapes = split(nnx.eval_shape(lambda: Captioning(config, rngs=nnx.Rngs(0))))
    chance = np.random.default_rng(0)
    params = jax.tree.map(lambda one: (0.5 * chance.normal(size=one.shape)).astype(dtype), shapes)

    def explained(params, pictures, target):
        return nnx.merge(graph, params)(pictures, target, explain=True)

    def stepped(params, pictures, target):
        model = nnx.merge(graph, params)
        start = model.start(pictures, 4)
        found = jax.lax.scan(lambda cache, now: model.step(cache, now)[::-1], start, target.T)[1]
        return found.swapaxes(0, 1)

    return SimpleNamespace(
        config=config,
        graph=graph,
        params=params,
        explained=jax.jit(explained),
        stepped=jax.jit(stepped),
    )


def agrees(one, atol):
    params = in_float64(one.params)
    logits, found = one.explained(one.params, PICTURES, TARGET)
    assert found[ATTENTION].shape == (3, 1, 4, 9)
    for row in range(3):
        wanted, weights = captioning(params, PICTURES[row], TARGET[row])
        np.testing.assert_allclose(logits[row], wanted, atol=atol)
        np.testing.assert_allclose(found[ATTENTION][row, 0], weights, atol=atol)
    return logits


@pytest.mark.parametrize("name", VARIANTS)
def test_logits_and_weights_are_those_of_the_papers_equations(name):
    agrees(made(name), atol=2e-5)


@pytest.mark.slow
def test_float64_agrees_to_ten_digits():
    with jax.enable_x64(True):
        assert agrees(made("whole", "float64"), atol=1e-10).dtype == jnp.float64


def test_cached_steps_give_the_logits_of_the_whole_pass():
    one = made("whole")
    whole, _ = one.explained(one.params, PICTURES, TARGET)
    np.testing.assert_allclose(one.stepped(one.params, PICTURES, TARGET), whole, atol=1e-5)


def test_rows_change_places_and_the_picture_stays():
    one = made("whole")
    model = nnx.merge(one.graph, one.params)
    cache = jax.eval_shape(lambda: model.start(PICTURES, 4))
    cache = jax.tree.map(lambda leaf: np.random.default_rng(1).normal(size=leaf.shape), cache)
    moved = model.reorder(cache, np.array([1, 0, 2]))
    for before, after in zip(cache.state, moved.state, strict=True):
        np.testing.assert_array_equal(after, before[[1, 0, 2]])
    assert moved.seen is cache.seen


@pytest.mark.slow
def test_looking_changes_nothing_and_a_head_can_be_gated(optimized):
    one = made("whole")

    @jax.jit
    def gated(params, gate):
        model = nnx.merge(one.graph, params)
        return model(PICTURES, TARGET, heads=lambda place, outputs: outputs * gate)

    @jax.jit
    def looked_at(params):
        return nnx.merge(one.graph, params)(PICTURES, TARGET, explain=True)

    plain = jax.jit(lambda params: nnx.merge(one.graph, params)(PICTURES, TARGET))(one.params)
    looked, _ = looked_at(one.params)
    np.testing.assert_array_equal(bits(plain), bits(looked))
    np.testing.assert_allclose(gated(one.params, 1.0), plain, atol=1e-6)
    assert not np.allclose(gated(one.params, 0.0), plain, atol=1e-2)
    slope = jax.grad(lambda gate: gated(one.params, gate).sum())(1.0)
    sides = [float(gated(one.params, 1.0 + move).sum()) for move in (0.01, -0.01)]
    np.testing.assert_allclose(slope, (sides[0] - sides[1]) / 0.02, rtol=1e-2)


def test_unevenness_is_the_papers_sum():
    weights = np.random.default_rng(0).dirichlet(np.ones(5), size=(2, 3)).astype(np.float32)
    real = np.array([[1, 1, 0], [0, 0, 0]], np.float32)
    wanted = sum((1 - weights[0, 0, s] - weights[0, 1, s]) ** 2 for s in range(5))
    np.testing.assert_allclose(unevenness(weights, real), wanted, rtol=1e-6)
    with pytest.raises(ValueError, match=r"weights have shape \[2, 3, 5\] and real \[2, 5\]"):
        unevenness(jnp.asarray(weights), jnp.zeros((2, 5)))


def test_configs():
    assert SMALL.places() == [ATTENTION] and SMALL.heads_at(ATTENTION) == 1
    assert SMALL.every_head() == [Head("cross", 0, 0)]
    assert (SMALL.cells.rows, SMALL.cells.count) == (3, 9)
    assert name_of_cell(5, 3) == "row 2, column 3"
    for name in ("vocabulary", "width", "embedding", "alignment"):
        with pytest.raises(ValueError, match=f"{name} is 0; it must be at least 1"):
            replace(SMALL, **{name: 0})
    for name, least in (("narrow", 1), ("channels", 1), ("convolutions", 0)):
        with pytest.raises(ValueError, match=f"{name} is {least - 1}; it must be at least {least}"):
            replace(SMALL.cells, **{name: least - 1})
    with pytest.raises(ValueError, match="side is 10; a multiple of 4 would fit"):
        CellsConfig(side=10)
    with pytest.raises(ValueError, match="dropout is 1.0; it must be at least 0"):
        replace(SMALL, dropout=1.0)
    with pytest.raises(ValueError, match="kind is 'luong'; 'captioning' would fit"):
        replace(SMALL, kind="luong")


def test_pictures_of_another_size_are_refused():
    one = made("whole")
    with pytest.raises(ValueError, match=r"pictures have shape \[3, 12, 8, 3\]; \[B, 12, 12, 3\]"):
        nnx.merge(one.graph, one.params)(PICTURES[:, :, :8], TARGET)
