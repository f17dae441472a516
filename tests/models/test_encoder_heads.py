"""The heads on an encoder: what NumPy computes, at the places asked for, whatever padding holds.

That the encoder computes what NumPy computes stands in `tests/interop`.
"""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from attention_jax.models.encoder_only import EncoderOnly, EncoderOnlyConfig
from attention_jax.models.masked_word_head import MaskedWords
from attention_jax.models.places import Place
from attention_jax.models.sentence_head import Sentences
from attention_jax.models.tag_head import Tags
from attention_jax.training.step import split

CONFIG = EncoderOnlyConfig(
    vocabulary=23, width=16, layers=1, heads=4, feed_forward=24, context=9, dropout=0.3
)
TOKENS = np.array([[5, 6, 7, 8, 2, 0, 0], [9, 4, 2, 0, 0, 0, 0]], np.int32)
PLACES = np.array([[1, 3], [2, 0]], np.int32)
MODELS = {
    "masked words": lambda rngs: MaskedWords(CONFIG, rngs=rngs),
    "first": lambda rngs: Sentences(CONFIG, 3, rngs=rngs),
    "mean": lambda rngs: Sentences(CONFIG, 3, "mean", rngs=rngs),
    "tags": lambda rngs: Tags(CONFIG, 5, rngs=rngs),
}


def build(name, dtype="float32"):
    """The structure and parameters in which every one matters."""
    graph, shapes = split(nnx.eval_shape(lambda: MODELS[name](nnx.Rngs(0))))
    draw = np.random.default_rng(0).normal
    return graph, jax.tree.map(lambda x: jnp.asarray(draw(0, 0.3, x.shape), dtype), shapes)


def read(name, graph, params, tokens=TOKENS, **call):
    places = (None, PLACES) if name == "masked words" else ()
    return nnx.merge(graph, params)(tokens, *places, **call)


@jax.jit
def features(encoder):
    graph = split(nnx.eval_shape(lambda: EncoderOnly(CONFIG, rngs=nnx.Rngs(0))))[0]
    return nnx.merge(graph, encoder)(TOKENS)


def norm(x, scale, bias):
    x = x - x.mean(-1, keepdims=True)
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + CONFIG.epsilon) * scale + bias


@pytest.mark.parametrize("name", MODELS)
def test_the_head_is_what_numpy_computes(name):
    graph, params = build(name)
    x = np.asarray(features(params["encoder"]), np.float64)
    at = jax.tree.map(np.float64, params)
    if name == "masked words":
        head, table = at["head"], at["encoder"]["embedding"]["table"]
        rows = np.stack([x[row][places] for row, places in enumerate(PLACES)])
        rows = rows @ head["dense"]["kernel"] + head["dense"]["bias"]
        rows = rows * (1 + np.vectorize(math.erf)(rows / math.sqrt(2))) / 2
        wanted = norm(rows, head["norm"]["scale"], head["norm"]["bias"]) @ table.T + head["bias"]
    elif name == "tags":
        wanted = x @ at["tags"]["kernel"] + at["tags"]["bias"]
    else:
        mean = [row[: (tokens != 0).sum()].mean(0) for row, tokens in zip(x, TOKENS, strict=True)]
        rows = x[:, 0] if name == "first" else np.stack(mean)
        rows = np.tanh(rows @ at["dense"]["kernel"] + at["dense"]["bias"])
        wanted = rows @ at["classes"]["kernel"] + at["classes"]["bias"]
    found = jax.jit(partial(read, name, graph))(params)
    real = (TOKENS != 0) if name == "tags" else np.ones(found.shape[:-1], bool)
    np.testing.assert_allclose(found[real], wanted[real], atol=2e-5)


@pytest.mark.parametrize("name", MODELS)
def test_padding_changes_no_bit_and_looking_changes_nothing(name):
    graph, params = build(name, "bfloat16")
    run = jax.jit(partial(read, name, graph))
    plain = np.asarray(run(params).astype(jnp.float32))
    broken = jax.tree.map(lambda leaf: leaf, params)
    table = params["encoder"]["embedding"]["table"]
    if name != "masked words":  # whose logits the row of padding is one of
        broken["encoder"]["embedding"]["table"] = table.at[0].set(jnp.nan)
    real = (TOKENS != 0) if name == "tags" else np.ones(plain.shape[:-1], bool)
    found = np.asarray(run(broken).astype(jnp.float32))
    np.testing.assert_array_equal(found[real], plain[real])
    look = jax.jit(partial(read, name, graph, explain=lambda place, weights: weights.sum(-1)))
    logits, seen = look(params)
    np.testing.assert_array_equal(np.asarray(logits.astype(jnp.float32))[real], plain[real])
    assert list(seen) == [Place("encoder", 0)]


@pytest.mark.parametrize("name", MODELS)
def test_dropout_heads_and_letters(name):
    graph, params = build(name)
    keys = [jax.random.key(seed, impl="rbg") for seed in (0, 1)]
    dropped = jax.jit(lambda params, key: read(name, graph, params, rng=key))
    first, same, other = (dropped(params, key) for key in (keys[0], *keys))
    np.testing.assert_array_equal(first, same)
    assert not np.allclose(first, other, atol=1e-3)
    silent = jax.jit(partial(read, name, graph, heads=lambda place, outputs: outputs * 0))
    assert not np.allclose(silent(params), jax.jit(partial(read, name, graph))(params), atol=1e-3)
    for path, variable in nnx.to_flat_state(nnx.state(nnx.merge(graph, params), nnx.Param)):
        assert len(variable.get_metadata()["letters"].split()) == variable[...].ndim, path


def test_positions_are_those_given():
    graph, params = build("masked words")
    run = jax.jit(partial(read, "masked words", graph))
    along = np.broadcast_to(np.arange(7, dtype=np.int32), TOKENS.shape)
    np.testing.assert_array_equal(run(params, positions=along), run(params))
    assert not np.allclose(run(params, positions=along[:, ::-1]), run(params), atol=1e-2)


def test_what_does_not_fit_is_refused():
    graph, params = build("masked words")
    model = nnx.merge(graph, params)
    with pytest.raises(ValueError, match=r"places have shape \[1, 2\]; \[2, M\] would fit"):
        model(TOKENS, None, PLACES[:1])
    with pytest.raises(ValueError, match=r"positions have shape \[2, 5\]"):
        model(TOKENS, None, PLACES, positions=TOKENS[:, :5])
    with pytest.raises(ValueError, match="classes is 1"):
        Sentences(CONFIG, 1, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="pooling is 'last'"):
        Sentences(CONFIG, 2, "last", rngs=nnx.Rngs(0))  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="tags is 0"):
        Tags(CONFIG, 0, rngs=nnx.Rngs(0))
