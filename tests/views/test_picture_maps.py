"""Pictures lit where something looked, and what the views of two tasks show."""

from types import SimpleNamespace

import numpy as np
import pytest
from flax import nnx

from attention_jax.data.scene_captions import caption
from attention_jax.data.scene_questions import questions
from attention_jax.data.scenes import scenes
from attention_jax.models.places import Head
from attention_jax.views import captioning_view, visual_question_view
from attention_jax.views.picture_maps import DARK, picture_maps
from tests.tasks.family import FAMILY

PICTURE = np.full((4, 4, 3), 200, np.uint8)


def loaded(kind):
    """A run that has learned nothing."""
    task = FAMILY[kind]
    return SimpleNamespace(task=task, model=task.work().make_model(nnx.Rngs(0)))


@pytest.fixture(scope="module")
def captioning():
    return loaded("captioning")


@pytest.fixture(scope="module")
def asking():
    return loaded("visual_question")


def test_the_picture_is_as_it_is_where_most_is_seen_and_dark_where_nothing():
    maps = np.array([[0.5, 0.0, 0.25, 0.25], [0, 0, 0, 1.0]])
    box = np.array([[0, 0, 2, 2], [0, 0, 0, 0]])
    figure = picture_maps(PICTURE, maps, ["red", "ball"], notes=["a", "b"], boxes=[box, box[1:]])
    panels = figure.axes
    assert [axes.get_title() for axes in panels] == ["", "red", "ball"]
    assert [axes.get_xlabel() for axes in panels] == ["", "a", "b"]
    assert [len(axes.patches) for axes in panels] == [0, 1, 0]
    shown = np.asarray(panels[1].images[0].get_array())[:, :, 0]
    quarters = 200 * (DARK + (1 - DARK) * np.array([[1, 0], [0.5, 0.5]]))
    np.testing.assert_allclose(shown, np.kron(quarters, np.ones((2, 2))), atol=1)
    np.testing.assert_array_equal(panels[0].images[0].get_array(), PICTURE)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="found 1 titles for 2 maps"):
        picture_maps(PICTURE, np.ones((2, 4)), ["red"])
    with pytest.raises(ValueError, match="found 3 notes for 1 maps"):
        picture_maps(PICTURE, np.ones((1, 4)), ["red"], notes=["a", "b", "c"])
    for cells in (5, 9):
        with pytest.raises(ValueError, match=rf"maps of shape \[1, {cells}\] over a picture of"):
            picture_maps(PICTURE, np.ones((1, cells)), ["red"])


def test_captions_are_read_word_by_word(captioning, monkeypatch, tmp_path):
    scene = scenes(captioning.task.data)["test"][3]
    words, named = caption(scene)
    monkeypatch.setattr(captioning_view, "written", lambda model, rows: [" ".join(words)])
    (reading,) = captioning_view.readings(captioning, ["3"])
    (attention,) = reading.attentions
    assert list(attention.chosen) == words
    assert attention.queries == ("<start>", *words[:-1])
    assert attention.sources[10] == "row 2, column 2" and len(attention.sources) == 81
    np.testing.assert_allclose(attention.weights[0].sum(-1), 1, rtol=1e-5)
    assert reading.output == " ".join(words) and reading.input.endswith(reading.output)
    figure = captioning_view.caption_figure(captioning, 3, file=tmp_path / "look.png")
    framed = [len(axes.patches) for axes in figure.axes[1 : len(words) + 1]]
    assert framed == [int(thing >= 0) for thing in named]
    assert (tmp_path / "look.png").stat().st_size > 5_000


def test_a_wrong_caption_points_to_nothing(captioning, monkeypatch):
    monkeypatch.setattr(captioning_view, "written", lambda model, rows: ["a ball"])
    one = captioning_view.said(captioning, 3)
    assert one.words == ["a", "ball"] and one.weights.shape == (2, 81) and not one.boxes.any()
    monkeypatch.setattr(captioning_view, "written", lambda model, rows: [""])
    (reading,) = captioning_view.readings(captioning, ["3"])
    assert reading.attentions[0].chosen == ("<end>",)
    with pytest.raises(ValueError, match="'16' is no test picture; a number from 0 to 15"):
        captioning_view.readings(captioning, ["16"])


def test_questions_of_ones_own(asking):
    words = ["3", "is there a red ball?", "what colour is the cross"]
    one, two = visual_question_view.readings(asking, words)
    assert one.input == "test picture 3: is there a red ball?"
    encoder, cross = one.attentions
    assert encoder.queries == ("<answer>", "is", "there", "a", "red", "ball")
    assert (len(encoder.weights), len(cross.weights)) == (2, 2)
    assert cross.weights[0].shape == (2, 6, 81) and cross.query_vectors[0].shape == (2, 6, 8)
    assert len(two.attentions[0].queries) == 6
    with pytest.raises(ValueError, match="found the word 'pink'"):
        visual_question_view.readings(asking, ["is there a pink ball"])
    with pytest.raises(ValueError, match="'99' is no test picture; a number from 0 to 15"):
        visual_question_view.readings(asking, ["99", "is there a red ball"])
    with pytest.raises(ValueError, match="has 9 words; from 1 to 8 would fit"):
        visual_question_view.readings(asking, ["0", "a a a a a a a a a"])


@pytest.mark.slow
def test_a_figure_has_a_question_of_each_kind(asking, monkeypatch):
    head = Head("cross", 1, 1)
    known = {one.kind: one.text for one in questions(scenes(asking.task.data)["test"][2])}
    found = visual_question_view.answers(asking, 2, ())
    assert [one.question for one in found] == list(known.values())
    monkeypatch.setattr(visual_question_view, "answers", lambda *_: found)
    figure = visual_question_view.question_figure(asking, head, 2)
    titles = [axes.get_title() for axes in figure.axes[1 : len(found) + 1]]
    assert [title[:10] for title in titles] == [one.question[:10] for one in found]
    framed = [len(axes.patches) for axes in figure.axes[1 : len(found) + 1]]
    assert framed == [int(one.about.sum()) for one in found]
    assert all(one.wanted for one in found)
    with pytest.raises(ValueError, match="encoder layer 1 head 1 does not look at the picture"):
        visual_question_view.question_figure(asking, Head("encoder", 0, 0))
