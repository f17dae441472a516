"""The Diffusion Transformer against NumPy, its config, and how it begins."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from attention_jax.models.diffusion import Diffusion, DiffusionConfig
from attention_jax.models.diffusion_layers import from_patches, grid_positions, to_patches
from attention_jax.models.places import Head, Place
from attention_jax.models.transformer_layers import Pass
from attention_jax.parallel.mesh import letters_of
from attention_jax.training.step import split
from tests.models.diffusion_oracle import predicted

SMALL = DiffusionConfig(
    side=6, channels=2, classes=3, patch=2, width=8, layers=2, heads=2, feed_forward=12,
    frequencies=6,
)  # fmt: skip
CHANCE = np.random.default_rng(0)
PICTURES = CHANCE.normal(size=(3, 6, 6, 2)).astype(np.float32)
TIMES, LABELS = np.float32([0.0, 0.37, 1.0]), np.int32([0, 3, 2])


def build(config=SMALL):
    """A model whose every parameter matters: no zeros."""
    graph, shapes = split(nnx.eval_shape(lambda: Diffusion(config, rngs=nnx.Rngs(0))))
    draw = np.random.default_rng(1).normal
    return nnx.merge(graph, jax.tree.map(lambda x: jnp.float32(draw(0, 0.3, x.shape)), shapes))


@pytest.fixture(scope="module")
def model():
    return build()


@pytest.fixture(scope="module")
def explained(model):
    return jax.jit(lambda *given: model(*given, explain=True))(PICTURES, TIMES, LABELS)


def test_a_pass_is_the_one_written_in_numpy(model, explained):
    params = split(model)[1]
    others = [replace(SMALL, predicts="noise"), replace(SMALL, through_picture=False)]

    @jax.jit
    def answers(*given):
        return [nnx.merge(split(build(config))[0], params)(*given) for config in others]

    answer, weights = explained
    everything = zip((SMALL, *others), (answer, *answers(PICTURES, TIMES, LABELS)), strict=True)
    for config, found in everything:
        for row in range(3):
            given = PICTURES[row], float(TIMES[row]), LABELS[row]
            wanted, seen = predicted(config, params, *given)
            np.testing.assert_allclose(found[row], wanted, rtol=1e-4, atol=5e-5)
            np.testing.assert_allclose(weights[:, row], seen, atol=2e-5)
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-5)


def test_to_look_changes_nothing_and_heads_can_be_changed(model, explained):
    def gated(place, outputs):
        gate = jnp.ones(2).at[1].set(0) if place == Place("encoder", 1) else jnp.ones(2)
        return outputs * gate[None, None, :, None]

    @jax.jit
    def passes(*given):
        kept = model(*given, explain=lambda place, weights: (place.layer, weights.shape))[1]
        return model(*given), model(*given, heads=gated), jax.tree.map(jnp.asarray, kept)

    plain, without, kept = passes(PICTURES, TIMES, LABELS)
    np.testing.assert_allclose(plain, explained[0], rtol=1e-4, atol=5e-5)
    assert np.abs(without - plain).max() > 1e-3
    assert [tuple(map(int, kept[place][1])) for place in SMALL.places()] == [(3, 2, 9, 9)] * 2


def test_a_fresh_model_gives_nothing_and_its_layers_hand_on():
    x = jnp.asarray(CHANCE.normal(size=(3, 9, 8)), jnp.float32)

    @jax.jit
    def fresh(pictures, times, labels):
        model = Diffusion(replace(SMALL, through_picture=False), rngs=nnx.Rngs(0))
        return model(pictures, times, labels), model.layers[0](x, jnp.ones((3, 8)), Pass())

    answer, handed = fresh(PICTURES, TIMES, LABELS)
    assert not answer.any()
    np.testing.assert_array_equal(handed, x)


def test_patches_go_there_and_back():
    patches = to_patches(jnp.asarray(PICTURES), 2)
    np.testing.assert_array_equal(patches[1, 5], PICTURES[1, 2:4, 4:6].reshape(-1))
    np.testing.assert_array_equal(from_patches(patches, 2), PICTURES)
    places = np.asarray(grid_positions(3, 8))
    assert len(np.unique(places.round(5), axis=0)) == 9
    np.testing.assert_array_equal(places[3:6, :4], np.broadcast_to(places[3, :4], (3, 4)))


def test_every_parameter_has_letters():
    letters = letters_of(nnx.eval_shape(lambda: Diffusion(SMALL, rngs=nnx.Rngs(0))))
    assert "D F" in jax.tree.leaves(letters)


def test_places_and_heads():
    assert SMALL.places() == [Place("encoder", 0), Place("encoder", 1)]
    assert SMALL.every_head()[-1] == Head("encoder", 1, 1) and len(SMALL.every_head()) == 4
    assert SMALL.heads_at(Place("encoder", 0)) == 2 and SMALL.patches == 9


@pytest.mark.parametrize("change, said", [
    ({"patch": 4}, "patch is 4"), ({"width": 6}, "width is 6"), ({"heads": 3}, "heads is 3"),
    ({"layers": 0}, "layers is 0"), ({"frequencies": 5}, "frequencies is 5"),
    ({"predicts": "score"}, "predicts is 'score'"),
])  # fmt: skip
def test_a_config_that_cannot_be_is_refused(change, said):
    with pytest.raises(ValueError, match=said):
        replace(SMALL, **change)


def test_inputs_that_do_not_fit_are_refused(model):
    with pytest.raises(ValueError, match=r"pictures .* \[B, 6, 6, 2\]"):
        model(PICTURES[..., :1], TIMES, LABELS)
    with pytest.raises(ValueError, match="times"):
        model(PICTURES, TIMES[:2], LABELS)
    with pytest.raises(ValueError, match="labels"):
        model(PICTURES, TIMES, LABELS[:, None])
