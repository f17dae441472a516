"""Tensors by the names of a folder, as parameters of our model by their paths, and back."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from attention_jax.interop.family import Family, View

Path = tuple[Any, ...]

_LEAVES = {"kernel": "weight", "scale": "weight", "table": "weight", "bias": "bias"}
_FLOATS = ("float16", "bfloat16", "float32", "float64")


class Slot(NamedTuple):
    """A tensor of a folder, and the parameters of ours that it holds, side by side.

    Attributes:
      name: in the folder, without what stands before all names.
      paths: of our parameters; those of several are joined along their last axis.
      shapes: of our parameters.
      view: how it lies in the folder.
    """

    name: str
    paths: tuple[Path, ...]
    shapes: tuple[tuple[int, ...], ...]
    view: View

    @property
    def joined(self) -> tuple[int, ...]:
        """The shape of our parameters side by side."""
        return (*self.shapes[0][:-1], sum(shape[-1] for shape in self.shapes))

    @property
    def shape(self) -> tuple[int, ...]:
        """That of the tensor in the folder."""
        shape = self.view.shape or self.joined
        shape = tuple(shape[axis] for axis in self.view.axes or range(len(shape)))
        return (shape[0] + self.view.before, *shape[1:])

    def ours(self, array: np.ndarray) -> dict[Path, np.ndarray]:
        """Our parameters, from a tensor of that shape."""
        array = array[self.view.before :]
        if self.view.axes is not None:
            array = array.transpose(np.argsort(self.view.axes))
        ends = np.cumsum([shape[-1] for shape in self.shapes])[:-1]
        parts = np.split(array.reshape(self.joined), ends, axis=-1)
        return dict(zip(self.paths, parts, strict=True))

    def theirs(self, params: Mapping[Path, np.ndarray]) -> np.ndarray:
        """The tensor, from our parameters; rows that no token uses are zero."""
        array = np.concatenate([np.asarray(params[path]) for path in self.paths], axis=-1)
        array = array.reshape(self.view.shape or self.joined)
        if self.view.axes is not None:
            array = array.transpose(self.view.axes)
        empty = np.zeros((self.view.before, *array.shape[1:]), array.dtype)
        return np.ascontiguousarray(np.concatenate([empty, array]) if len(empty) else array)


def slots(family: Family, config: Any, shapes: Mapping[Path, tuple[int, ...]]) -> list[Slot]:
    """All tensors of a folder that holds our model.

    Args:
      family: the kind of folder.
      config: of our model.
      shapes: of our parameters, by path.
    """
    modules = _modules(family, config)
    homes: dict[str, list[tuple[int, Path]]] = {}
    for path in shapes:
        name, order = _their_name(modules, path)
        homes.setdefault(name, []).append((order, path))
    views = family.views(config)
    made = []
    for name, held in homes.items():
        paths = tuple(path for _, path in sorted(held, key=lambda one: one[0]))
        usual = View(axes=(1, 0)) if family.turned and paths[0][-1] == "kernel" else View()
        sizes = tuple(shapes[path] for path in paths)
        made.append(Slot(name, paths, sizes, views.get(name, usual)))
    return made


def arranged(
    family: Family,
    config: Any,
    arrays: Mapping[str, np.ndarray],
    shapes: Mapping[Path, tuple[int, ...]],
) -> dict[Path, np.ndarray]:
    """The tensors of a folder as the parameters of our model, in float32.

    Args:
      family: the kind of folder.
      config: of our model, as the folder's config.json gives it.
      arrays: all of the folder's tensors by name.
      shapes: of our parameters, by path.

    Raises:
      ValueError: a tensor is missing, has another shape than the sizes say, is not of finite
        numbers, is one that no member of the family has, or is said to be the same as another and
        is not; the message names it.
    """
    there = plain_names(family, arrays)
    copies = {}
    for copy, name in family.copies(config).items():
        if copy in there:
            copies[copy] = name, there.pop(copy)
            there.setdefault(name, copies[copy][1])
    taken = {}
    for slot in slots(family, config, shapes):
        if slot.name not in there:
            raise ValueError(f"there is no tensor {slot.name}, of shape {list(slot.shape)}")
        array = there.pop(slot.name)
        for copy, (name, other) in copies.items():
            if name == slot.name and not np.array_equal(array, other):
                raise ValueError(
                    f"{copy} and {name} differ, and by config.json they are one tensor"
                )
        taken |= slot.ours(_checked(slot, array))
    if unknown := [name for name in there if not re.fullmatch(family.left_out, name)]:
        more = f" and {len(unknown) - 3} others" if len(unknown) > 3 else ""
        raise ValueError(
            f"there are tensors that the model has no place for: {', '.join(unknown[:3])}{more}"
        )
    return taken


def named(family: Family, config: Any, params: Mapping[Path, np.ndarray]) -> dict[str, np.ndarray]:
    """The parameters of our model as the tensors of a folder, by their full names."""
    shapes = {path: tuple(array.shape) for path, array in params.items()}
    tensors = {}
    for slot in slots(family, config, shapes):
        outside = slot.name.split(".")[0] in family.outside
        tensors[slot.name if outside else family.prefix + slot.name] = slot.theirs(params)
    return tensors


def plain_names(family: Family, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The tensors by their newest names, without what stands before all of them.

    Raises:
      ValueError: two have the same name then.
    """
    there = {}
    for name, array in arrays.items():
        plain = name.removeprefix(family.prefix)
        plain = re.sub(r"LayerNorm\.gamma$", "LayerNorm.weight", plain)
        plain = re.sub(r"LayerNorm\.beta$", "LayerNorm.bias", plain)
        if plain in there:
            raise ValueError(f"there are two tensors for {plain}, {name} and another")
        there[plain] = array
    return there


def _checked(slot: Slot, array: np.ndarray) -> np.ndarray:
    """The tensor in float32, if it is what config.json says it is."""
    if array.shape != slot.shape:
        raise ValueError(
            f"{slot.name} has shape {list(array.shape)}, and by config.json {list(slot.shape)}"
        )
    if array.dtype.name not in _FLOATS:
        raise ValueError(f"{slot.name} is of {array.dtype}; floating-point numbers would fit")
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused
        array = array.astype(np.float32)
    if not np.isfinite(array).all():
        raise ValueError(f"{slot.name} holds what is no finite number in float32")
    return array


def _modules(family: Family, config: Any) -> dict[str, tuple[str, int]]:
    """What the folder calls each of our modules and tables, and its place among those joined."""
    found = {}
    for ours, theirs in family.names(config).items():
        for order, one in enumerate((ours,) if isinstance(ours, str) else ours):
            found[one] = theirs, order
    return found


def _their_name(modules: Mapping[str, tuple[str, int]], path: Path) -> tuple[str, int]:
    """What the folder calls our parameter, or the tensor that it is a part of, and its place."""
    at = next((place for place, part in enumerate(path) if isinstance(part, int)), None)
    parts, layer = list(map(str, path)), ""
    if at is not None:
        layer, parts[at] = parts[at], "*"
    whole, module, leaf = ".".join(parts), ".".join(parts[:-1]), ""
    if whole not in modules:
        whole, leaf = module, f".{_LEAVES.get(parts[-1])}"
    if whole not in modules:
        raise ValueError(f"no folder of the kind has a place for {'.'.join(map(str, path))}")
    theirs, order = modules[whole]
    return theirs.replace("*", layer, 1) + leaf, order
