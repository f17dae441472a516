"""Captions say what is there: they are read back, and compared with the scene."""

import re

import numpy as np
import pytest

from attention_jax.data.scene_captions import LENGTH, caption, captioned
from attention_jax.data.scene_words import CAPTION_WORDS, Words
from attention_jax.data.scenes import ScenesConfig, scenes

THING = re.compile(r"a (small|big) (\w+) (\w+)")


@pytest.fixture(scope="module")
def some():
    return scenes(ScenesConfig(train=200, validation=1, test=1))["train"]


def test_a_caption_read_back_is_the_scene(some):
    for scene in some:
        text = " ".join(caption(scene)[0])
        assert THING.findall(text) == [(one.size, one.colour, one.shape) for one in scene.things]
        between = THING.split(text)[4:-1:4]
        for words, one, other in zip(between, scene.things, scene.things[1:], strict=False):
            if words.strip() == "left of":
                assert one.row == other.row and one.column < other.column
            else:
                assert words.strip() == "above" and one.row < other.row


def test_every_word_points_to_what_it_names(some):
    batch, gold = captioned(some[:50], seed=0)
    assert batch.target_out.shape == (50, LENGTH)
    for row, scene in enumerate(some[:50]):
        words = caption(scene)[0]
        assert batch.weights[row].sum() == len(words) + 1
        assert CAPTION_WORDS.decode(batch.target_out[row]) == " ".join(words)
        assert batch.target_in[row, 0] == 1
        np.testing.assert_array_equal(
            batch.target_in[row, 1 : len(words) + 1], batch.target_out[row, : len(words)]
        )
        assert (gold.named[row, len(words) :] == -1).all()
        for word, thing in zip(words, gold.named[row], strict=False):
            if thing < 0:
                assert word in ("left", "of", "above")
            else:
                assert word in ("a", *scene.things[thing])
        np.testing.assert_array_equal(gold.boxes[row, : len(scene.boxes)], scene.boxes)


def test_words_are_tokens_and_back():
    words = Words(("a", "red", "ball"))
    assert len(words) == 6
    assert words.encode("a red ball") == [3, 4, 5]
    assert words.decode([1, 3, 5, 2, 4]) == "a ball"
    assert [words.name(token) for token in (0, 2, 5)] == ["<pad>", "<end>", "ball"]
    with pytest.raises(ValueError, match="found the word 'blue'; known are: a red ball"):
        words.encode("a blue ball")
