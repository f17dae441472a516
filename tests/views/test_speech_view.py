"""What a model listens to: its own weights as readings, and over time below the sound."""

import jax
import numpy as np
import pytest
from flax import nnx

from attention_jax.data.spoken_digits import heard, spoken
from attention_jax.models.places import Place
from attention_jax.tasks.run import Loaded
from attention_jax.tasks.speech import searched
from attention_jax.training.step import split
from attention_jax.views.head_view import head_view
from attention_jax.views.speech_view import attention_over_time, picture, readings
from tests.tasks.family import FAMILY

TASK = FAMILY["speech"]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """A model that has learned nothing, as it comes from a run."""
    work = TASK.work()
    graph, _ = split(nnx.eval_shape(lambda: work.make_model(nnx.Rngs(0))))
    params = jax.jit(lambda: split(work.make_model(nnx.Rngs(0)))[1])()
    return Loaded(TASK, work, nnx.merge(graph, params), tmp_path_factory.mktemp("run"))


def test_readings_are_the_models_own_weights(loaded, tmp_path):
    (one,) = readings(loaded, ["2"])
    decoder, cross = one.attentions
    clips = heard(spoken(TASK.data, "test"), TASK.data)
    tokens = searched(loaded.model, clips, TASK.data)[2]
    names = [TASK.data.names[token] for token in tokens if token]
    assert one.input.startswith("test clip 2, which says ") and one.model == TASK.name
    assert list(cross.chosen) == names and list(cross.queries) == ["<start>", *names[:-1]]
    assert decoder.sources == decoder.queries
    length = int(clips.lengths[2])
    assert cross.sources[:2] == ("0.00 s", "0.02 s") and len(cross.sources) == (length + 1) // 2
    target_in = np.array([[1, *tokens[: len(names) - 1]]], np.int32)
    graph, params = split(loaded.model)
    inputs = clips.frames[2:3], clips.lengths[2:3], target_in
    found = jax.jit(lambda p: nnx.merge(graph, p)(*inputs, explain=True)[1])(params)
    wanted = np.asarray(found[Place("cross", 0)])[0][..., : len(cross.sources)]
    np.testing.assert_allclose(cross.weights[0], wanted, atol=1e-6)
    assert head_view([one]).save(tmp_path / "page.html").stat().st_size > 10_000


def test_words_are_said_by_somebody_new(loaded):
    one, again = (readings(loaded, ["three", "zero"])[0] for _ in range(2))
    assert one.input == "a new voice, which says three zero" == again.input
    np.testing.assert_array_equal(one.attentions[1].weights[0], again.attentions[1].weights[0])


@pytest.mark.parametrize(
    "words, message",
    [
        (["8"], "found '8'; the number of a test clip, 0 to 7"),
        (["three", "4"], "found 'three'"),
        (["three"] * 3, "3 digits; at most 2"),
    ],
)
def test_other_words_are_refused(loaded, words, message):
    with pytest.raises(ValueError, match=message):
        readings(loaded, words)


def test_the_picture_has_a_panel_for_each_head(loaded, tmp_path):
    figure = picture(loaded, file=tmp_path / "listening.png")
    assert len(figure.axes) == 3  # the sound and two heads of one layer
    assert (tmp_path / "listening.png").stat().st_size > 5_000


def test_the_shades_are_the_weights_in_their_time():
    weights = np.random.default_rng(0).random((2, 1, 3, 5))
    spans = np.array([[0, 2], [2, 6], [6, 10]])
    figure = attention_over_time(
        np.zeros((10, 4)), weights, list("abc"), spans=spans, title="x", theme="dark"
    )
    grid = np.array(figure.axes).reshape(2, 2)
    for layer in range(2):
        (image,) = grid[1, layer].images
        np.testing.assert_allclose(image.get_array(), weights[layer, 0])
        assert image.get_extent() == [0, 0.1, 2.5, -0.5]
        frames = [(p.get_x(), p.get_y(), p.get_width()) for p in grid[1, layer].patches]
        np.testing.assert_allclose(frames, [(0, -0.5, 0.02), (0.02, 0.5, 0.04), (0.06, 1.5, 0.04)])
    assert [label.get_text() for label in grid[1, 0].get_yticklabels()] == ["a", "b", "c"]


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"weights \[1, 1, 3, 4\], and there are 3 tokens"):
        attention_over_time(np.zeros((10, 4)), np.ones((1, 1, 3, 4)), "abc")
    with pytest.raises(ValueError, match="spans"):
        attention_over_time(np.zeros((8, 4)), np.ones((1, 1, 3, 4)), "abc", spans=np.ones((2, 2)))
