"""Captions of scenes, one for each, so that "exactly right" means something.

    a big red ball left of a small blue square above a small green cross

Things are named in reading order. The next one stands in the same row, and then the one before is
"left of" it, or in a lower one, and then the one before is "above" it.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, UInt8

from attention_jax.data.scene_words import CAPTION_WORDS, rectangle
from attention_jax.data.scenes import MOST, Scene, boxes, pictures
from attention_jax.data.tokens import END, START

LENGTH = 4 * MOST + 2 * (MOST - 1) + 1
"""tokens of the longest caption, its end mark included"""


class CaptionBatch(NamedTuple):
    """Pictures and their captions, padded."""

    pictures: UInt8[np.ndarray, "B SIDE SIDE 3"]
    target_in: Int[np.ndarray, "B T"]
    """the caption behind a start mark"""
    target_out: Int[np.ndarray, "B T"]
    """the caption before an end mark"""
    weights: Float[np.ndarray, "B T"]
    """1 for a word or an end mark, 0 for padding"""


class Gold(NamedTuple):
    """What words of the captions name."""

    boxes: Int[np.ndarray, "N MOST 4"]
    """top, left, bottom and right of each thing, in pixels"""
    named: Int[np.ndarray, "N T"]
    """the thing that a word of `target_out` is about, counted from 0; -1 for none"""


def caption(scene: Scene) -> tuple[list[str], list[int]]:
    """The caption's words, and for each the thing that it is about, or -1.

    Words between two things are about none.
    """
    words: list[str] = []
    named: list[int] = []
    for place, thing in enumerate(scene.things):
        if place:
            beside = thing.row == scene.things[place - 1].row
            between = ["left", "of"] if beside else ["above"]
            words, named = words + between, named + [-1] * len(between)
        words += ["a", thing.size, thing.colour, thing.shape]
        named += [place] * 4
    return words, named


def captioned(scenes: Sequence[Scene], seed: int) -> tuple[CaptionBatch, Gold]:
    """All scenes with their captions as rows.

    Args:
      scenes: at least one.
      seed: of what in a picture is chance.
    """
    found = [caption(scene) for scene in scenes]
    ids = [CAPTION_WORDS.encode(" ".join(words)) for words, _ in found]
    target_out = rectangle([[*row, END] for row in ids], LENGTH)
    named = np.full((len(scenes), LENGTH), -1, np.int32)
    for row, (_, things) in enumerate(found):
        named[row, : len(things)] = things
    batch = CaptionBatch(
        pictures(scenes, seed),
        rectangle([[START, *row] for row in ids], LENGTH),
        target_out,
        (target_out != 0).astype(np.float32),
    )
    return batch, Gold(boxes(scenes), named)
