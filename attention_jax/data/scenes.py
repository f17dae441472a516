"""Scenes of one to four coloured shapes: what captions tell of, and questions ask about.

Things stand in the cells of a grid, one in a cell, somewhat off its middle, so that none covers
another. They differ in shape, colour and size; a later one often has the shape or the colour of an
earlier one, so that one word alone seldom says which is meant.

Source: after Andreas et al. 2016, "Neural Module Networks" (the set SHAPES), and Johnson et al.
2017, "CLEVR", which have other rules and pictures.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Int, UInt8

from attention_jax.data.drawn_shapes import COLOURS, SHAPES, SIZES, Box, Stain, drawn

GRID = 3
"""cells in a row, and rows"""
CELL = 12
"""pixels of a side of a cell"""
SIDE = GRID * CELL
"""pixels of a side of a picture"""
MOST = 4
"""things in a scene"""
COUNTS = (1, 3, 4, 4)
"""how often there are one, two, three and four, before scenes seen already are left out"""
ALIKE = 0.3
"""how often a thing takes the shape of one before it, and its colour"""


class Thing(NamedTuple):
    """One thing of a scene; rows are counted from the top and columns from the left, from 0."""

    row: int
    column: int
    size: str
    colour: str
    shape: str


class Scene(NamedTuple):
    """Things in reading order, row by row, and the box of pixels that each fills."""

    things: tuple[Thing, ...]
    boxes: tuple[Box, ...]


@dataclass(frozen=True)
class ScenesConfig:
    """How many scenes there are, and which."""

    train: int = 12_000
    """scenes to learn from"""
    validation: int = 600
    """scenes that decide which checkpoint is the best"""
    test: int = 1_000
    """scenes for the held-out figures"""
    seed: int = 0
    """which scenes these are"""

    def __post_init__(self):
        """Refuses splits without scenes."""
        for name in SPLITS:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")


SPLITS = ("train", "validation", "test")


def scenes(config: ScenesConfig) -> dict[str, list[Scene]]:
    """The scenes of each split; the same on every machine.

    No two have the same things in the same cells, wherever within them: what is held out was not
    seen in training.
    """
    chance = random.Random(f"scenes {config.seed}")
    total = config.train + config.validation + config.test
    found: dict[tuple[Thing, ...], Scene] = {}
    while len(found) < total:
        things = _things(chance)
        if things not in found:
            found[things] = Scene(things, tuple(_box(thing, chance) for thing in things))
    every = list(found.values())
    # Scenes of one thing are few and come early: each split has its share of them.
    chance.shuffle(every)
    ends = config.validation, config.validation + config.test
    return {
        "train": every[ends[1] :],
        "validation": every[: ends[0]],
        "test": every[ends[0] : ends[1]],
    }


def pictures(scenes: Sequence[Scene], seed: int) -> UInt8[np.ndarray, "N SIDE SIDE 3"]:
    """The scenes' pictures; shades and noise come from the seed and the scene alone."""
    return np.stack([_picture(scene, seed) for scene in scenes])


def boxes(scenes: Sequence[Scene]) -> Int[np.ndarray, "N MOST 4"]:
    """Each thing's top, left, bottom and right in pixels; zeros where there are fewer things."""
    found = np.zeros((len(scenes), MOST, 4), np.int32)
    for row, scene in enumerate(scenes):
        found[row, : len(scene.boxes)] = scene.boxes
    return found


def _things(chance: random.Random) -> tuple[Thing, ...]:
    count = chance.choices(range(1, MOST + 1), COUNTS)[0]
    places = sorted(chance.sample(range(GRID * GRID), count))
    shapes, colours = _looks(SHAPES, count, chance), _looks(tuple(COLOURS), count, chance)
    return tuple(
        Thing(place // GRID, place % GRID, chance.choice(tuple(SIZES)), colour, shape)
        for place, colour, shape in zip(places, colours, shapes, strict=True)
    )


def _looks(kinds: Sequence[str], count: int, chance: random.Random) -> list[str]:
    """A shape, or a colour, for each thing."""
    found: list[str] = []
    for _ in range(count):
        again = found and chance.random() < ALIKE
        found.append(chance.choice(found if again else kinds))
    chance.shuffle(found)
    return found


def _box(thing: Thing, chance: random.Random) -> Box:
    """Where in its cell a thing stands."""
    size = SIZES[thing.size]
    top = thing.row * CELL + chance.randint(0, CELL - size)
    left = thing.column * CELL + chance.randint(0, CELL - size)
    return Box(top, left, top + size, left + size)


def _picture(scene: Scene, seed: int) -> UInt8[np.ndarray, "SIDE SIDE 3"]:
    chance = random.Random(f"picture {seed} {scene}")
    pairs = zip(scene.things, scene.boxes, strict=True)
    return drawn((Stain(one.shape, one.colour, box) for one, box in pairs), SIDE, chance)
