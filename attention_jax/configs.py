"""Frozen config dataclasses to JSON and back, strictly, and what differs between two of them."""

import contextlib
import dataclasses
import difflib
import types
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")

NOTHING = "nothing"
"""stands for the value of a field that a config does not have"""


def to_json(config: Any) -> dict[str, Any]:
    """A dataclass as nested dicts of what JSON can say: paths become strings, tuples lists."""
    return {field.name: _plain(getattr(config, field.name)) for field in dataclasses.fields(config)}


def from_json(kind: type[T], data: Any, place: str = "") -> T:
    """The dataclass `kind` from what `to_json` gave; fields that are missing take their defaults.

    Args:
      kind: a dataclass of str, int, float, bool, None, Path, Literal, tuples and dataclasses. Of
        several dataclasses the one is taken whose field `kind` has the value that is found there.
      data: nested dicts, fresh from JSON.
      place: where `data` stands, for messages.

    Raises:
      ValueError: an unknown field (the message names the nearest), a missing one without
        default, or a value of the wrong type.
    """
    if not isinstance(data, Mapping):
        raise ValueError(f"{place or 'the config'} is {data!r}; an object with fields would fit")
    fields = {field.name: field for field in dataclasses.fields(kind)}  # pyright: ignore[reportArgumentType]
    for name in data:
        if name not in fields:
            near = difflib.get_close_matches(name, fields, n=1, cutoff=0.0)
            raise ValueError(f"{_join(place, name)} is no field; the nearest is {near[0]}")
    hints = get_type_hints(kind)
    values = {}
    for name, field in fields.items():
        if name in data:
            values[name] = _typed(hints[name], data[name], _join(place, name))
        elif field.default is field.default_factory is dataclasses.MISSING:
            raise ValueError(f"{_join(place, name)} is missing")
    return kind(**values)


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """(field, value in one, value in other) for all that differ, in the order of `one`."""
    for name in [*one, *(name for name in other if name not in one)]:
        here, there = one.get(name, NOTHING), other.get(name, NOTHING)
        if isinstance(here, Mapping) and isinstance(there, Mapping):
            for inner, *values in differences(here, there):
                yield _join(name, inner), values[0], values[1]
        elif here != there:
            yield name, here, there


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return to_json(value)
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _typed(hint: Any, value: Any, place: str) -> Any:
    """The value as the type that the hint asks for, or a ValueError."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in inner:
            return None
        choices = [choice for choice in inner if choice is not type(None)]
        if isinstance(value, Mapping) and all(map(dataclasses.is_dataclass, choices)):
            return _typed(_of_kind(choices, value, place), value, place)
        *others, last = choices
        for choice in others:
            with contextlib.suppress(ValueError):
                return _typed(choice, value, place)
        return _typed(last, value, place)
    if origin is Literal:
        if value not in inner:
            fits = ", ".join(map(str, inner))
            raise ValueError(f"{place} is {value!r}; one of {fits} would fit")
        return value
    if dataclasses.is_dataclass(hint):
        return from_json(hint, value, place)  # pyright: ignore[reportArgumentType]
    if origin is tuple and isinstance(value, (list, tuple)):
        each = inner[:1] * len(value) if inner[1:] == (...,) else inner
        if len(each) != len(value):
            raise ValueError(f"{place} has {len(value)} entries; {len(each)} would fit")
        items = enumerate(zip(each, value, strict=True))
        return tuple(_typed(kind, item, f"{place}[{i}]") for i, (kind, item) in items)
    if hint is Path and isinstance(value, str):
        return Path(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    # JSON's true is no number, though Python's True is an int.
    if isinstance(hint, type) and type(value) is hint:
        return value
    raise ValueError(f"{place} is {value!r}; {getattr(hint, '__name__', hint)} would fit")


def _of_kind(choices: Sequence[Any], value: Mapping[str, Any], place: str) -> Any:
    """That of several dataclasses whose default `kind` the value has; without one, the first."""
    kinds = {choice.kind: choice for choice in choices}
    kind = value.get("kind", choices[0].kind)
    if kind not in kinds:
        raise ValueError(f"{_join(place, 'kind')} is {kind!r}; one of {', '.join(kinds)} would fit")
    return kinds[kind]


def _join(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name
