from dataclasses import replace

import jax
import numpy as np
import pytest
from flax import nnx

from attention_jax.analysis.residuals import contributions, next_tokens, stream
from attention_jax.functional import sinusoidal
from attention_jax.models.places import Place
from attention_jax.models.transformer import Transformer, TransformerConfig
from attention_jax.training.step import split

POST = TransformerConfig(
    vocabulary=12, width=8, encoder_layers=2, decoder_layers=1, heads=2, feed_forward=8, dropout=0.1
)
CONFIGS = {
    "post, a layer without heads": replace(POST, encoder_heads=(0, 1), output_bias=True),
    "pre, shared keys": replace(POST, norm="pre", tied=False, heads=4, key_value_heads=2),
}
SOURCE = np.array([[3, 4, 5, 2], [6, 2, 0, 0]])
TARGET = np.array([[1, 7, 8], [1, 9, 10]])
SHIFT = 0.1  # of output biases, which start from zero, where nobody would miss them


@pytest.fixture(scope="module", params=CONFIGS.values(), ids=list(CONFIGS))
def model(request):
    graph, params = split(Transformer(request.param, rngs=nnx.Rngs(0)))
    return graph, jax.tree.map(lambda leaf: leaf if leaf.any() else leaf + SHIFT, params)


@pytest.fixture(scope="module")
def found(model):
    graph, params = model
    return stream(graph, params, SOURCE, TARGET)


def test_the_stream_is_the_pass_that_the_model_makes(model, found):
    graph, params = model
    names = [f"encoder layer {n}, {part}" for n in (1, 2) for part in ("attention", "feed-forward")]
    parts = ("attention", "cross-attention", "feed-forward")
    assert list(map(str, found)) == names + [f"decoder layer 1, {part}" for part in parts]
    table = np.asarray(params["source_embedding"]["table"])
    wanted = table[SOURCE[0]] * 8**0.5 + np.asarray(sinusoidal(4, 8))
    np.testing.assert_allclose(found[0].before[0], wanted, rtol=1e-5)
    assert not found[0].before[1, 2:].any(), "padding holds nothing"
    for place in (1, 2, 3, 5, 6):
        np.testing.assert_array_equal(found[place - 1].after, found[place].before)
    logits = jax.jit(lambda p: nnx.merge(graph, p)(SOURCE, TARGET))(params)
    last = next_tokens(graph, params, found[-1].after)
    np.testing.assert_allclose(last, jax.nn.softmax(logits, -1), rtol=1e-4)


def test_after_is_the_sum_or_the_normalised_sum(model, found):
    post = nnx.merge(*model).config.norm == "post"
    for one in found:
        total = one.before + one.added
        if post:
            total = total - total.mean(-1, keepdims=True)
            total = total / np.sqrt(np.square(total).mean(-1, keepdims=True) + 1e-6) + SHIFT
        np.testing.assert_allclose(one.after, total, atol=1e-4, err_msg=str(one))


def test_contributions_add_up_to_what_the_attention_adds(model, found):
    graph, params = model
    each, config = contributions(graph, params, SOURCE, TARGET), nnx.merge(graph, params).config
    assert list(each) == [place for place in config.places() if config.heads_at(place)]
    for one in found:
        if one.sublayer == "feed-forward":
            continue
        place = Place("cross" if one.sublayer == "cross-attention" else one.stack, one.layer)
        total = each[place].sum((1, 3)) if place in each else 0.0
        wanted = total + SHIFT * config.output_bias
        np.testing.assert_allclose(one.added, wanted + 0 * one.added, atol=1e-5, err_msg=str(one))


def test_nothing_comes_from_padding_or_from_later(model):
    graph, params = model
    each = contributions(graph, params, SOURCE, TARGET)
    assert not each[Place("cross", 0)][1, :, :, 2:].any()
    assert each[Place("cross", 0)][1, :, :, :2].any()
    later = np.triu(np.ones((3, 3), bool), 1)
    assert not each[Place("decoder", 0)][:, :, later].any()
