"""Scenes and their pictures: what was drawn is there, and the same everywhere."""

import hashlib
import random
from dataclasses import replace

import numpy as np
import pytest

from attention_jax.data.drawn_shapes import (
    COLOURS,
    GROUND,
    NOISE,
    SHAPES,
    Box,
    Stain,
    drawn,
    outline,
)
from attention_jax.data.scenes import CELL, MOST, ScenesConfig, boxes, pictures, scenes

DIGEST = "f7d31b24df4ae11a"
SMALL = ScenesConfig(train=300, validation=40, test=60)

OUTLINES = {
    "ball": "..###../.#####./#######/#######/#######/.#####./..###..",
    "square": "/".join(["#######"] * 7),
    "triangle": "...#.../...#.../..###../..###../.#####./.#####./#######",
    "cross": "..###../..###../#######/#######/#######/..###../..###..",
}


@pytest.fixture(scope="module")
def found():
    return scenes(SMALL)


@pytest.mark.parametrize("shape", SHAPES)
def test_outlines(shape):
    rows = ["".join(".#"[int(dot)] for dot in row) for row in outline(shape, 7)]
    assert "/".join(rows) == OUTLINES[shape]
    sums = [outline(one, 11).sum() for one in SHAPES]
    assert len(set(sums)) == len(SHAPES)


def test_a_picture_holds_its_shapes_and_else_the_ground():
    stains = [Stain("ball", "red", Box(2, 3, 9, 10)), Stain("cross", "blue", Box(12, 12, 23, 23))]
    picture = drawn(stains, 24, random.Random(0)).astype(int)
    inside = np.zeros((24, 24), bool)
    for shape, colour, (top, left, bottom, right) in stains:
        here = np.zeros_like(inside)
        here[top:bottom, left:right] = outline(shape, bottom - top)
        mean = picture[here].mean(0)
        assert np.abs(mean - COLOURS[colour]).max() < 30
        assert min(COLOURS, key=lambda one: np.abs(mean - COLOURS[one]).sum()) == colour
        inside |= here
    assert np.abs(picture[~inside] - GROUND).max() == NOISE // 2


def test_they_are_the_same_on_every_machine(found):
    shown = pictures(found["test"][:20], seed=3)
    assert hashlib.sha256(shown.tobytes()).hexdigest()[:16] == DIGEST
    again = scenes(replace(SMALL))
    assert again == found and scenes(replace(SMALL, seed=1)) != found
    np.testing.assert_array_equal(pictures(again["test"][5:6], seed=3)[0], shown[5])
    assert (pictures(again["test"][5:6], seed=4)[0] != shown[5]).any()


def test_no_scene_is_in_two_splits_and_none_comes_twice(found):
    sizes = {name: len(split) for name, split in found.items()}
    assert sizes == {"train": 300, "validation": 40, "test": 60}
    every = [scene.things for split in found.values() for scene in split]
    assert len(set(every)) == 400
    for split in found.values():
        assert {len(scene.things) for scene in split} == {1, 2, 3, 4}


def test_things_stand_in_reading_order_each_within_a_cell_of_its_own(found):
    for scene in found["train"]:
        places = [(one.row, one.column) for one in scene.things]
        assert places == sorted(set(places))
        for one, box in zip(scene.things, scene.boxes, strict=True):
            assert box.top // CELL == (box.bottom - 1) // CELL == one.row
            assert box.left // CELL == (box.right - 1) // CELL == one.column
            assert box.bottom - box.top == {"small": 7, "big": 11}[one.size]


def test_boxes_are_filled_up_with_zeros(found):
    filled = boxes(found["test"])
    assert filled.shape == (60, MOST, 4)
    for row, scene in zip(filled, found["test"], strict=True):
        np.testing.assert_array_equal(row[: len(scene.boxes)], scene.boxes)
        assert not row[len(scene.boxes) :].any()


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match="found a 'star' of 7 pixels"):
        outline("star", 7)
    for box in (Box(0, 0, 5, 6), Box(20, 20, 27, 27), Box(4, 4, 4, 4)):
        with pytest.raises(ValueError, match="a square within 24 by 24 pixels would fit"):
            drawn([Stain("ball", "red", box)], 24, random.Random(0))
    with pytest.raises(ValueError, match="found the colour 'pink'"):
        drawn([Stain("ball", "pink", Box(0, 0, 7, 7))], 24, random.Random(0))
    for split in ("train", "validation", "test"):
        with pytest.raises(ValueError, match=f"{split} is 0; it must be at least 1"):
            replace(SMALL, **{split: 0})
