"""The judge of pictures."""

import numpy as np
import pytest

from attention_jax.analysis.picture_judge import FEATURES, Judge, in_parts
from attention_jax.data.images import Pictures, as_floats


def bars(count, seed):
    """Pictures of standing (0) and lying (1) bars."""
    chance = np.random.default_rng(seed)
    images = chance.integers(0, 60, (count, 8, 8, 1)).astype(np.uint8)
    labels = (np.arange(count) % 2).astype(np.int32)
    for image, label in zip(images, labels, strict=True):
        place = chance.integers(2, 6)
        image[(slice(None), place) if label == 0 else place] = 255
    return Pictures(images, labels)


def test_it_learns_what_pictures_show_and_is_the_same_every_time():
    train, test = bars(64, 0), bars(41, 1)
    judge, again = (Judge(train, 2, steps=25) for _ in range(2))
    shown = as_floats(test.images)
    assert (judge.labels(shown) == test.labels).mean() > 0.9
    features = judge.features(shown)
    assert features.shape == (41, FEATURES) and (features >= 0).all()
    np.testing.assert_array_equal(features, again.features(shown))


def test_parts_are_of_one_size_and_the_whole_is_as_it_was():
    sizes = []

    def double(x):
        sizes.append(len(x))
        return 2 * x

    rows = np.arange(14.0).reshape(7, 2)
    np.testing.assert_array_equal(in_parts(double, rows, size=3), 2 * rows)
    assert sizes == [3, 3, 3]


def test_what_cannot_be_learned_from_is_refused():
    with pytest.raises(ValueError, match="steps is 0"):
        Judge(bars(4, 0), 2, steps=0)
    with pytest.raises(ValueError, match="sides of at least 4"):
        Judge(Pictures(np.zeros((2, 3, 3, 1), np.uint8), np.zeros(2, np.int32)), 2)
