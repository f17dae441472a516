"""Pictures of coloured shapes, drawn pixel by pixel in whole numbers: the same on every machine."""

import random
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, UInt8

SHAPES = ("ball", "square", "triangle", "cross")
COLOURS = {
    "red": (205, 45, 45),
    "green": (50, 165, 65),
    "blue": (50, 85, 215),
    "yellow": (215, 195, 50),
    "purple": (150, 60, 175),
}
"""red, green and blue of each, before it is shaded"""
SIZES = {"small": 7, "big": 11}
"""pixels from side to side"""
GROUND = 118
"""grey of the background, before it is shaded"""
SHADING = 22
"""how far a shape's colour may lie from the plain one, in each of red, green and blue"""
NOISE = 32
"""each number of a picture is moved by half of it at most"""


class Box(NamedTuple):
    """Pixels from `top` to before `bottom`, and from `left` to before `right`."""

    top: int
    left: int
    bottom: int
    right: int


class Stain(NamedTuple):
    """A shape somewhere in a picture; its box is a square."""

    shape: str
    colour: str
    box: Box


def outline(shape: str, size: int) -> Bool[np.ndarray, "size size"]:
    """Where a shape is, in the square that just holds it.

    Args:
      shape: one of `SHAPES`.
      size: pixels of a side.

    Raises:
      ValueError: there is no such shape, or it is smaller than 3 pixels.
    """
    if shape not in SHAPES or size < 3:
        raise ValueError(f"found a {shape!r} of {size} pixels; {SHAPES} of 3 or more would fit")
    # Twice the distance from the middle, so that all is whole.
    away = np.abs(2 * np.arange(size) - (size - 1))
    down, across = away[:, None], away[None]
    if shape == "ball":
        return down**2 + across**2 <= size**2
    if shape == "triangle":
        return across <= np.arange(size)[:, None]
    if shape == "cross":
        return np.minimum(down, across) <= (size + 1) // 3
    return np.ones((size, size), bool)


def drawn(
    stains: Iterable[Stain], side: int, chance: random.Random
) -> UInt8[np.ndarray, "side side 3"]:
    """The picture of shapes on grey: each shaded as a whole, and then noise over all.

    Args:
      stains: later ones cover earlier ones.
      side: pixels of a side of the picture.
      chance: where shades and noise come from.

    Raises:
      ValueError: a box is no square within the picture, or there is no such shape or colour.
    """
    picture = np.full((side, side, 3), GROUND, np.int16)
    for shape, colour, box in stains:
        top, left, bottom, right = box
        inside = 0 <= top < bottom <= side and 0 <= left < right <= side
        if not inside or bottom - top != right - left:
            raise ValueError(f"found {box}; a square within {side} by {side} pixels would fit")
        if colour not in COLOURS:
            raise ValueError(f"found the colour {colour!r}; one of {tuple(COLOURS)} would fit")
        shade = [part + chance.randint(-SHADING, SHADING) for part in COLOURS[colour]]
        picture[top:bottom, left:right][outline(shape, bottom - top)] = shade
    noise = np.frombuffer(chance.randbytes(picture.size), np.uint8).reshape(picture.shape)
    picture += noise.astype(np.int16) % (NOISE + 1) - NOISE // 2
    return picture.clip(0, 255).astype(np.uint8)
