"""Fields of a config.json: how each gives a setting of ours, checked, and how ours is written back.

Whoever made the file may lie about everything in it, so nothing is taken that was not looked at.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

LARGEST = 2**24
"""of a size; vocabularies have a few hundred thousand tokens"""
DEEPEST = 1_000
"""layers"""
GELUS = {"gelu": "gelu", "gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh", "relu": "relu"}
"""What folders call activations, and what `EncoderOnlyConfig` does."""

Form = Mapping[str, Any]


class Needed:
    """Stands where a field must be there."""


@dataclass(frozen=True)
class Field:
    """One of our settings, as a config.json says it.

    Attributes:
      name: of their field, for messages; empty where there is none.
      read: from a config.json to our setting.
      write: from our setting, and all the config, to what a config.json says of it.
    """

    name: str
    read: Callable[[Form], Any]
    write: Callable[[Any, Any], dict[str, Any]]


def count(
    name: str, usual: Any = Needed, *, most: int = LARGEST, least: int = 1, other: str | None = None
) -> Field:
    """A whole number; `usual` where the field is left out or null.

    `other` names the field that is taken then, before `usual` is.
    """

    def read(form: Form) -> Any:
        found = form.get(name)
        if found is None and other is not None:
            found = form.get(other)
        if found is None and usual is not Needed:
            return usual
        return whole(name, found, most, least)

    return Field(name, read, lambda value, config: {name: value})


def rate(name: str, usual: float) -> Field:
    """A number from 0 up to, not including, 1."""

    def read(form: Form) -> float:
        found = form.get(name, usual)
        if type(found) not in (int, float) or not 0 <= found < 1:
            raise ValueError(
                f"{name} is {found!r:.60}; a number from 0 up to, not including, 1 fits"
            )
        return float(found)

    return Field(name, read, lambda value, config: {name: value})


def flag(name: str, usual: bool) -> Field:
    """True or false."""

    def read(form: Form) -> bool:
        found = usual if form.get(name) is None else form[name]
        if type(found) is not bool:
            raise ValueError(f"{name} is {found!r:.60}; true or false would fit")
        return found

    return Field(name, read, lambda value, config: {name: value})


def choice(name: str, ours: Mapping[str, Any], usual: Any = Needed) -> Field:
    """One of some words, each of which is a setting of ours; several may be the same one."""

    def read(form: Form) -> Any:
        found = form.get(name, usual)
        if not isinstance(found, str) or found not in ours:
            raise ValueError(f"{name} is {found!r:.60}; one of {', '.join(ours)} would fit")
        return ours[found]

    def write(value: Any, config: Any) -> dict[str, Any]:
        words = [word for word, meant in ours.items() if meant == value]
        return {name: words[0]} if words else {}

    return Field(name, read, write)


def always(value: Any) -> Field:
    """What a kind of folder never says, as all of its models are so."""
    return Field("", lambda form: value, lambda found, config: {})


def whole(name: str, found: Any, most: int = LARGEST, least: int = 0) -> int:
    """The number, if it is a whole one within these bounds.

    Raises:
      ValueError: it is not; the message names the field.
    """
    # JSON's true is no number, though Python's True is an int.
    if type(found) is not int or not least <= found <= most:
        said = "missing" if found is None else f"{found!r:.60}"
        raise ValueError(f"{name} is {said}; a whole number from {least} to {most:,} would fit")
    return found
