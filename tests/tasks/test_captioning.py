"""What the captioning task counts, against counting by hand."""

from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest

from attention_jax.data.scene_captions import captioned
from attention_jax.data.scene_words import CAPTION_WORDS
from attention_jax.data.scenes import ScenesConfig, scenes
from attention_jax.models.captioning_config import ATTENTION
from attention_jax.tasks import captioning
from attention_jax.tasks.captioning import CaptioningTask, Split, grounded, score, telling

SPLITS = scenes(ScenesConfig(train=30, validation=10, test=10))
TEST = captioned(SPLITS["test"], 0)


class Certain:
    """Says the right word everywhere, and looks at one cell for all words."""

    config = SimpleNamespace(cells=SimpleNamespace(rows=9))

    def __init__(self, cell=40):
        self.cell = cell

    def __call__(self, pictures, target_in, *, rng=None, explain=False, **call):
        following = jnp.pad(jnp.asarray(target_in)[:, 1:], ((0, 0), (0, 1)))
        logits = 20.0 * (following[..., None] == jnp.arange(len(CAPTION_WORDS))[None, None])
        weights = jnp.zeros((*target_in.shape, 81)).at[..., self.cell].set(1)[:, None]
        if explain is False:
            return logits
        look = (lambda _, weights: weights) if explain is True else explain
        return logits, {ATTENTION: look(ATTENTION, weights)}


def test_the_regularizer_is_added_to_what_is_lowered_and_to_nothing_else():
    rows, _ = TEST
    plain, (more, found) = (
        telling(Certain(), rows, doubly_stochastic=amount, **call)
        for amount, call in ((0.0, {}), (0.5, {"explain": lambda place, weights: weights.sum(-1)}))
    )
    np.testing.assert_allclose(plain.nll, more.nll)
    assert plain.tokens == more.tokens == rows.weights.sum()
    # Every word looks at one cell: 80 are a whole look short, one has all but one too many.
    wanted = sum(80 + (1 - words) ** 2 for words in rows.weights.sum(-1))
    np.testing.assert_allclose(more.loss - plain.loss, 0.5 * wanted, rtol=1e-5)
    np.testing.assert_array_equal(found[ATTENTION], np.ones((10, 1, rows.target_in.shape[1])))


def test_grounding_counts_each_word_in_the_box_of_its_own_thing(monkeypatch):
    rows, gold = TEST
    monkeypatch.setattr(captioning, "looks", _only(Certain(cell=0)))
    found = grounded(Certain(cell=0), rows, gold)
    things = [(scene, box) for scene in SPLITS["test"] for box in scene.boxes]
    # The first cell is the first four pixels of the first four rows.
    inside = [max(0, 4 - box.top) * max(0, 4 - box.left) / 16 for _, box in things]
    for kind in ("size", "colour", "shape"):
        assert found[kind].rows == len(things)
        np.testing.assert_allclose(found[kind].inside, np.mean(inside))
        areas = [(box.bottom - box.top) ** 2 / 36**2 for _, box in things]
        np.testing.assert_allclose(found[kind].uniform, np.mean(areas))


def test_captions_are_right_to_the_last_word_or_wrong(monkeypatch, tmp_path):
    rows, gold = TEST
    said = list(map(CAPTION_WORDS.decode, rows.target_out))
    said[3] = said[3].rsplit(" ", 1)[0]
    monkeypatch.setattr(captioning, "written", lambda model, rows: said)
    monkeypatch.setattr(captioning, "looks", _only(Certain()))
    splits = {name: Split(*captioned(split, 0)) for name, split in SPLITS.items()}
    found = score(Certain(), tmp_path, splits=splits)
    assert found["exact"] == 0.9 and 90 < found["bleu"] < 100
    things = len(SPLITS["test"][3].things)
    wrong = [count for count, share in found["exact_by_things"].items() if share < 1]
    assert wrong == [str(things)]
    text = (tmp_path / captioning.MISTAKES).read_text()
    assert text.splitlines()[1] == said[3] and text.count("\n") == 2
    known = set(map(CAPTION_WORDS.decode, splits["train"].rows.target_out))
    wanted = map(CAPTION_WORDS.decode, rows.target_out)
    assert found["new"] == sum(text not in known for text in wanted)


def test_what_cannot_be_learned_is_refused():
    with pytest.raises(ValueError, match="batch is 0; it must be at least 1"):
        CaptioningTask(batch=0)
    with pytest.raises(ValueError, match="doubly_stochastic is -1; a finite number from 0 up"):
        CaptioningTask(doubly_stochastic=-1)


def _only(model):
    """`looks` of a model that is no module."""

    def looks(_, rows):
        return np.asarray(model(rows.pictures, rows.target_in, explain=True)[1][ATTENTION])[:, 0]

    return looks
