"""A kind of Hugging Face folder: what it calls sizes and tensors, for reading and for writing.

One description serves both ways. A folder that was read is written as it was; and what is written
is read back first, so that a model which a kind of folder has no words for is refused by name.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from attention_jax.interop.fields import Field, Form


@dataclass(frozen=True)
class View:
    """How a tensor lies in a folder, where it is not as ours.

    Attributes:
      shape: our axes are first cut, or joined, to these.
      axes: the order of those axes in the folder.
      before: rows that stand there before the first of ours, and that no token uses.
    """

    shape: tuple[int, ...] | None = None
    axes: tuple[int, ...] | None = None
    before: int = 0


@dataclass(frozen=True)
class Family:
    """How one kind of folder says what a model is.

    Attributes:
      config: the class of our configs.
      model: from a config and `rngs` to our model.
      fields: our settings, and what config.json says of each.
      names: from a config to our modules and tables, "*" for the number of a layer, and what the
        folder calls them; of modules that lie side by side in one of the folder's, all in a tuple.
      architecture: what transformers calls the class that a folder is written for.
      prefix: before the names of tensors; folders of a model without a head leave it out.
      outside: first words of names that never have it.
      turned: whether kernels lie as [outputs, inputs].
      views: from a config to names of tensors that lie otherwise than others, and how.
      copies: from a config to other names of a tensor, as of a table that is the projection too,
        and its own.
      settled: from a config and the folder's tensors to the config, where they say more than
        config.json does.
      must: settings that make another model of it, and the values that do not; one left out, or
        null, does not.
      left_out: a pattern of the names of tensors that ours has no use for.
      free: our settings that no folder has words for, and that change no output.
      absent: what a field that is left out says, where that is not what null says.
    """

    config: type
    model: Callable[..., Any]
    fields: Mapping[str, Field]
    names: Callable[[Any], Mapping[Any, str]]
    architecture: str
    prefix: str = ""
    outside: tuple[str, ...] = ()
    turned: bool = True
    views: Callable[[Any], Mapping[str, View]] = lambda config: {}
    copies: Callable[[Any], Mapping[str, str]] = lambda config: {}
    settled: Callable[[Any, Mapping[str, np.ndarray]], Any] = lambda config, arrays: config
    must: Mapping[str, Any] = field(default_factory=dict)
    left_out: str = ""
    free: tuple[str, ...] = ()
    absent: Mapping[str, Any] = field(default_factory=dict)


def read(family: Family, form: Form) -> Any:
    """The config that a config.json gives, each setting checked.

    Raises:
      ValueError: a field is missing or is what cannot be; the message names it and what would fit.
    """
    for name, fits in family.must.items():
        if (said := form.get(name)) is not None and said != fits:
            raise ValueError(f"{name} is {said!r:.60}; {fits!r} would fit, or none")
    form = {**family.absent, **form}
    found = {ours: field.read(form) for ours, field in family.fields.items()}
    try:
        return family.config(**found)
    except ValueError as error:
        named = {ours: field.name for ours, field in family.fields.items() if field.name}
        names = ", ".join(f"{theirs} gives {ours}" for ours, theirs in named.items())
        raise ValueError(f"{error} ({names})") from None


def written(family: Family, kind: str, config: Any, marks: Form) -> dict[str, Any]:
    """The config.json of our config.

    Args:
      family: of the kind.
      kind: the model_type.
      config: of our model.
      marks: what it says of tokens that begin and end texts.

    Raises:
      ValueError: such a folder cannot say what the config does; the message names the settings.
    """
    form: dict[str, Any] = {"model_type": kind, "architectures": [family.architecture]}
    form |= {name: fits for name, fits in family.must.items() if fits != {}}
    form |= {**marks, "torch_dtype": "float32"}
    for ours, theirs in family.fields.items():
        form |= theirs.write(getattr(config, ours), config)
    again = read(family, form)
    for one in fields(config):
        mine, theirs = getattr(config, one.name), getattr(again, one.name)
        if one.name not in family.free and _plain(config, one.name) != _plain(again, one.name):
            raise ValueError(
                f"{one.name} is {mine!r:.60}, which no folder of the kind {kind} says; {theirs!r} "
                "would fit, or another kind"
            )
    return form


def _plain(config: Any, name: str) -> Any:
    """A setting, or what it stands for where None means that another one gives it."""
    given = {"head_size": "size_of_head", "key_value_heads": "groups"}
    value = getattr(config, given[name] if hasattr(config, given.get(name, "")) else name)
    return config.bias if value is None and name in ("qkv_bias", "output_bias") else value
