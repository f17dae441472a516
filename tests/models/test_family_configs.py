"""The configs of all kinds: what they refuse, and that files and command lines can hold them."""

import dataclasses
import json
import math
import re
from dataclasses import replace
from typing import Literal, get_args, get_origin, get_type_hints

import pytest

from attention_jax import configs
from attention_jax.experiment import Experiment
from attention_jax.models import kinds
from tests.models.family import FAMILY, KINDS


def impossible(config):
    """(field, value) that no model can have, for each field that has such."""
    for name, hint in get_type_hints(type(config)).items():
        inner = {hint} if get_origin(hint) in (None, Literal) else set(get_args(hint))
        words = {get_origin(one) for one in (hint, *get_args(hint))}
        if Literal in words and tuple not in words:
            yield name, "nonsense"
        elif name == "padding":  # a token, or -1 where none is
            yield from ((name, value) for value in (-2, config.vocabulary))
        elif int in inner:
            yield from ((name, value) for value in (0, -1))
        elif float in inner:
            yield from ((name, value) for value in (-0.1, 1.0, math.nan))


CASES = [(kind, *case) for kind in KINDS for case in impossible(FAMILY[kind])]


@pytest.mark.parametrize("kind, field, value", CASES)
def test_impossible_sizes_are_refused_by_name(kind, field, value):
    with pytest.raises(ValueError, match=f"{field} is {value!r}.*(at least|fit|divide)"):
        replace(FAMILY[kind], **{field: value})


def test_every_kind_of_field_is_tried():
    for kind in KINDS:
        fields = {field.name for field in dataclasses.fields(FAMILY[kind])}
        left = fields - {field for found, field, _ in CASES if found == kind}
        hints = get_type_hints(type(FAMILY[kind]))
        plain = bool, bool | None
        assert all(hints[name] in plain or re.search("tuple", str(hints[name])) for name in left)


@pytest.mark.parametrize("name", FAMILY)
def test_a_runs_file_holds_any_config(name):
    experiment = Experiment(model=FAMILY[name])
    found = configs.from_json(Experiment, json.loads(json.dumps(configs.to_json(experiment))))
    assert found == experiment and hash(found) == hash(experiment)
    assert type(found.model) is type(FAMILY[name])


def test_the_table_has_every_kind():
    assert {type(FAMILY[kind]) for kind in KINDS} == set(kinds.MODELS)
    assert list(KINDS) == [FAMILY[kind].kind for kind in KINDS]
