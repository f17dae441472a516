"""Draws: every sentence is a walk of choices through the grammar."""

from collections.abc import Sequence
from random import Random
from typing import TypeVar

_T = TypeVar("_T")


class Draw:
    """Choices from a seed; uses only Random.random, which Python keeps the same for ever."""

    def __init__(self, seed: int):
        self._random = Random(seed).random

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self._random() < probability

    def pick(self, choices: Sequence[_T]) -> _T:
        """One of the choices, each as likely."""
        return choices[int(self._random() * len(choices))]


class Unsaid(Exception):
    """This draw leads to nothing that the phrasebook says."""
