"""The manifest inside every checkpoint: what its arrays must be, bit for bit, and their origin.

The arrays' file format checks next to nothing: a flipped bit loads as another number, and another
dtype is cast. The manifest is the authority on both, and has a digest of its own.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import numpy as np

from attention_jax import configs
from attention_jax.training import peers

FORMAT = 1
NAME = "manifest"
_SHOWN = 6  # differences that a message names

INCIDENTAL = ("data.cache", "training.grace", "training.skip_limit")
"""fields of a config that may change while a run goes on: they change nothing that was done"""

Origin = Mapping[str, Any]
"""Where arrays come from: "config", "digests" of config, tokenizer and data, "versions"; or less"""


class Damaged(ValueError):
    """A checkpoint is not what was written, or not all of it."""


class Leaf(NamedTuple):
    """What one array must be."""

    dtype: str
    shape: tuple[int, ...]
    sha256: str = ""
    """of its bytes in C order, lower-case hex; "" for one in shards"""
    shards: Mapping[str, str] = MappingProxyType({})
    """the same of each part, such as "0:4,0:8", of an array that several processes wrote"""

    def __str__(self) -> str:
        return f"{self.dtype}{list(self.shape)}"

    def to_json(self) -> dict[str, Any]:
        """The leaf in a manifest."""
        found = {"dtype": self.dtype, "shape": self.shape, "sha256": self.sha256}
        return found | ({"shards": dict(self.shards)} if self.shards else {})

    def fits(self, array: np.ndarray) -> bool:
        """Whether an array is this one, bit for bit."""
        if (array.dtype.name, array.shape) != (self.dtype, self.shape):
            return False
        if not self.shards:
            return hash_of(array) == self.sha256
        parts = {part: array[_slices(part)] for part in self.shards}
        whole = sum(part.size for part in parts.values()) == array.size
        return whole and all(hash_of(parts[part]) == self.shards[part] for part in parts)


class Manifest(NamedTuple):
    """All that a checkpoint holds besides numbers."""

    leaves: dict[str, Leaf]
    """by their path in the state"""
    record: dict[str, Any]
    """whatever else was saved; JSON"""
    origin: Origin

    def to_json(self) -> dict[str, Any]:
        """The manifest with its own digest."""
        leaves = {name: leaf.to_json() for name, leaf in self.leaves.items()}
        whole = {"format": FORMAT, "leaves": leaves, "record": self.record, "origin": self.origin}
        return json.loads(json.dumps(whole | {"sha256": digest_of(whole)}, allow_nan=False))


def describe(
    arrays: Mapping[str, np.ndarray | jax.Array], *, hashed: bool = True
) -> dict[str, Leaf]:
    """What the arrays are, their digests included; all processes come here together.

    Args:
      arrays: of numpy, each the same in all processes, or of jax, in shards all over them.
      hashed: False leaves the digests out.
    """
    shards = {
        name: _shards(array) for name, array in arrays.items() if isinstance(array, jax.Array)
    }
    everywhere = peers.gather(shards if hashed else {}) if shards else []
    return {
        name: Leaf(
            array.dtype.name,
            array.shape,
            hash_of(array) if hashed and isinstance(array, np.ndarray) else "",
            {part: sha for one in everywhere for part, sha in one.get(name, {}).items()},
        )
        for name, array in arrays.items()
    }


def read_manifest(folder: Path) -> Manifest:
    """The manifest of one checkpoint's folder.

    Raises:
      Damaged: it is not what was written.
      ValueError: there is none.
    """
    path = folder / NAME / "data.json"
    if not path.exists():
        if folder.is_dir() and (folder / "_CHECKPOINT_METADATA").exists():
            raise Damaged(f"{folder} is damaged or no checkpoint of a training run: no manifest")
        raise ValueError(f"{folder} is no checkpoint of a training run")
    try:
        found = json.loads(path.read_bytes())
        sealed = found.pop("sha256")
        if sealed != digest_of(found):
            raise ValueError("its own digest is another than it was")
        if found["format"] != FORMAT:
            raise ValueError(f"its format is {found['format']}; this version reads {FORMAT}")
        leaves = {
            name: Leaf(
                leaf["dtype"], tuple(leaf["shape"]), leaf["sha256"], leaf.get("shards") or {}
            )
            for name, leaf in found["leaves"].items()
        }
        return Manifest(leaves, found["record"], found["origin"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Damaged(f"{folder} is damaged: the manifest cannot be read: {error}") from error


def check_leaves(folder: Path, wanted: Mapping[str, Any], saved: Mapping[str, Leaf]) -> None:
    """Refuses arrays of other names, shapes or dtypes than wanted, field by field.

    Args:
      folder: for the message.
      wanted: shapes and dtypes by name.
      saved: what there is.
    """
    here = {name: str(Leaf(np.dtype(x.dtype).name, x.shape)) for name, x in wanted.items()}
    there = {name: str(leaf) for name, leaf in saved.items()}
    found = [
        f"{name} is {there.get(name, 'nothing')} there and {here.get(name, 'nothing')} here"
        for name in [*here, *(name for name in there if name not in here)]
        if here.get(name) != there.get(name)
    ]
    if found:
        raise ValueError(f"{folder} was written by another model: {_listed(found)}")


def check_origin(folder: Path, mine: Origin, theirs: Origin) -> None:
    """Refuses another run's checkpoint, field by field; what one side does not say is let pass.

    Args:
      folder: for the message.
      mine: of the run that wants to go on.
      theirs: of the checkpoint.
    """
    found = []
    if mine.get("config") and theirs.get("config"):
        found += [
            f"{name} is {there!r} there and {here!r} here"
            for name, here, there in configs.differences(mine["config"], theirs["config"])
            # A field that was not there yet has its default now, or the folder would be another's.
            if name not in ("name", *INCIDENTAL) and there != configs.NOTHING
        ]
    here, there = mine.get("digests", {}), theirs.get("digests", {})
    found += [
        f"the {name} is another than it was"
        for name in ("tokenizer", "data")
        if name in here and name in there and here[name] != there[name]
    ]
    if found:
        raise ValueError(
            f"{folder} is not this run's: {_listed(found)}. What it was trained with, or another "
            "folder, would fit"
        )


def other_versions(mine: Origin, theirs: Origin) -> list[str]:
    """Packages whose versions differ, such as "jax 0.10.2 there and 0.12.0 here"."""
    here, there = mine.get("versions", {}), theirs.get("versions", {})
    return [
        f"{name} {there[name]} there and {here[name]} here"
        for name in here
        if name in there and here[name] != there[name]
    ]


def origin_of(config: Mapping[str, Any], versions: Mapping[str, Any], **digests: str) -> Origin:
    """An `Origin`, with the config's digest beside those that are given."""
    return {
        "config": dict(config),
        "digests": {"config": digest_of(config), **digests},
        "versions": dict(versions),
    }


def hash_of(array: np.ndarray) -> str:
    """SHA-256 of an array's bytes."""
    flat = np.ascontiguousarray(array).reshape(-1)
    return hashlib.sha256(flat.view(np.uint8).data).hexdigest()


def _shards(array: jax.Array) -> dict[str, str]:
    """The digests of the parts that this process holds, each part in one process only."""
    return {
        ",".join(
            "{}:{}".format(*place.indices(size)[:2])
            for place, size in zip(shard.index, array.shape, strict=True)
        ): hash_of(np.asarray(shard.data))
        for shard in array.addressable_shards
        if shard.replica_id == 0
    }


def _slices(part: str) -> tuple[slice, ...]:
    """The part's place in its array, from its name."""
    return tuple(slice(*map(int, one.split(":"))) for one in part.split(","))


def digest_of(tree: Any) -> str:
    """SHA-256 of JSON, whatever the order of its fields."""
    text = json.dumps(tree, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _listed(found: Iterable[str]) -> str:
    found = list(found)
    more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return "; ".join(found[:_SHOWN]) + more
