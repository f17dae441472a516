"""Alignment through `explain`: any model, and the Transformer's heads as `measure` has them."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from attention_jax.analysis.alignment import Aligned, Words, align, alignment_error
from attention_jax.analysis.cross_heads import (
    Gold,
    bounds,
    cross_errors,
    cross_maps,
    gold,
    judge,
    link_map,
    winding,
)
from attention_jax.analysis.heads import measure
from attention_jax.data import (
    Batch,
    DataConfig,
    Pair,
    Tokenizer,
    encode_pairs,
    eval_batches,
    load_corpus,
)
from attention_jax.models.decoder_only import DecoderOnly
from attention_jax.models.places import Head, Place
from attention_jax.models.transformer import Transformer, TransformerConfig
from tests.analysis.hand_built import hand_built

PAIRS = [
    Pair("the unbelievable ball", "la pelota increíble", ((0, 0), (1, 2), (2, 1))),
    Pair("is the ball blue?", "¿es azul la pelota?", ((0, 0), (3, 1), (1, 2), (2, 3))),
    Pair("balls", "pelotas", ((0, 0),)),
]


class Fixed(nnx.Module):
    """A model of two cross-attentions: one looks at its own position, one at the first."""

    def __init__(self):
        self.scale = nnx.Param(jnp.ones(()))

    def __call__(self, source, target_in, *, explain):
        shape = (source.shape[0], 1, target_in.shape[1], source.shape[1])
        here = jnp.eye(*shape[2:]) * self.scale[...]
        first = jnp.zeros(shape[2:]).at[:, 0].set(1)
        every = {
            Place("encoder", 0): jnp.zeros((source.shape[0], 1, *source.shape[1:] * 2)),
            Place("cross", 1): jnp.broadcast_to(
                jnp.stack([first, here]), (shape[0], 2, *shape[2:])
            ),
            Place("cross", 0): jnp.broadcast_to(here, shape),
        }
        return None, {place: explain(place, weights) for place, weights in every.items()}


def whole_words(pairs):
    """A batch whose every word is one token, and its links."""
    source, target = np.zeros((2, len(pairs), 6), np.int32)
    links = np.zeros((len(pairs), 6, 6), bool)
    for row, pair in enumerate(pairs):
        source[row, : len(pair.source.split())] = target[row, : len(pair.target.split())] = 3
        for one, other in pair.alignment:
            links[row, other, one] = True
    words = Words(*(np.where(side != 0, np.arange(6)[None], -1) for side in (source, target)))
    batch = Batch(source, target, target, (target != 0).astype(np.float32))
    return Gold(pairs, [batch], [Aligned(words, links)])


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.train(["the ball is the ball", "la pelota la pelota"] * 4, 275)


def test_every_cross_head_of_any_model_is_judged():
    sentences = whole_words(PAIRS)
    model = nnx.split(Fixed(), nnx.Param)
    found = cross_errors(*model, Gold(*(2 * part for part in sentences)))  # two batches
    assert list(found) == [Head("cross", 0, 0), Head("cross", 1, 0), Head("cross", 1, 1)]

    def wanted(guess):
        links = {
            (10 * n + guess(t), 10 * n + t)
            for n, pair in enumerate(PAIRS)
            for t in range(len(pair.target.split()))
        }
        wanted = {
            (10 * n + s, 10 * n + t) for n, pair in enumerate(PAIRS) for s, t in pair.alignment
        }
        return alignment_error(links, wanted)

    assert found[Head("cross", 0, 0)] == pytest.approx(wanted(lambda t: t))
    assert found[Head("cross", 1, 0)] == pytest.approx(wanted(lambda t: 0))
    assert found[Head("cross", 1, 1)] == found[Head("cross", 0, 0)]
    assert bounds(sentences.aligned) == (0, pytest.approx(found[Head("cross", 0, 0)]))


def transformer(vocabulary):
    config = TransformerConfig("tiny", vocabulary, 16, 1, 2, heads=2, feed_forward=8)
    return nnx.split(Transformer(config, rngs=nnx.Rngs(0)), nnx.Param)


def test_bounds_worked_by_hand():
    # Two target words; the first has two gold sources, the second none: one of 2 + 2 links is hit.
    words = Words(np.array([[0, 1, 2, -1]]), np.array([[0, 1, -1]]))
    links = np.zeros((1, 3, 4), bool)
    links[0, 0, [1, 2]] = True
    found = bounds([Aligned(words, links)])
    assert found.least == pytest.approx(1 - 2 / 4)
    assert found.diagonal == 1
    # Longer targets end at the last source word.
    words = Words(np.array([[0, 1, -1, -1]]), np.array([[0, 1, 2]]))
    links = np.zeros((1, 3, 4), bool)
    links[0, [0, 1, 2], [0, 0, 1]] = True
    found = bounds([Aligned(words, links)])
    assert (found.least, found.diagonal) == (0, pytest.approx(1 - 4 / 6))


def test_a_transformers_heads_have_the_errors_that_measure_finds():
    _, graph, params, batch, named = hand_built()
    place = np.arange(batch.source.shape[1])[None]
    words = Words(*(np.where(x != 0, place, -1) for x in (batch.source, batch.target_out)))
    same = (place[..., None] == place[:, None]) & (batch.source != 0)[:, :, None]
    aligned = [Aligned(words, same)]
    found = cross_errors(graph, params, Gold([], [batch], aligned))
    wanted = {
        Head(one["part"], one["layer"], one["head"]): one["alignment_error"]
        for one in measure(graph, params, [batch], aligned)["heads"]
        if one["part"] == "cross"
    }
    assert found == pytest.approx(wanted) and found[named["reader"]] == 0


class OneSequence(DecoderOnly):
    """Target position t gives all to token t of its source, which padding stands in front of."""

    def __init__(self):
        self.scale = nnx.Param(jnp.ones(()))

    def __call__(self, source, target_in, *, explain):
        (rows, length), more = source.shape, target_in.shape[1]
        padding = (source == 0).sum(1)[:, None]
        here = jax.nn.one_hot(padding + jnp.arange(more)[None], length + more) * self.scale[...]
        weights = jnp.concatenate([jnp.zeros((rows, length, length + more)), here], axis=1)
        return None, {Place("decoder", 0): explain(Place("decoder", 0), weights[:, None])}


def test_one_sequence_is_judged_by_what_its_target_gives_to_its_source():
    sentences = whole_words(PAIRS)
    found = cross_errors(*nnx.split(OneSequence(), nnx.Param), sentences)
    assert found == {Head("decoder", 0, 0): pytest.approx(bounds(sentences.aligned).diagonal)}


def test_maps_are_between_words(tokenizer):
    pair = PAIRS[0]  # of many tokens a word
    graph, params = transformer(tokenizer.size)
    found = cross_maps(graph, params, tokenizer, pair)
    assert list(found) == [Head("cross", layer, head) for layer in (0, 1) for head in (0, 1)]
    batch = eval_batches(encode_pairs([pair], tokenizer, max_length=64), tokens=64)[0]
    (aligned,) = align([batch], [pair], tokenizer)

    @jax.jit
    def look(params):
        model = nnx.merge(graph, params)
        return model(batch.source, batch.target_in, explain=lambda _, weights: weights)[1]

    every = look(params)
    weights = np.asarray(every[Place("cross", 1)])[0, 1]
    for (t, s), got in np.ndenumerate(found[Head("cross", 1, 1)]):
        rows = np.flatnonzero(aligned.words.target[0] == t)
        columns = np.flatnonzero(aligned.words.source[0] == s)
        assert got == pytest.approx(weights[np.ix_(rows, columns)].sum() / len(rows), abs=1e-6)
    assert found[Head("cross", 0, 0)].shape == (3, 3)
    # What is left goes to the end mark.
    assert all((one.sum(-1) > 0).all() and (one.sum(-1) < 1).all() for one in found.values())


def test_a_model_without_attention_is_refused():
    class Silent(Fixed):
        def __call__(self, source, target_in, *, explain):
            return None, {}

    with pytest.raises(ValueError, match="found no cross-attention"):
        cross_errors(*nnx.split(Silent(), nnx.Param), whole_words(PAIRS))


def test_the_best_head_is_chosen_on_other_sentences():
    # On one sentence it is better to look at the first word; on the other, at the own position.
    first, own = (
        whole_words([Pair("a b c", "x y z", links)])
        for links in (((0, 0), (0, 1), (0, 2)), ((0, 0), (1, 1), (2, 2)))
    )
    model = nnx.split(Fixed(), nnx.Param)
    found = judge(*model, chosen=first, judged=own)
    assert found.best == Head("cross", 1, 0) and found.error == pytest.approx(2 / 3)
    assert found.errors == cross_errors(*model, own) and min(found.errors.values()) == 0
    assert judge(*model, chosen=own, judged=own)[:2] == (Head("cross", 0, 0), 0)


def test_gold_sentences_of_a_corpus():
    data = DataConfig("recall-2", "pairs", "values", vocabulary=300, max_length=16)
    pairs = load_corpus(data).splits["test"]
    tokenizer = Tokenizer.train([side for pair in pairs[:9] for side in pair[:2]], 300)
    found = gold(data, tokenizer, "test", sentences=50)
    assert found.pairs == pairs[:50] and sum(one.gold.sum() for one in found.aligned) == 100
    graph, params = transformer(tokenizer.size)
    errors = cross_errors(graph, params, found)
    assert list(errors) == [Head("cross", layer, head) for layer in (0, 1) for head in (0, 1)]
    assert all(0 < error < 1 for error in errors.values())
    read = gold(data, tokenizer, "test", sentences=50, reading="having read")
    assert cross_errors(graph, params, read) != errors
    with pytest.raises(ValueError, match="split is 'tset'; one of train, validation, test"):
        gold(data, tokenizer, "tset")
    with pytest.raises(ValueError, match="sentences is 0"):
        gold(data, tokenizer, "test", sentences=0)


def test_sentences_without_gold_alignments_are_refused(monkeypatch, tokenizer):
    splits = {"validation": [Pair("ba", "om")]}
    monkeypatch.setattr(
        "attention_jax.analysis.sentences.load_corpus", lambda _: SimpleNamespace(splits=splits)
    )
    with pytest.raises(ValueError, match="no gold alignments in the split 'validation' of phrase"):
        gold(DataConfig(), tokenizer, "validation")


def test_gold_links_as_a_map():
    np.testing.assert_array_equal(link_map(PAIRS[0]), [[1, 0, 0], [0, 0, 1], [0, 1, 0]])
    assert link_map(Pair("a b", "c")).tolist() == [[0, 0]]


def test_winding_pairs_come_first():
    straight = Pair("a b c", "d e f", ((0, 0), (1, 1), (2, 2)))
    fan = Pair("a", "b c d", ((0, 0), (0, 1), (0, 2)))  # long links, but none crosses another
    turned = Pair("a b c", "d e f", ((0, 2), (1, 1), (2, 0)))
    long = Pair(11 * "a ", 11 * "b ", tuple((n, 10 - n) for n in range(11)))
    # Three crossings, two, one.
    assert winding([straight, fan, PAIRS[0], PAIRS[1], turned, long], 3) == [
        turned,
        PAIRS[1],
        PAIRS[0],
    ]
    assert winding([straight, long], 1, longest=11) == [long]
