"""Several texts in one row: each gets what it gets alone, and none sees another."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from attention_jax.models.decoder_only_sequence import apart, positions_in, target_to_source
from attention_jax.models.places import Place
from attention_jax.training.step import split
from tests.models.test_decoder_only import MODERN, NOTHING, SMALL, SOURCE, TARGET, build, run

TEXTS = [[1, 5, 6, 7], [1, 9, 4], [1, 8, 3, 5]]
ROW = np.array([[*TEXTS[0], *TEXTS[1], *TEXTS[2], 0]], np.int32)
SEGMENTS = np.array([[1] * 4 + [2] * 3 + [3] * 4 + [0]], np.int32)
EMPTY = ROW[:, :0]
FORMS = {
    "learned": replace(SMALL, layers=2),
    "sinusoidal": replace(SMALL, positions="sinusoidal", layers=1),
    "modern": replace(MODERN, window=3),
}


@pytest.mark.parametrize("name", FORMS)
def test_a_text_in_company_has_the_logits_that_it_has_alone(name):
    model, start = build(FORMS[name]), 0
    together = run(model, EMPTY, ROW, segments=SEGMENTS)
    for text in TEXTS:
        alone = run(model, EMPTY, np.array([text], np.int32))
        end = start + len(text)
        np.testing.assert_allclose(together[0, start:end], alone[0], atol=2e-5)
        start = end


@pytest.mark.parametrize("name", FORMS)
def test_no_text_sees_another(name):
    """By gradient: of each token's logits by every row of the table, and so by every token."""
    config = FORMS[name]
    graph, params = split(build(replace(config, vocabulary=13, tied=False)))
    row = np.arange(1, 12, dtype=np.int32)[None]  # each token once: its row of the table is it

    def sums(table):
        model = nnx.merge(graph, {**params, "embedding": {"table": table}})
        return jnp.square(model(EMPTY, row, segments=SEGMENTS[:, :11])[0]).sum(-1)

    slopes = jax.jit(jax.jacrev(sums))(params["embedding"]["table"])
    moved = np.abs(np.asarray(slopes)).sum(-1)[:, 1:12] > 0
    far = np.arange(11)[:, None] - np.arange(11)[None]
    same = SEGMENTS[0, :11, None] == SEGMENTS[0, None, :11]
    reach = 11 if config.window is None else config.layers * (config.window - 1) + 1
    np.testing.assert_array_equal(moved, same & (far >= 0) & (far < reach))


def test_weights_and_segments_of_one_text_are_the_plain_ones():
    model = build(SMALL)
    logits, weights = run(model, EMPTY, ROW, segments=SEGMENTS, explain=True)
    np.testing.assert_array_equal(logits, run(model, EMPTY, ROW, segments=SEGMENTS))
    others = SEGMENTS[0, :, None] != SEGMENTS[0, None]
    assert not np.asarray(weights)[..., others].any()
    np.testing.assert_allclose(np.asarray(weights).sum(-1), 1, atol=1e-5)
    whole = run(model, NOTHING, TARGET)
    one = run(model, NOTHING, TARGET, segments=np.ones_like(TARGET))
    np.testing.assert_allclose(one, whole, atol=1e-5)


def test_positions_begin_anew():
    found = positions_in(np.array([[1, 1, 2, 2, 2, 0, 0], [1, 2, 3, 3, 3, 3, 3]]))
    assert found.tolist() == [[0, 1, 0, 1, 2, 0, 1], [0, 0, 0, 1, 2, 3, 4]]


def test_segments_that_do_not_fit_are_refused():
    model = build(SMALL)
    for source, segments in ((SOURCE, TARGET), (NOTHING, TARGET[:, 1:])):
        with pytest.raises(ValueError, match="segments have shape.*would fit"):
            model(source, TARGET, segments=segments)


def test_the_part_from_target_to_source_stands_where_the_source_does():
    weights = run(build(SMALL), SOURCE, TARGET, explain=True)[1][0]
    found = np.asarray(target_to_source(weights, SOURCE))
    assert found.shape == (3, 4, 4, 5)
    for row, source in enumerate(SOURCE):
        real = int((source != 0).sum())
        alone = run(build(SMALL), source[None, :real], TARGET[row : row + 1], explain=True)[1][0]
        np.testing.assert_allclose(found[row, ..., :real], alone[0, :, real:, :real], atol=1e-5)
        assert not found[row, ..., real:].any()


def test_one_attention_as_three():
    weights = np.arange(2 * 25).reshape(2, 5, 5)
    found = apart({Place("decoder", 1): weights}, 2)
    assert {str(place): one.shape[1:] for place, one in found.items()} == {
        "encoder layer 2": (2, 2),
        "decoder layer 2": (3, 3),
        "cross layer 2": (3, 2),
    }
    np.testing.assert_array_equal(found[Place("cross", 1)], weights[:, 2:, :2])
