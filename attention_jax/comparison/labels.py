"""What reports call the variants of a comparison: by what tells their configs apart."""

import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from attention_jax import configs
from attention_jax.experiment import Experiment
from attention_jax.paths import LONGEST

Config = Mapping[str, Any]
"""all fields of an experiment, by dotted name, in their order"""

IGNORED = ("name", "seed", "data.cache")
"""what makes no variant: seeds are its repetitions, and where data are kept changes nothing"""

LEFT = "heads left"
"""no field: how many heads a pruned model has left, in all its attentions together"""

FIRST = tuple(
    f"model.{name}"
    for name in ("kind", "heads", "key_value_heads", "head_size", "feed_forward", "width")
)
"""the fields to tell variants apart by, if they do; then come the others in the config's order"""

ABSENT = "no such field"
"""the value of a field that other kinds of models have"""

PRUNED = ("model.encoder_heads", "model.decoder_heads", "model.cross_heads")


def labels(experiments: Sequence[Experiment]) -> list[str]:
    """A label an experiment; those that differ in name and seed alone have the same.

    The smallest set of fields that tells all variants apart: "1 head" and "4 heads", "8 key/value
    heads", "4 heads of 16", "width 64, dropout 0.1".
    """
    found = _filled([config_of(one) for one in experiments])
    variants = list({tuple(map(repr, config.values())): config for config in found}.values())
    told = _telling(variants)
    return [label(config, told) for config in found]


def label(config: Config, told: Sequence[str]) -> str:
    """The values of the fields `told`, for people; those that the model has not are left out."""
    told = [name for name in told if config.get(name, name == LEFT) != ABSENT]
    if {"model.heads", "model.head_size"} <= {*told} and config["model.head_size"]:
        heads = f"{_heads(config)} of {config['model.head_size']}"
        rest = [name for name in told if name not in ("model.heads", "model.head_size")]
        return ", ".join([heads, *(_say(name, config, told) for name in rest)])
    return ", ".join(_say(name, config, told) for name in told)


def folder_names(labels: Sequence[str]) -> list[str]:
    """What the folder of each label's runs may be called, whatever the label says.

    Letters, digits and . + - _, so that none leads elsewhere; no longer than a seed and a suffix
    leave room for; different for different labels, even where capitals do not count.
    """
    found: dict[str, str] = {}
    taken: set[str] = set()
    for label in dict.fromkeys(labels):
        safe = re.sub(r"[^\w.+-]+", "-", label).lstrip(".-").encode()[: LONGEST - 40]
        base = safe.decode(errors="ignore").rstrip(".") or "variant"
        name, count = base, 1
        while name.casefold() in taken:
            count += 1
            name = f"{base}-{count}"
        found[label] = name
        taken.add(name.casefold())
    return [found[label] for label in labels]


def confounds(experiments: Sequence[Experiment]) -> list[str]:
    """What varies besides the fields that the labels name; one sentence each.

    A label tells variants apart; it need not be all that differs between them.
    """
    found = _filled([config_of(one) for one in experiments])
    told = _telling(found)
    named = {*told, *(PRUNED if LEFT in told else ())}
    sentences = []
    for name in _differing(found):
        if name not in named and name != LEFT and not _any_absent(found, name):
            values = dict.fromkeys(_value(name, config) for config in found)
            shown = ", ".join(list(values)[:8]) + ", ..." * (len(values) > 8)
            sentences.append(f"Variants differ in {name} too: {shown}.")
    return sentences


def config_of(experiment: Experiment) -> Config:
    """All fields but those that make no variant, by dotted name; values as in JSON."""
    return {
        name: value for name, value in _flat(configs.to_json(experiment)) if name not in IGNORED
    }


def differing(one: Config, other: Config) -> Iterator[tuple[str, Any, Any]]:
    """(field, value in one, value in other) for all that differ."""
    one, other = _filled([one, other])
    return ((name, one[name], other[name]) for name in one if one[name] != other[name])


def _filled(found: Sequence[Config]) -> list[Config]:
    """The configs with all fields that any of them has, in one order."""
    names = dict.fromkeys(itertools.chain.from_iterable(found))
    return [{name: config.get(name, ABSENT) for name in names} for config in found]


def _any_absent(found: Sequence[Config], name: str) -> bool:
    return any(config[name] == ABSENT for config in found)


def _telling(found: Sequence[Config]) -> tuple[str, ...]:
    """The smallest set of fields, preferred ones first, that tells all configs apart."""
    fields = _differing(found)
    wanted = _count(found, fields)
    for size in range(1, min(3, len(fields)) + 1):
        for chosen in itertools.combinations(fields, size):
            if _count(found, chosen) == wanted:
                return chosen
    return tuple(fields) or ("model.heads",)


def _count(found: Sequence[Config], fields: Sequence[str]) -> int:
    return len({tuple(_value(name, config) for name in fields) for config in found})


def _differing(found: Sequence[Config]) -> list[str]:
    names = [name for name in found[0] if any(one[name] != found[0][name] for one in found)]
    names.sort(key=lambda name: FIRST.index(name) if name in FIRST else len(FIRST))
    if any(name in PRUNED and not _any_absent(found, name) for name in names):
        names.insert(names[:1] == ["model.heads"], LEFT)
    return names


def _say(name: str, config: Config, told: Sequence[str]) -> str:
    if name in SAID:
        return SAID[name](config)
    short = name.rpartition(".")[2]
    clear = sum(other.rpartition(".")[2] == short for other in told) == 1
    return f"{short if clear else name} {_value(name, config)}"


def _value(name: str, config: Config) -> str:
    if name in SAID and config.get(name) != ABSENT:
        return SAID[name](config)
    value = config[name]
    if isinstance(value, list):
        return "+".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _heads(config: Config) -> str:
    return _counted(config["model.heads"], "head")


def _key_value_heads(config: Config) -> str:
    groups = config["model.key_value_heads"]
    return _counted(config["model.heads"] if groups is None else groups, "key/value head")


def _left(config: Config) -> str:
    layers = {"encoder": config["model.encoder_layers"], "decoder": config["model.decoder_layers"]}
    heads, left, full = config["model.heads"], 0, 0
    for name in PRUNED:
        count = layers["encoder" if name == PRUNED[0] else "decoder"]
        full += heads * count
        left += heads * count if config[name] is None else sum(config[name])
    return f"all {full} heads" if left == full else f"{left} of {full} heads left"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _kind(config: Config) -> str:
    return config["model.kind"].replace("_", " ")


SAID: Mapping[str, Callable[[Config], str]] = {
    "model.kind": _kind,
    "model.heads": _heads,
    "model.key_value_heads": _key_value_heads,
    LEFT: _left,
}


def _flat(config: Mapping[str, Any], place: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{place}{name}.")
        else:
            yield place + name, value
