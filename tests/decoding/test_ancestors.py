"""Beam search that leaves keys and values where they are: the same search, without moving them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from attention_jax.decoding.beam import beam
from attention_jax.models.marian import Marian, MarianConfig
from attention_jax.models.transformer import Transformer, TransformerConfig

LENGTH, BEAMS = 10, 4
SIZES = {"width": 16, "heads": 4, "feed_forward": 32, "encoder_layers": 1, "decoder_layers": 2}


def made(**options):
    """A model of strong opinions, so that hypotheses cross, and sources of several lengths."""
    config = TransformerConfig(vocabulary=14, dropout=0.0, **SIZES, **options)
    model = nnx.jit(lambda: Transformer(config, rngs=nnx.Rngs(3)))()
    model.projection.kernel[...] *= 4
    for layer in model.decoder:
        layer.attention.value.kernel[...] *= 3
    source = np.random.default_rng(0).integers(3, 14, (5, 6)).astype(np.int32)
    source[1, 3:], source[4, 1:] = 0, 0
    return model, source


def other(config, build):
    """A model of another kind, and the same sources."""
    model = nnx.jit(lambda: build(config, rngs=nnx.Rngs(3)))()
    model.output_bias[...] = jnp.linspace(0.3, 0, 14)
    for layer in model.decoder:
        layer.attention.value.kernel[...] *= 3
    return model, made(tied=False)[1]


def found(model, source, **how):
    """Hypotheses and scores, and how often one went on from another than itself."""
    graph, params = nnx.split(model)
    crossings = []

    def search(params, source):
        model = nnx.merge(graph, params)

        def reorder(cache, rows):
            jax.debug.callback(lambda rows: crossings.append(rows != np.arange(len(rows))), rows)
            return model.reorder(cache, rows)

        if how.get("widen") is True:
            how["widen"] = model.widen
        sizes = {"rows": len(source), "length": LENGTH, "beams": BEAMS, "penalty": 0.6}
        return beam(model.step, model.start(source, LENGTH), **sizes, reorder=reorder, **how)

    tokens, scores = jax.jit(search)(params, source)
    jax.effects_barrier()
    return np.asarray(tokens), np.asarray(scores), int(np.sum(crossings))


MARIAN = MarianConfig(
    vocabulary=14,
    width=16,
    encoder_heads=4,
    decoder_heads=4,
    encoder_feed_forward=32,
    decoder_feed_forward=32,
    encoder_layers=1,
    decoder_layers=2,
    dropout=0.0,
)
MODELS = {
    "transformer": lambda: made(tied=False),
    "grouped, no positions": lambda: made(tied=False, key_value_heads=2, positions="none"),
    "marian": lambda: other(MARIAN, Marian),
}


@pytest.mark.parametrize("name", MODELS)
def test_hypotheses_are_those_of_a_moved_cache(name):
    model, source = MODELS[name]()
    tokens, scores, crossings = found(model, source)
    assert crossings > 10  # or nothing here tells ancestors apart
    held, same, _ = found(model, source, widen=True)
    np.testing.assert_array_equal(held, tokens)
    np.testing.assert_allclose(same, scores, atol=1e-5)
    assert len({row.tobytes() for row in tokens.reshape(-1, LENGTH)}) > BEAMS


def test_what_the_source_gives_is_kept_once():
    model, source = made(tied=False)
    wide = model.widen(model.start(source, LENGTH), BEAMS)
    assert {key.shape for key in wide.cross_keys} == {(5, 4, 6, 4)}
    assert {key.shape for key in wide.keys} == {(5, 4, BEAMS, LENGTH, 4)}
    rows = jnp.arange(5 * BEAMS) // BEAMS * BEAMS  # all go on from the first of their source
    moved = model.reorder(wide, rows)
    assert all(after is before for after, before in zip(moved.keys, wide.keys, strict=True))
    assert (np.asarray(moved.ancestors) == 0).all()


def test_told_distances_need_sources_in_their_order():
    model, source = made(tied=False, positions="t5")
    wide = model.widen(model.start(source, LENGTH), BEAMS)
    assert wide.ancestors is None and wide.keys[0].shape[0] == 5 * BEAMS
    held, scores, _ = found(model, source, widen=True)
    tokens, same, _ = found(model, source)
    np.testing.assert_array_equal(held, tokens)
    np.testing.assert_array_equal(scores, same)
