"""The encoder-decoder with one vector: the papers' sizes, and what the vector is and is not."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from attention_jax.models.rnn_seq2seq import RnnSeq2Seq, RnnSeq2SeqConfig
from attention_jax.training.step import split

SMALL = RnnSeq2SeqConfig(vocabulary=23, width=8, embedding=6, reverse_source=False)
EVERY = replace(SMALL, cell="gru_before", context="every")
SOURCE = np.array([[5, 6, 7, 8, 2], [9, 4, 2, 0, 0]], np.int32)
TARGET = np.array([[1, 11, 12, 13], [1, 14, 15, 3]], np.int32)


def build(config):
    return RnnSeq2Seq(config, rngs=nnx.Rngs(0))


def sizes(config):
    return split(nnx.eval_shape(lambda: build(config)))[1]


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def test_sutskevers_sizes_are_the_papers():
    # Section 3.4: 64M of recurrent connections, half of them the encoder's, and 80,000 words out.
    paper = RnnSeq2SeqConfig(vocabulary=80_000, width=1_000, layers=4)
    params = sizes(paper)
    assert count(params["encoder"]) == count(params["decoder"]) == pytest.approx(32e6, rel=1e-3)
    assert count(params["projection"]) == 80_000 * 1_000
    # The paper has 160,000 words on the source's side, one table of 80,000 more: 384M.
    assert count(params) + 80_000 * 1_000 == pytest.approx(384e6, rel=1e-3)


def test_tied_logits_come_from_the_table_where_they_can():
    for config, projected in [
        (replace(SMALL, tied=True), True),  # 8 features, and tokens of 6
        (replace(SMALL, tied=True, embedding=None), False),
        (replace(EVERY, tied=True), False),
        (EVERY, True),
    ]:
        params = sizes(config)
        assert ("projection" in params) == projected
        assert ("target_embedding" in params) != config.tied


def test_a_reversed_source_is_one_written_backwards():
    backwards = np.array([[2, 8, 7, 6, 5], [2, 4, 9, 0, 0]], np.int32)

    @jax.jit
    def read(source, reverse):
        # One program for all: the same arrays, whichever way.
        ways = [replace(SMALL, bidirectional=True, reverse_source=way) for way in (False, True)]
        plain, turned = (build(way)(source, TARGET) for way in ways)
        return jnp.where(reverse, turned, plain)

    np.testing.assert_array_equal(read(SOURCE, True), read(backwards, False))
    assert not np.allclose(read(SOURCE, True), read(SOURCE, False))


def test_the_decoder_starts_from_the_encoders_last_states():
    config = replace(SMALL, layers=2)
    model = build(config)
    _, finals = model.encoder(
        model.source_embedding.embed(jnp.asarray(SOURCE)), (SOURCE != 0).sum(-1)
    )
    cache = model.start(SOURCE, 3)
    jax.tree.map(np.testing.assert_array_equal, cache.state, finals)
    assert cache.context is None and len(finals) == 2


def test_with_the_vector_at_every_step_nothing_else_comes_across():
    # Other states of the encoder, the same vector: the decoder cannot tell.
    model = build(replace(EVERY, cell="lstm", layers=2, bidirectional=True))
    cache = model.start(SOURCE, 3)
    started = [jnp.tanh(bridge(cache.context)) for bridge in model.bridge]
    for (hidden, cell), wanted in zip(cache.state, started, strict=True):
        np.testing.assert_array_equal(hidden, wanted)
        assert not np.asarray(cell).any()
    assert cache.context.shape == (2, 8)


def test_the_vector_is_read_at_every_step_and_by_the_readout():
    model = build(EVERY)
    cache = model.start(SOURCE, 3)
    step = jax.jit(lambda cache: model.step(cache, np.array([1, 1])))
    logits, after = step(cache)
    other, moved = step(cache._replace(context=-cache.context))
    assert not np.allclose(logits, other) and not np.allclose(after.state[0], moved.state[0])
    # The same state and token: what is left is the readout's own look.
    model.decoder.forward[0].inputs.kernel[...] *= 0
    (first, one), (second, two) = (
        model.step(cache._replace(context=sign * cache.context), np.array([1, 1]))
        for sign in (1, -1)
    )
    np.testing.assert_array_equal(one.state[0], two.state[0])
    assert not np.allclose(first, second)


def test_there_is_nothing_to_explain():
    model = build(SMALL)
    (logits, found), plain = jax.jit(
        lambda: (model(SOURCE, TARGET, explain=True), model(SOURCE, TARGET))
    )()
    assert found == {}
    np.testing.assert_array_equal(logits, plain)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cell": "rnn"}, ["cell is 'rnn'", "gru_before"]),
        ({"context": "all"}, ["context is 'all'", "initial"]),
        ({"layers": 0}, ["layers is 0"]),
        ({"embedding": 0}, ["embedding is 0"]),
        ({"vocabulary": 0}, ["vocabulary is 0"]),
        ({"width": -2}, ["width is -2"]),
        ({"dropout": 1.0}, ["dropout is 1.0", "less than 1"]),
        ({"kind": "luong"}, ["kind is 'luong'", "rnn_seq2seq"]),
    ],
)
def test_impossible_sizes_are_refused(change, words):
    with pytest.raises(ValueError) as error:
        replace(SMALL, **change)
    assert all(word in str(error.value) for word in words)
