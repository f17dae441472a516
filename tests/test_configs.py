import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from attention_jax.configs import differences, from_json, to_json


@dataclass(frozen=True)
class Inner:
    rate: float = 0.5
    kind: Literal["a", "b"] = "a"
    folder: Path | None = None


@dataclass(frozen=True)
class Outer:
    count: int
    inner: Inner = field(default_factory=Inner)
    names: tuple[str, ...] = ()
    pair: tuple[int, float] = (1, 2.0)
    flag: bool = False


def test_round_trip_through_text():
    config = Outer(3, Inner(1.0, "b", Path("/x/y")), ("p", "q"), (4, 0.1), True)
    assert from_json(Outer, json.loads(json.dumps(to_json(config)))) == config
    assert from_json(Outer, {"count": 1}) == Outer(1)
    assert from_json(Outer, {"count": 1, "inner": {"rate": 2}}).inner.rate == 2.0


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"count": 1, "inner": {"rat": 1.0}}, "inner.rat is no field; the nearest is rate"),
        ({}, "count is missing"),
        ({"count": True}, "count is True; int would fit"),
        ({"count": 1.0}, "count is 1.0; int would fit"),
        ({"count": 1, "inner": {"kind": "c"}}, "inner.kind is 'c'; one of a, b would fit"),
        ({"count": 1, "inner": None}, "inner is None"),
        ({"count": 1, "pair": [1]}, "pair has 1 entries; 2 would fit"),
        ({"count": 1, "names": [1]}, r"names\[0\] is 1; str would fit"),
        ({"count": 1, "flag": 1}, "flag is 1; bool would fit"),
        ({"count": 1, "inner": {"folder": 1}}, "inner.folder is 1; Path would fit"),
        ([], "the config is"),
    ],
)
def test_refuses_and_names_the_place(data, message):
    with pytest.raises(ValueError, match=message):
        from_json(Outer, data)


def test_differences_come_in_the_order_of_the_fields():
    one, other = to_json(Outer(1)), to_json(Outer(2, Inner(kind="b")))
    assert list(differences(one, other)) == [("count", 1, 2), ("inner.kind", "a", "b")]
    assert list(differences(one, one)) == []
    assert list(differences({"a": 1}, {"b": 2})) == [("a", 1, "nothing"), ("b", "nothing", 2)]


@dataclass(frozen=True)
class Round:
    kind: Literal["round"] = "round"
    radius: float = 1.0


@dataclass(frozen=True)
class Square:
    kind: Literal["square"] = "square"
    side: float = 2.0


@dataclass(frozen=True)
class Drawn:
    shape: Round | Square = field(default_factory=Round)


def test_of_several_dataclasses_the_kind_says_which():
    for one in (Drawn(), Drawn(Square(side=3.0))):
        assert from_json(Drawn, json.loads(json.dumps(to_json(one)))) == one
    assert from_json(Drawn, {"shape": {"radius": 4}}) == Drawn(Round(radius=4.0))
    for data, message in (
        ({"kind": "oval"}, "shape.kind is 'oval'; one of round, square would fit"),
        ({"kind": "square", "radius": 1.0}, "shape.radius is no field; the nearest is side"),
        ({"kind": "round", "radius": "1"}, "shape.radius is '1'; float would fit"),
    ):
        with pytest.raises(ValueError, match=message):
            from_json(Drawn, {"shape": data})
