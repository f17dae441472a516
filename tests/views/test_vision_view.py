"""Where a Vision Transformer looks: readings that tell their patches, and maps over the picture."""

import jax
import numpy as np
import pytest
from flax import nnx

from attention_jax.data.images import PicturesConfig, as_floats, load_pictures
from attention_jax.models.vision import VisionConfig
from attention_jax.tasks.run import Loaded
from attention_jax.tasks.vision import VisionTask
from attention_jax.training.step import split
from attention_jax.views.head_view import head_view
from attention_jax.views.vision_view import attention_over_picture, patch_names, readings

TASK = VisionTask(
    name="tiny",
    data=PicturesConfig(limit=40, batch=8),
    model=VisionConfig(patch=14, width=8, layers=2, heads=2, feed_forward=12),
)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """A model that has learned nothing, as it comes from a run."""
    work = TASK.work()
    graph, _ = split(nnx.eval_shape(lambda: work.make_model(nnx.Rngs(0))))
    params = jax.jit(lambda: split(work.make_model(nnx.Rngs(0)))[1])()
    return Loaded(TASK, work, nnx.merge(graph, params), tmp_path_factory.mktemp("run"))


def test_readings_are_the_models_own_weights(loaded):
    one, other = readings(loaded, ["7", "0"])
    assert one.model == "tiny" and one.input.startswith("test picture 7 of digits, which shows ")
    (seen,) = one.attentions
    assert seen.queries == seen.sources == tuple(patch_names(TASK.model))
    images = load_pictures(TASK.data).splits["test"].images
    graph, params = split(loaded.model)
    logits, weights = jax.jit(lambda x: nnx.merge(graph, params)(x, explain=True))(
        as_floats(images[7:8])
    )
    np.testing.assert_allclose(np.stack(seen.weights), weights[:, 0], atol=1e-6)
    assert one.output == str(int(logits.argmax()))
    # Queries and keys are those of the weights.
    logit = np.einsum("htk,hsk->hts", seen.query_vectors[1], seen.key_vectors[1]) / 2
    again = np.exp(logit) / np.exp(logit).sum(-1, keepdims=True)
    np.testing.assert_allclose(again, seen.weights[1], atol=1e-5)
    assert readings(loaded, [])[0].input == other.input
    assert "row 2, column 1" in head_view([one]).html


@pytest.mark.parametrize("word", ["1000", "-1", "seven", "²"])
def test_words_that_are_no_picture(loaded, word):
    with pytest.raises(ValueError, match="is no test picture of digits; a number from 0 to 999"):
        readings(loaded, [word])


def test_patches_are_named_by_row_and_column():
    config = VisionConfig(picture_height=8, picture_width=12, patch=4)
    names = patch_names(config)
    assert names[0] == "class token" and names[1:] == [
        f"row {row}, column {column}" for row in (1, 2) for column in (1, 2, 3)
    ]
    without = VisionConfig(picture_height=8, picture_width=12, patch=4, summary="mean")
    assert patch_names(without) == names[1:]


def drawn(*shape):
    weights = np.random.default_rng(0).random(shape)
    return weights / weights.sum(-1, keepdims=True)


def test_every_head_has_its_map_over_the_picture(tmp_path):
    picture = np.zeros((8, 12, 1), np.uint8)
    weights = drawn(2, 3, 7, 7)
    weights[1, 2, 0] = [0.1, 0, 0, 0, 0, 0, 0.9]  # the class token looks at the last patch
    file = tmp_path / "maps.png"
    figure = attention_over_picture(picture, weights, title="one", file=file)
    assert file.stat().st_size > 1_000
    panels = figure.axes
    assert len(panels) == 2 * 4
    assert [panel.get_title() for panel in panels[:4]] == ["head 1", "head 2", "head 3", "rollout"]
    shown = np.asarray(panels[6].images[0].get_array())
    np.testing.assert_allclose(shown, [[0, 0, 0], [0, 0, 0.9]])
    assert panels[6].get_xlabel() == "up to 90%"
    # The map spans the picture that lies on it.
    assert panels[6].images[0].get_extent() == panels[6].images[1].get_extent()


def test_a_mean_over_all_rows_where_no_token_stands_for_the_picture():
    weights = drawn(1, 1, 6, 6)
    figure = attention_over_picture(np.zeros((8, 12, 3), np.uint8), weights, query=None)
    shown = np.asarray(figure.axes[0].images[0].get_array())
    np.testing.assert_allclose(shown.ravel(), weights[0, 0].mean(0))


@pytest.mark.parametrize(
    ("shape", "query", "said"),
    [
        ((2, 7, 7), 0, r"\[2, 7, 7\]; \[L, H, T, T\]"),
        ((1, 1, 5, 5), 0, "weights have 5 rows, and the picture 8 x 12 pixels"),
        ((1, 1, 7, 7), 7, "query is 7; a row from 0 to 6"),
    ],
)
def test_maps_that_do_not_fit(shape, query, said):
    with pytest.raises(ValueError, match=said):
        attention_over_picture(np.zeros((8, 12, 1), np.uint8), drawn(*shape), query=query)
