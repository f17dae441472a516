"""The encoder-only Transformer: what is padding changes nothing, and looking changes nothing.

That it computes what NumPy computes, and what PyTorch does, stands in `tests/interop`.
"""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from attention_jax.models.encoder_only import EncoderOnly, EncoderOnlyConfig
from attention_jax.models.places import Head, Place
from attention_jax.training.step import split

SMALL = EncoderOnlyConfig(
    vocabulary=23, width=16, layers=1, heads=4, feed_forward=24, context=9, dropout=0.3
)
TOKENS = np.array([[5, 6, 7, 8, 2, 0, 0], [9, 4, 2, 0, 0, 0, 0], [3, 4, 5, 6, 7, 8, 2]], np.int32)
TYPES = np.array([[0, 0, 1, 1, 1, 0, 0], [0, 1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1, 1]], np.int32)
SEEN = TOKENS != 0


def build(config, dtype="float32", seed=0):
    """The structure and the parameters of a model in which every parameter matters."""
    graph, shapes = split(nnx.eval_shape(lambda: EncoderOnly(config, rngs=nnx.Rngs(0))))
    draw = np.random.default_rng(seed).normal
    return graph, jax.tree.map(lambda x: jnp.asarray(draw(0, 0.3, x.shape), dtype), shapes)


@pytest.fixture(scope="module")
def small():
    return build(SMALL)


@partial(jax.jit, static_argnums=0)
def read(graph, params, tokens=TOKENS, types=TYPES, rng=None):
    """The model's call, compiled once for all tests."""
    return nnx.merge(graph, params)(tokens, types, rng=rng)


def look(graph, params, **call):
    """The same, with what is to be seen or changed."""
    return jax.jit(lambda params: nnx.merge(graph, params)(TOKENS, TYPES, **call))(params)


def test_padding_changes_no_bit_of_features_or_gradients():
    graph, params = build(SMALL, "bfloat16")

    @jax.jit
    def slopes(params, types):
        def loss(params):
            hidden = nnx.merge(graph, params)(TOKENS, types, rng=jax.random.key(1, impl="rbg"))
            assert hidden.dtype == jnp.bfloat16
            return jnp.where(SEEN[..., None], hidden, 0).astype(jnp.float32)[..., 3].sum(), hidden

        return jax.value_and_grad(loss, has_aux=True)(params)

    (_, plain), gradient = slopes(params, TYPES)
    leaves = jax.tree.leaves((plain, gradient))
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in leaves)
    table = gradient["embedding"]["table"]
    assert not table[0].any() and table[2:10].any()
    broken = jax.tree.map(lambda leaf: leaf, params)
    broken["embedding"]["table"] = params["embedding"]["table"].at[0].set(jnp.nan)
    changed = slopes(broken, TYPES), slopes(params, np.where(SEEN, TYPES, 1))
    for (_, hidden), found in changed:
        np.testing.assert_array_equal(hidden[SEEN], plain[SEEN])
        jax.tree.map(np.testing.assert_array_equal, found, gradient)


def test_rows_of_a_batch_do_not_see_each_other(small):
    plain, others = read(*small), TOKENS.copy()
    others[[0, 2]] = 17
    found = read(*small, others)
    np.testing.assert_array_equal(found[1], plain[1])
    assert (found[0] != plain[0]).any()


def test_weights_are_those_of_real_tokens_and_looking_changes_nothing(small):
    hidden, weights = look(*small, explain=True)
    assert weights.shape == (1, 3, 4, 7, 7)
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-6)
    assert not np.asarray(weights)[~np.broadcast_to(SEEN[None, :, None, None], weights.shape)].any()
    np.testing.assert_allclose(hidden, read(*small), atol=1e-5)
    same, found = look(*small, explain=lambda place, weights: weights.max(-1))
    np.testing.assert_allclose(same, hidden, atol=1e-5)
    np.testing.assert_allclose(found[Place("encoder", 0)], weights[0].max(-1), atol=1e-6)


def test_a_silenced_head_is_one_without_output_rows(small):
    graph, params = small
    assert Head("encoder", 0, 2) in SMALL.every_head() and len(SMALL.every_head()) == 4
    shapes = {}

    def off(place, outputs):
        shapes[place] = outputs.shape
        return outputs.at[:, :, 2].set(0)

    silenced = look(graph, params, heads=off)
    assert shapes == dict.fromkeys(SMALL.places(), (3, 7, 4, 4))
    without = jax.tree.map(lambda leaf: leaf, params)
    output = without["layers"][0]["attention"]["output"]
    output["kernel"] = output["kernel"].at[8:12].set(0)
    np.testing.assert_allclose(read(graph, without), silenced, atol=1e-5)
    assert not np.allclose(silenced, read(graph, params), atol=1e-3)


def test_types_and_order_matter_and_no_types_are_the_first(small):
    plain = read(*small)
    none = read(*small, types=None)
    np.testing.assert_array_equal(none, read(*small, types=np.zeros_like(TYPES)))
    assert not np.allclose(none[SEEN], plain[SEEN], atol=1e-2)
    swapped = TOKENS[:, [1, 0, *range(2, 7)]]
    moved = read(*small, swapped)[:, [1, 0, *range(2, 7)]]
    assert not np.allclose(moved[SEEN], plain[SEEN], atol=1e-2)
    bare = build(replace(SMALL, types=0))
    with pytest.raises(ValueError, match="types=None would fit"):
        read(*bare)


def test_dropout_only_with_rng_and_repeatable(small):
    keys = [jax.random.key(seed, impl="rbg") for seed in (0, 0, 1)]
    first, same, other = (read(*small, rng=key) for key in keys)
    np.testing.assert_array_equal(first, same)
    for found in (other, read(*small)):
        assert not np.allclose(first, found, atol=1e-2)


def test_every_activation_is_arranged_and_every_parameter_lettered(small):
    seen = set()

    def arrange(x, letters):
        assert x.ndim == len(letters.split())
        seen.add(letters)
        return x

    model = nnx.merge(*small)
    jax.eval_shape(lambda: model(TOKENS, TYPES, arrange=arrange, explain=True))
    assert seen == {"B T D", "B H T S"}
    for path, variable in nnx.to_flat_state(nnx.state(model, nnx.Param)):
        assert len(variable.get_metadata()["letters"].split()) == variable[...].ndim, path


def test_a_fresh_model_has_the_published_parameters():
    shapes = nnx.eval_shape(lambda: EncoderOnly(EncoderOnlyConfig(), rngs=nnx.Rngs(0)))
    # BERT base without its pooler, whose map and bias are 768² + 768 of 109,482,240.
    assert sum(x.size for x in jax.tree.leaves(split(shapes)[1])) == 109_482_240 - 590_592


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"heads": 5}, ["heads is 5", "width, 16", "1, 2, 4, 8, 16"]),
        ({"layers": 0}, ["layers is 0"]),
        ({"types": -1}, ["types is -1"]),
        ({"padding": 23}, ["padding is 23", "0 to 22"]),
        ({"epsilon": 0.0}, ["epsilon is 0.0"]),
        ({"dropout": 1.0}, ["dropout is 1.0"]),
        ({"activation": "swiglu"}, ["activation is 'swiglu'", "gelu_tanh"]),
    ],
)
def test_impossible_sizes_are_refused(change, words):
    with pytest.raises(ValueError) as error:
        replace(SMALL, **change)
    assert all(word in str(error.value) for word in words)


def test_tokens_and_types_that_do_not_fit_are_refused(small):
    for tokens, types, words in (
        (np.ones((1, 10), np.int32), None, r"\[1, 10\].*at most 9"),
        (TOKENS[0], None, r"\[7\]; \[B, S\]"),
        (TOKENS, TYPES[:, :5], r"types have shape \[3, 5\].*\[3, 7\]"),
    ):
        with pytest.raises(ValueError, match=words):
            read(*small, tokens, types)
