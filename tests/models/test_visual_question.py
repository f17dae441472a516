"""The model that answers questions against its rewriting in NumPy, and itself."""

import functools
from dataclasses import replace
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from attention_jax.models.captioning_layers import CellsConfig
from attention_jax.models.places import Head, Place
from attention_jax.models.visual_question import VisualQuestion, VisualQuestionConfig
from attention_jax.training.step import split
from tests.models.attentive_oracle import in_float64
from tests.models.family import bits
from tests.models.picture_oracle import visual_question

SMALL = VisualQuestionConfig(
    vocabulary=9,
    answers=5,
    length=6,
    cells=CellsConfig(side=12, narrow=3, channels=5, convolutions=1),
    width=8,
    layers=2,
    heads=2,
    feed_forward=10,
)
PICTURES = np.random.default_rng(0).integers(0, 256, (2, 12, 12, 3), np.uint8)
QUESTIONS = np.array(
    [[[1, 4, 5, 6, 7], [1, 8, 3, 0, 0]], [[1, 3, 0, 0, 0], [0, 0, 0, 0, 0]]], np.int32
)


@functools.cache
def made(dtype="float32"):
    """The model with random parameters, no bias zero, and its compiled call."""
    graph, shapes = split(nnx.eval_shape(lambda: VisualQuestion(SMALL, rngs=nnx.Rngs(0))))
    chance = np.random.default_rng(0)
    params = jax.tree.map(lambda one: (0.5 * chance.normal(size=one.shape)).astype(dtype), shapes)

    def explained(params, pictures, questions):
        return nnx.merge(graph, params)(pictures, questions, explain=True)

    return SimpleNamespace(graph=graph, params=params, explained=jax.jit(explained))


def agrees(one, atol):
    params = in_float64(one.params)
    logits, found = one.explained(one.params, PICTURES, QUESTIONS)
    assert logits.shape == (2, 2, 5)
    for row, place in ((0, 0), (0, 1), (1, 0)):
        question = [token for token in QUESTIONS[row, place] if token]
        wanted, weights = visual_question(params, PICTURES[row], question, SMALL.heads)
        np.testing.assert_allclose(logits[row, place], wanted, atol=atol)
        size = len(question)
        for layer in range(SMALL.layers):
            here = found[Place("encoder", layer)][2 * row + place]
            np.testing.assert_allclose(here[:, :size, :size], weights["encoder", layer], atol=atol)
            assert not np.asarray(here[..., size:]).any()
            here = found[Place("cross", layer)][row, :, 5 * place : 5 * place + size]
            np.testing.assert_allclose(here, weights["cross", layer], atol=atol)
    return logits


def test_answers_and_weights_are_those_of_the_equations():
    agrees(made(), atol=5e-5)


@pytest.mark.slow
def test_float64_agrees_to_ten_digits():
    with jax.enable_x64(True):
        assert agrees(made("float64"), atol=1e-10).dtype == jnp.float64


def test_questions_know_nothing_of_each_other_nor_of_padding(optimized):
    one = made()
    plain, _ = one.explained(one.params, PICTURES, QUESTIONS)
    other = QUESTIONS.copy()
    other[0, 1] = [1, 7, 7, 7, 0]
    found, _ = one.explained(one.params, PICTURES, other)
    np.testing.assert_array_equal(bits(found)[0, 0], bits(plain)[0, 0])
    np.testing.assert_array_equal(bits(found)[1], bits(plain)[1])
    assert (bits(found)[0, 1] != bits(plain)[0, 1]).all()
    params = {**one.params, "embedding": {"table": one.params["embedding"]["table"].copy()}}
    params["embedding"]["table"][0] = 1e6  # what padding holds
    nothing, _ = one.explained(params, PICTURES, QUESTIONS)
    np.testing.assert_array_equal(bits(nothing), bits(plain))


def test_configs():
    names = [str(place) for place in SMALL.places()]
    assert names == ["encoder layer 1", "encoder layer 2", "cross layer 1", "cross layer 2"]
    assert len(SMALL.every_head()) == 8 and Head("cross", 1, 1) in SMALL.every_head()
    for name in ("vocabulary", "answers", "length", "width", "layers", "feed_forward"):
        with pytest.raises(ValueError, match=f"{name} is 0; it must be at least 1"):
            replace(SMALL, **{name: 0})
    with pytest.raises(ValueError, match="heads is 3, which does not divide width, 8.*1, 2, 4, 8"):
        replace(SMALL, heads=3)
    with pytest.raises(ValueError, match="dropout is -0.1; it must be at least 0"):
        replace(SMALL, dropout=-0.1)
    with pytest.raises(ValueError, match="kind is 'luong'; 'visual_question' would fit"):
        replace(SMALL, kind="luong")


def test_questions_that_do_not_fit_are_refused():
    one = made()
    model = nnx.merge(one.graph, one.params)
    for questions in (QUESTIONS[0], np.ones((2, 1, 7), np.int32)):
        with pytest.raises(ValueError, match=r"\[B, Q, T\] would fit, with T at most 6"):
            model(PICTURES, questions)
