"""The encoder-decoder against the paper and itself; what it shares with others: `test_family`."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from attention_jax.models.transformer import PRESETS, Transformer, TransformerConfig
from attention_jax.training.step import split

SMALL = TransformerConfig(
    vocabulary=23, width=16, encoder_layers=2, decoder_layers=2, heads=4, feed_forward=24
)
SOURCE = np.array([[5, 6, 7, 8, 2], [9, 4, 2, 0, 0]], np.int32)
TARGET = np.array([[1, 11, 12, 13], [1, 14, 15, 3]], np.int32)
VARIANTS = {
    "paper": SMALL,
    "pre-norm": replace(SMALL, norm="pre"),
    "untied": replace(SMALL, tied=False),
    "grouped": replace(SMALL, key_value_heads=2),
    "one head": replace(SMALL, heads=1),
    "small heads": replace(SMALL, heads=3, head_size=2, output_bias=True),
}


def build(config, seed=0):
    return Transformer(config, rngs=nnx.Rngs(seed))


@pytest.fixture(scope="module", params=VARIANTS.values(), ids=VARIANTS)
def model(request):
    return build(request.param)


def count(config):
    shapes = nnx.eval_shape(lambda: build(config))
    return sum(leaf.size for leaf in jax.tree.leaves(split(shapes)[1]))


# The paper rounds, and says of its vocabulary only that it has "about 37000 tokens".
@pytest.mark.parametrize(
    ("preset", "published", "tolerance"), [("base", 65e6, 0.035), ("big", 213e6, 0.01)]
)
def test_presets_have_the_papers_parameters(preset, published, tolerance):
    assert count(PRESETS[preset]) == pytest.approx(published, rel=tolerance)


def test_tiny_has_the_published_parameters():
    # Wu et al. 2021 report 2.55 M with a joint vocabulary a little under 10,000 pieces.
    assert count(replace(PRESETS["tiny"], vocabulary=9_700)) == pytest.approx(2.55e6, rel=0.01)


def test_head_counts_share_parameters_and_initial_arrays():
    one, four = (split(build(replace(SMALL, heads=heads)))[1] for heads in (1, 4))
    jax.tree.map(np.testing.assert_array_equal, one, four)


def test_head_counts_compute_different_things():
    one, four = (build(replace(SMALL, heads=heads))(SOURCE, TARGET) for heads in (1, 4))
    assert not np.allclose(one, four)


def test_untied_embeddings_are_three_tables():
    more = count(VARIANTS["untied"]) - count(SMALL)
    assert more == 2 * SMALL.vocabulary * SMALL.width


def test_tied_table_takes_gradients_from_both_ends():
    graph, params = split(build(SMALL))

    def total(params):
        return nnx.merge(graph, params)(SOURCE, TARGET)[..., 3].sum()

    table = jax.grad(total)(params)["source_embedding"]["table"]
    assert jnp.abs(table[5]).max() > 0  # only ever read in the source
    assert jnp.abs(table[3]).max() > 0
    assert jnp.abs(table[20]).max() == 0  # neither read nor asked for


def test_explain_gives_the_weights_and_leaves_the_logits_alone(model):
    logits, weights = model(SOURCE, TARGET, explain=True)
    np.testing.assert_array_equal(logits, model(SOURCE, TARGET))
    heads = model.config.heads
    assert weights.encoder.shape == (2, 2, heads, 5, 5)
    assert weights.decoder.shape == (2, 2, heads, 4, 4)
    assert weights.cross.shape == (2, 2, heads, 4, 5)
    for part in weights:
        np.testing.assert_allclose(part.sum(-1), 1, atol=1e-5)
    assert (weights.cross[:, 1, ..., 3:] == 0).all()  # padding of the second source
    assert (jnp.triu(weights.decoder, 1) == 0).all()


def test_padding_changes_nothing():
    model = build(SMALL)
    longer = np.pad(SOURCE, ((0, 0), (0, 3)))
    np.testing.assert_allclose(model(longer, TARGET), model(SOURCE, TARGET), atol=1e-5)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"heads": 5}, ["heads is 5", "width, 16", "1, 2, 4, 8, 16"]),
        ({"heads": 0}, ["heads is 0"]),
        ({"key_value_heads": 3}, ["key_value_heads is 3", "heads, 4"]),
        ({"width": 15, "heads": 3}, ["width is 15", "even"]),
        ({"dropout": 1.0}, ["dropout is 1.0"]),
        ({"vocabulary": 0}, ["vocabulary is 0"]),
        ({"norm": "middle"}, ["norm is 'middle'", "post"]),
        ({"head_size": 0}, ["head_size is 0"]),
        ({"encoder_heads": (4,)}, ["encoder_heads is (4,)", "2 numbers"]),
        ({"cross_heads": (4, -1)}, ["cross_heads is (4, -1)", "from 0 up"]),
        ({"decoder_heads": (2, 2), "key_value_heads": 2}, ["decoder_heads", "key_value_heads"]),
    ],
)
def test_impossible_sizes_are_refused(change, words):
    with pytest.raises(ValueError) as error:
        replace(SMALL, **change)
    assert all(word in str(error.value) for word in words)
