"""Chains of products and paths between positions, counted from programs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from attention_jax.analysis.longest_path import counts, longest_chain, shortest_path
from attention_jax.models.convolutional import ConvolutionalConfig, receptive_field
from attention_jax.models.kinds import build
from attention_jax.models.rnn_seq2seq import RnnSeq2SeqConfig
from attention_jax.models.transformer import TransformerConfig
from attention_jax.training.step import split

SIZES = {"vocabulary": 40, "width": 4, "dropout": 0.0, "tied": False}
LAYERS = {"encoder_layers": 1, "decoder_layers": 1}
SQUARE = np.ones((3, 3), np.float32)


def counted(config, length):
    graph, params = split(nnx.eval_shape(lambda: build(config, rngs=nnx.Rngs(0))))
    zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), params)
    return counts(graph, zeros, length)


def test_only_products_that_need_each_other_make_a_chain():
    assert longest_chain(lambda x: x + jnp.tanh(x), SQUARE) == 0
    assert longest_chain(lambda x: x @ x + x @ x, SQUARE) == 1
    assert longest_chain(lambda x: jnp.concatenate([(x @ x) @ x, x @ x]), SQUARE) == 2


def test_a_scan_is_a_chain_only_through_what_it_carries():
    def recurrence(x):
        return jax.lax.scan(lambda h, row: (h @ x + row, h), x[0], x)

    def total(x):
        return jax.lax.scan(lambda h, row: (h + row @ x, h), x[0], x)

    assert longest_chain(recurrence, SQUARE) == 3
    assert longest_chain(total, SQUARE) == 1


@pytest.mark.parametrize("reverse", [False, True])
def test_a_step_of_a_recurrence_is_a_step_on_the_way(reverse):
    def running(x):
        return jax.lax.scan(lambda h, one: (h + one,) * 2, 0.0, x, reverse=reverse)

    x = np.zeros(4, np.float32)
    final, outputs = shortest_path(running, [x], [np.arange(4) == 1])
    steps = [2, 1, 0] if reverse else [0, 1, 2]
    np.testing.assert_array_equal(outputs, [1, 0, np.inf, np.inf] if reverse else [np.inf, *steps])
    assert final == (1 if reverse else 2)


def test_paths_go_where_numbers_go():
    def moved(x):
        shifted = jnp.where(jnp.arange(4) < 2, jnp.roll(x, 1), 0.0)
        return jnp.stack([shifted, x[jnp.array([3, 2, 1, 0])], jnp.pad(x, (0, 1))[1:]])

    found = shortest_path(moved, [np.zeros(4, np.float32)], [np.arange(4) == 0])
    np.testing.assert_array_equal(np.argwhere(np.isfinite(found)), [[0, 1], [1, 3]])


def test_a_product_joins_rows_and_columns_and_counts_one():
    marked = np.zeros((3, 3), bool)
    marked[0, 2] = True
    found = shortest_path(lambda x: x @ SQUARE, [SQUARE], [marked])
    np.testing.assert_array_equal(
        found, np.where(np.arange(3)[:, None] == 0, 1, np.full(3, np.inf))
    )


def test_numbers_that_only_count_or_choose_are_no_path():
    found = shortest_path(
        lambda x: jnp.where((x > 0).sum() > 1, 1.0, 2.0),
        [np.ones(2, np.float32)],
        [np.ones(2, bool)],
    )
    assert found == np.inf


def test_a_primitive_that_is_not_known_is_named():
    with pytest.raises(ValueError, match="sort"):
        longest_chain(jnp.sort, np.zeros(3, np.float32))


def test_recurrence_grows_with_the_length_and_attention_does_not():
    transformer = TransformerConfig(heads=2, feed_forward=4, **LAYERS, **SIZES)
    short, long = counted(transformer, 3), counted(transformer, 6)
    assert short == long
    recurrent = RnnSeq2SeqConfig(layers=1, **SIZES)
    short, long = counted(recurrent, 3), counted(recurrent, 6)
    assert long["chain"] - short["chain"] == 2 * 3  # three more steps to read, three more to write
    assert long["source"] - short["source"] == 2 * 3
    assert long["target"] - short["target"] == 3


def test_a_convolution_reaches_as_far_as_its_receptive_field():
    config = ConvolutionalConfig(kernel=3, **LAYERS, **SIZES)
    reach = receptive_field(config, "decoder")
    within, beyond = counted(config, reach), counted(config, reach + 1)
    assert within["target"] is not None
    assert beyond["target"] is None
    assert within["chain"] == beyond["chain"]


def test_a_shared_table_or_too_few_tokens_are_refused():
    tied = TransformerConfig(heads=2, feed_forward=4, **LAYERS, **(SIZES | {"tied": True}))
    with pytest.raises(ValueError, match="tied=False and 9 would fit"):
        counted(tied, 3)
    with pytest.raises(ValueError, match="40 tokens; tied=False and 43 would fit"):
        counted(TransformerConfig(heads=2, feed_forward=4, **LAYERS, **SIZES), 20)
