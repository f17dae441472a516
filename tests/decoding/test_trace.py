"""The record of a beam search, held against the search and against the model itself."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from attention_jax.decoding import beam
from attention_jax.decoding.trace import Taken, trace
from attention_jax.models.transformer import Transformer, TransformerConfig

END = 2


class Table(nnx.Module):
    """The table model of these tests, as a module: its source is the row's number."""

    def __init__(self, toy, table):
        self.begin, self.advance = toy.cache, toy.step
        self.table = nnx.Param(jnp.asarray(table))

    def start(self, source, length):
        return self.begin(self.table[...][source[:, 0]])

    def step(self, cache, tokens):
        return self.advance(cache, tokens)


def path_of(found, written):
    """The tokens and the last log-probability along a path, parents checked."""
    parent, tokens, taken = -1, [], Taken(0, 0.0, -1)
    for step, place in zip(found.steps, written.path, strict=False):
        taken = step[place]
        assert taken.parent == parent
        parent, tokens = place, [*tokens, taken.token]
    return tokens, taken.score


@pytest.fixture(scope="module")
def model():
    config = TransformerConfig(
        vocabulary=20, width=16, heads=2, encoder_layers=1, decoder_layers=2, feed_forward=32
    )
    made = Transformer(config, rngs=nnx.Rngs(0))
    return SimpleNamespace(whole=made, split=nnx.split(made, nnx.Param))


@pytest.mark.parametrize("beams, hypotheses", [(1, 1), (3, 2), (4, 4)])
def test_the_hypotheses_are_those_of_the_search(model, beams, hypotheses):
    source = np.array([5, 9, 7, END])
    sizes = {"length": 7, "beams": beams, "penalty": 0.6, "hypotheses": hypotheses}
    found = trace(*model.split, source, **sizes)
    whole = model.whole
    tokens, scores = jax.jit(
        lambda: beam(
            whole.step, whole.start(source[None], 7), rows=1, reorder=whole.reorder, **sizes
        )
    )()
    assert len(found.hypotheses) == hypotheses
    for place, one in enumerate(found.hypotheses):
        padded = [*one.tokens, *[0] * (7 - len(one.tokens))]
        np.testing.assert_array_equal(padded, tokens[0, place])
        np.testing.assert_allclose(one.score, scores[0, place], rtol=1e-5)
        assert path_of(found, one)[0] == one.tokens


def test_every_score_is_that_of_its_tokens(model):
    source = np.array([5, 9, 7, END])
    found = trace(*model.split, source, length=6, beams=3, penalty=0.0, hypotheses=3)
    written: dict[int, list[int]] = {-1: []}
    checked = 0
    score = jax.jit(lambda target: jax.nn.log_softmax(model.whole(source[None], target)[0]))
    for step in found.steps:
        here = {}
        for place, one in enumerate(step):
            tokens = [*written[one.parent], one.token]
            padded = jnp.array([[1, *tokens[:-1], *[3] * (6 - len(tokens))]])
            logs = score(padded)[jnp.arange(len(tokens)), jnp.array(tokens)]
            np.testing.assert_allclose(one.score, logs.sum(), rtol=1e-4)
            checked += 1
            if one.token != END:
                here[place] = tokens
        written = here
    assert checked >= 3 * len(found.steps) - 2


def test_ended_hypotheses_join_the_step_at_which_they_end(model):
    found = trace(*model.split, np.array([4, END]), length=5, beams=3, penalty=0.6, hypotheses=3)
    ends = [
        (place, one) for place, step in enumerate(found.steps) for one in step if one.token == END
    ]
    assert len(ends) == len(found.hypotheses) == 3
    for one in found.hypotheses:
        assert found.steps[len(one.tokens) - 1][one.path[-1]].token == END


def test_one_beam_wrote_what_it_wrote(model):
    sizes = {"length": 5, "beams": 1, "penalty": 0.6}
    found = trace(*model.split, np.array([4, END]), **sizes)
    assert [[one.token for one in step] for step in found.steps] == [
        [token] for token in found.hypotheses[0].tokens
    ]


def test_a_vocabulary_with_fewer_words_than_beams(toy):
    graph, params = nnx.split(Table(toy, toy.table(0, rows=2, vocabulary=5)), nnx.Param)
    found = trace(graph, params, np.array([1]), length=3, beams=6, penalty=0.0, hypotheses=6)
    assert [len([one for one in step if one.token != END]) for step in found.steps] == [2, 4, 0]
    assert len({tuple(one.tokens) for one in found.hypotheses}) == len(found.hypotheses) == 6
    assert not {0, 1} & {one.token for step in found.steps for one in step}


def test_impossible_sizes_are_refused(model):
    with pytest.raises(ValueError, match="at most 2 would fit"):
        trace(*model.split, np.array([4, END]), length=5, beams=2, penalty=0.0, hypotheses=3)
