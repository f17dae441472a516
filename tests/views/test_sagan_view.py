"""Views of a Self-Attention GAN."""

from types import SimpleNamespace

import numpy as np
import pytest
from flax import nnx

from attention_jax.models.places import Place
from attention_jax.models.sagan import Sagan
from attention_jax.views.sagan_view import attention_from_points, passes, points, readings
from tests.tasks.generators import SAGAN


@pytest.fixture(scope="module")
def loaded():
    return SimpleNamespace(task=SAGAN, model=Sagan(SAGAN.model, rngs=nnx.Rngs(0)))


@pytest.mark.slow
def test_readings_are_of_both_players(loaded):
    first, other = readings(loaded, ["3", "7"])
    assert (first.input, other.input) == ("label 3", "label 7")
    assert sorted(one.name for one in first.attentions) == ["decoder", "encoder"]
    for one in first.attentions:
        assert [layer.shape for layer in one.weights] == [(2, 196, 196)]
        assert one.queries[14] == "row 2, column 1"
        np.testing.assert_allclose(one.weights[0].sum(-1), 1, atol=1e-4)
    for word in ("10", "-1", "three"):
        with pytest.raises(ValueError, match="is no label"):
            readings(loaded, [word])


def test_points_are_light_and_dark_ones():
    picture = np.full((8, 8, 1), -1.0)
    picture[2, 5], picture[7, 0] = 1, 1  # places (1, 2) and (3, 0) of a map of four
    assert points(picture, 4) == [6, 12, 0]


@pytest.mark.slow
def test_a_row_for_each_picture(loaded):
    pictures, weights = passes(loaded.model, [3, 7])
    figure = attention_from_points(pictures, weights[Place("decoder", 0)])
    assert len(figure.axes) == 8
    with pytest.raises(ValueError, match="head is 2"):
        attention_from_points(pictures, weights[Place("decoder", 0)], head=2)
    with pytest.raises(ValueError, match="as many"):
        attention_from_points(pictures[:1], weights[Place("decoder", 0)])
