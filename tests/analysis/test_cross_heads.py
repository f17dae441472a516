"""Alignment through `explain`: any model, and the Transformer's heads as `measure` has them."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from attention_jax.analysis.alignment import Aligned, Words, align, alignment_error
from attention_jax.analysis.cross_heads import bounds, cross_errors, cross_maps, errors_of
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
from attention_jax.experiment import Experiment
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
    gold = np.zeros((len(pairs), 6, 6), bool)
    for row, pair in enumerate(pairs):
        source[row, : len(pair.source.split())] = target[row, : len(pair.target.split())] = 3
        for one, other in pair.alignment:
            gold[row, other, one] = True
    words = Words(*(np.where(side != 0, np.arange(6)[None], -1) for side in (source, target)))
    return Batch(source, target, target, (target != 0).astype(np.float32)), Aligned(words, gold)


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.train(["the ball is the ball", "la pelota la pelota"] * 4, 275)


def test_every_cross_head_of_any_model_is_judged():
    batch, aligned = whole_words(PAIRS)
    found = cross_errors(*nnx.split(Fixed(), nnx.Param), [batch, batch], [aligned, aligned])
    assert list(found) == [Head("cross", 0, 0), Head("cross", 1, 0), Head("cross", 1, 1)]

    def wanted(guess):
        links = {
            (10 * n + guess(t), 10 * n + t)
            for n, pair in enumerate(PAIRS)
            for t in range(len(pair.target.split()))
        }
        gold = {(10 * n + s, 10 * n + t) for n, pair in enumerate(PAIRS) for s, t in pair.alignment}
        return alignment_error(links, gold)

    assert found[Head("cross", 0, 0)] == pytest.approx(wanted(lambda t: t))
    assert found[Head("cross", 1, 0)] == pytest.approx(wanted(lambda t: 0))
    assert found[Head("cross", 1, 1)] == found[Head("cross", 0, 0)]
    assert bounds([aligned]) == (0, pytest.approx(found[Head("cross", 0, 0)]))


def transformer(vocabulary):
    config = TransformerConfig("tiny", vocabulary, 16, 1, 2, heads=2, feed_forward=8)
    return nnx.split(Transformer(config, rngs=nnx.Rngs(0)), nnx.Param)


def test_bounds_worked_by_hand():
    # Two target words; the first has two gold sources, the second none: one of 2 + 2 links is hit.
    words = Words(np.array([[0, 1, 2, -1]]), np.array([[0, 1, -1]]))
    gold = np.zeros((1, 3, 4), bool)
    gold[0, 0, [1, 2]] = True
    found = bounds([Aligned(words, gold)])
    assert found.least == pytest.approx(1 - 2 / 4)
    assert found.diagonal == 1
    # Longer targets end at the last source word.
    words = Words(np.array([[0, 1, -1, -1]]), np.array([[0, 1, 2]]))
    gold = np.zeros((1, 3, 4), bool)
    gold[0, [0, 1, 2], [0, 0, 1]] = True
    found = bounds([Aligned(words, gold)])
    assert (found.least, found.diagonal) == (0, pytest.approx(1 - 4 / 6))


def test_a_transformers_heads_have_the_errors_that_measure_finds():
    _, graph, params, batch, named = hand_built()
    place = np.arange(batch.source.shape[1])[None]
    words = Words(*(np.where(x != 0, place, -1) for x in (batch.source, batch.target_out)))
    same = (place[..., None] == place[:, None]) & (batch.source != 0)[:, :, None]
    aligned = [Aligned(words, same)]
    found = cross_errors(graph, params, [batch], aligned)
    wanted = {
        Head(one["part"], one["layer"], one["head"]): one["alignment_error"]
        for one in measure(graph, params, [batch], aligned)["heads"]
        if one["part"] == "cross"
    }
    assert found == pytest.approx(wanted) and found[named["reader"]] == 0


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
    batch, aligned = whole_words(PAIRS)

    class Silent(Fixed):
        def __call__(self, source, target_in, *, explain):
            return None, {}

    with pytest.raises(ValueError, match="found no cross-attention in 1 batches"):
        cross_errors(*nnx.split(Silent(), nnx.Param), [batch], [aligned])


@pytest.fixture
def recalling(monkeypatch):
    """A run, as `trained.load` gives it, of a corpus with gold alignments."""
    data = DataConfig("recall-2", "pairs", "values", vocabulary=300, max_length=16)
    pairs = load_corpus(data).splits["train"][:50]
    tokenizer = Tokenizer.train([side for pair in pairs for side in pair[:2]], 300)
    graph, params = transformer(tokenizer.size)
    given = Experiment(data=data), tokenizer, graph, params
    monkeypatch.setattr("attention_jax.trained.load", lambda folder, which: given)


@pytest.mark.usefixtures("recalling")
def test_the_heads_of_a_run():
    found = errors_of("run", split="test", sentences=50)
    assert list(found) == [Head("cross", layer, head) for layer in (0, 1) for head in (0, 1)]
    assert all(0 < error < 1 for error in found.values())
    read = errors_of("run", split="test", sentences=50, reading="having read")
    assert read.keys() == found.keys() and read != found
    with pytest.raises(ValueError, match="split is 'tset'; one of train, validation, test"):
        errors_of("run", split="tset")


@pytest.mark.usefixtures("recalling")
def test_sentences_without_gold_alignments_are_refused(monkeypatch):
    splits = {"validation": [Pair("ba", "om")]}
    monkeypatch.setattr(
        "attention_jax.analysis.sentences.load_corpus", lambda _: SimpleNamespace(splits=splits)
    )
    with pytest.raises(ValueError, match="no gold alignments in the split 'validation' of recall"):
        errors_of("run")
