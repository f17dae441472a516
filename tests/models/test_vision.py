"""The Vision Transformer: NumPy computes the same, and looking and gating do what they say."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from attention_jax.models.places import Head, Place
from attention_jax.models.vision import VisionConfig, VisionTransformer, grid_sinusoidal, patches
from attention_jax.training.step import split
from tests.models import vision_oracle

SMALL = VisionConfig(
    picture_height=6,
    picture_width=4,
    channels=3,
    patch=2,
    width=8,
    layers=2,
    heads=2,
    feed_forward=12,
    classes=5,
    dropout=0.3,
)
PICTURES = np.random.default_rng(7).normal(size=(3, 6, 4, 3)).astype(np.float32)
CASES = {
    "plain": SMALL,
    "hugging face": replace(SMALL, activation="gelu", epsilon=1e-12),
    "mean, sinusoidal": replace(SMALL, summary="mean", positions="sinusoidal", activation="relu"),
    "token, sinusoidal, no bias": replace(SMALL, positions="sinusoidal", qkv_bias=False, heads=4),
    "features": replace(SMALL, classes=0, layers=1),
}


def build(config, dtype="float32", seed=0):
    """The structure and the parameters of a model in which every parameter matters."""
    graph, shapes = split(nnx.eval_shape(lambda: VisionTransformer(config, rngs=nnx.Rngs(0))))
    draw = np.random.default_rng(seed).normal
    return graph, jax.tree.map(lambda x: jnp.asarray(draw(0, 0.4, x.shape), dtype), shapes)


@partial(jax.jit, static_argnums=0)
def read(graph, params, pictures=PICTURES, rng=None):
    return nnx.merge(graph, params)(pictures, rng=rng)


def look(graph, params, **call):
    return jax.jit(lambda params: nnx.merge(graph, params)(PICTURES, **call))(params)


@pytest.mark.parametrize("name", CASES)
def test_it_computes_what_numpy_computes(name):
    config = CASES[name]
    graph, params = build(config)
    plain = jax.tree.map(np.asarray, params)
    wanted = [vision_oracle.logits(config, plain, picture) for picture in PICTURES]
    found = read(graph, params)
    assert found.shape == (3, config.classes or config.width)
    np.testing.assert_allclose(found, wanted, atol=2e-5)


def test_patches_are_squares_row_by_row():
    picture = np.arange(24).reshape(1, 4, 6, 1)
    found = np.asarray(patches(jnp.asarray(picture), 2))[0]
    assert found.shape == (6, 4)
    np.testing.assert_array_equal(found[0], [0, 1, 6, 7])
    np.testing.assert_array_equal(found[1], [2, 3, 8, 9])
    np.testing.assert_array_equal(found[5], [16, 17, 22, 23])
    colours = np.arange(2 * 2 * 3).reshape(1, 2, 2, 3)
    np.testing.assert_array_equal(patches(jnp.asarray(colours), 2)[0, 0], np.arange(12))


def test_places_of_a_grid_differ_and_rows_share_their_half():
    found = np.asarray(grid_sinusoidal(3, 2, 8))
    assert len(np.unique(found.round(5), axis=0)) == 6
    np.testing.assert_array_equal(found[0, :4], found[1, :4])  # the same row
    np.testing.assert_array_equal(found[0, 4:], found[2, 4:])  # the same column


def test_pictures_of_a_batch_do_not_see_each_other():
    model = build(SMALL)
    others = PICTURES.copy()
    others[[0, 2]] = 1.0
    plain, found = read(*model), read(*model, others)
    np.testing.assert_array_equal(plain[1], found[1])
    assert (plain[0] != found[0]).any()


def test_looking_changes_nothing_and_rows_sum_to_one():
    model = build(SMALL)
    logits, weights = look(*model, explain=True)
    assert weights.shape == (2, 3, 2, 7, 7)
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-6)
    np.testing.assert_allclose(logits, read(*model), atol=1e-5)
    _, found = look(*model, explain=lambda place, weights: weights.max(-1))
    assert list(found) == SMALL.places()
    np.testing.assert_allclose(found[Place("encoder", 1)], weights[1].max(-1), atol=1e-6)


def test_a_silenced_head_is_one_without_output_rows():
    graph, params = build(SMALL)
    assert Head("encoder", 1, 0) in SMALL.every_head() and len(SMALL.every_head()) == 4
    shapes = {}

    def off(place, outputs):
        shapes[place] = outputs.shape
        return outputs.at[:, :, 1].set(0) if place.layer == 0 else outputs

    silenced = look(graph, params, heads=off)
    assert shapes == dict.fromkeys(SMALL.places(), (3, 7, 2, 4))
    without = jax.tree.map(lambda leaf: leaf, params)
    output = without["layers"][0]["attention"]["output"]
    output["kernel"] = output["kernel"].at[4:].set(0)
    np.testing.assert_allclose(read(graph, without), silenced, atol=1e-5)
    assert not np.allclose(silenced, read(graph, params), atol=1e-3)


def test_dropout_is_drawn_only_where_it_is_asked_for():
    model = build(SMALL)
    one, again, other = (read(*model, rng=jax.random.key(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert not np.allclose(one, other) and not np.allclose(one, read(*model))


def test_it_computes_in_the_dtype_of_its_parameters():
    for name in ("plain", "mean, sinusoidal"):
        graph, params = build(CASES[name], "bfloat16")
        found = jax.eval_shape(lambda graph=graph, params=params: read(graph, params))
        assert found.dtype == jnp.bfloat16


def test_parameters_have_letters_and_the_paper_sizes():
    base = VisionConfig(
        picture_height=224, picture_width=224, channels=3, patch=16, width=768, layers=12,
        heads=12, feed_forward=3_072, classes=1_000,
    )  # fmt: skip
    model = nnx.eval_shape(lambda: VisionTransformer(base, rngs=nnx.Rngs(0)))
    leaves = jax.tree.leaves(nnx.state(model, nnx.Param), is_leaf=lambda x: hasattr(x, "letters"))
    assert all(len(leaf.letters.split()) == leaf.ndim for leaf in leaves)
    # ViT-B/16 has 86 million (Dosovitskiy et al., table 1); with 1,000 classes these.
    assert sum(leaf.size for leaf in leaves) == 86_567_656
    assert base.rows == 197 and base.grid == (14, 14)


def test_pictures_that_do_not_fit():
    model = nnx.merge(*build(SMALL))
    for shape in ((1, 6, 6, 3), (6, 4, 3), (1, 6, 4, 1)):
        with pytest.raises(ValueError, match=r"pictures have shape .* \[6, 4, 3\] would fit"):
            model(jnp.zeros(shape))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"patch": 3}, "picture_width is 4, which patch, 3, does not divide; .*: 1, 2, 4"),
        ({"heads": 3}, "heads is 3, .* fit: 1, 2, 4, 8"),
        ({"layers": 0}, "layers is 0; it must be at least 1"),
        ({"classes": -1}, "classes is -1"),
        ({"width": 6, "positions": "sinusoidal"}, "width is 6; .* multiple of 4"),
        ({"epsilon": 0.0}, "epsilon is 0.0"),
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"summary": "max"}, "summary is 'max'"),
        ({"activation": "swish"}, "activation is 'swish'"),
    ],
)
def test_sizes_that_no_model_has(wrong, said):
    with pytest.raises(ValueError, match=said):
        replace(SMALL, **wrong)
