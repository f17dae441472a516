"""Views of a Diffusion Transformer."""

from types import SimpleNamespace

import numpy as np
import pytest
from flax import nnx

from attention_jax.data.images import load_pictures
from attention_jax.models.diffusion import Diffusion
from attention_jax.views.diffusion_view import out_of_noise, passes, readings
from tests.tasks.generators import DIFFUSION


@pytest.fixture(scope="module")
def loaded():
    return SimpleNamespace(task=DIFFUSION, model=Diffusion(DIFFUSION.model, rngs=nnx.Rngs(0)))


def test_readings_are_of_the_times_asked_for(loaded):
    first, other = readings(loaded, ["0.2", "0.9"])
    assert (first.moment, other.moment) == ("time 0.2", "time 0.9")
    (seen,) = first.attentions
    assert seen.queries == ("row 1, column 1", "row 1, column 2", "row 2, column 1",
                            "row 2, column 2")  # fmt: skip
    assert [layer.shape for layer in seen.weights] == [(2, 4, 4)] * 2
    np.testing.assert_allclose(seen.weights[0].sum(-1), 1, atol=1e-5)
    for word in ("2", "noon", "nan"):
        with pytest.raises(ValueError, match="is no time"):
            readings(loaded, [word])


def test_what_stands_behind_the_noise_is_solved_for(loaded):
    pictures = load_pictures(DIFFUSION.data)
    x, behind, weights = passes(loaded.model, pictures, (0.0, 0.5))
    # A fresh model sees grey behind all noise; where there is none, what it is given.
    np.testing.assert_allclose(behind[1], 0, atol=1e-6)
    np.testing.assert_array_equal(x[0], behind[0])
    real = pictures.splits["test"].images[0].astype(np.float32) / 127.5 - 1
    np.testing.assert_allclose(x[0], real, atol=1e-6)
    figure = out_of_noise(x, behind, weights, (0.0, 0.5))
    assert len(figure.axes) == 8
    with pytest.raises(ValueError, match="as many would fit"):
        out_of_noise(x, behind, weights, (0.0,))
    with pytest.raises(ValueError, match="query is 4"):
        out_of_noise(x, behind, weights, (0.0, 0.5), query=4)
