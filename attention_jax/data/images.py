"""Pictures with labels: built in, from the four files of MNIST, or a set that TFDS has prepared."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from attention_jax.data.corpora import at_home
from attention_jax.data.drawn_digits import COUNTS, drawn_digits
from attention_jax.data.idx import read_idx
from attention_jax.data.lines import DataError

FORMS = (
    '"digits" (built in), a folder with the four files of MNIST or of a set in its format '
    "(train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, "
    "t10k-labels-idx1-ubyte; plain or .gz), or a TFDS set such as cifar10 that lies prepared in "
    "the cache"
)
HELD_OUT = 5_000
"""pictures taken for validation, at most a tenth of the training pictures"""


class Pictures(NamedTuple):
    """Pictures and what they show; N of them, all of one size."""

    images: np.ndarray
    """uint8 [N, height, width, channels], 1 channel or 3"""
    labels: np.ndarray
    """int32 [N], from 0"""


@dataclass(frozen=True)
class PictureSet:
    """The splits of a set of pictures.

    Attributes:
      name: what was asked for.
      splits: train, validation and test.
      classes: what each label means.
      notes: what was taken from where; one sentence each.
    """

    name: str
    splits: Mapping[str, Pictures]
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of every picture."""
        height, width, channels = self.splits["train"].images.shape[1:]
        return height, width, channels

    def digest(self) -> str:
        """SHA-256 of all pictures and labels."""
        found = hashlib.sha256()
        for name, split in sorted(self.splits.items()):
            found.update(f"{name} {split.images.shape}\n".encode())
            found.update(np.ascontiguousarray(split.images).data)
            found.update(split.labels.astype("<i4").data)
        return found.hexdigest()


@dataclass(frozen=True)
class PicturesConfig:
    """Which pictures, and how they become batches."""

    pictures: str = "digits"
    """"digits" (drawn by this program), a folder with the four files of MNIST, or a TFDS set"""
    limit: int | None = None
    """at most this many training pictures; None takes all"""
    batch: int = 128
    """pictures a batch"""
    shift: int = 0
    """pixels by which chance moves each training picture, at most, up or down and to a side"""
    cache: Path | None = None
    """where prepared sets are; None takes $ATTENTION_JAX_CACHE, or ~/.cache/attention_jax"""

    def __post_init__(self):
        """Refuses numbers that make no batches."""
        if not self.pictures:
            raise DataError(f"pictures is empty; {FORMS} would fit.")
        for name, least in (("limit", 1), ("batch", 1), ("shift", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise DataError(f"{name} is {value}; it must be at least {least}.")
        if self.cache is not None:
            object.__setattr__(self, "cache", Path(self.cache))


def load_pictures(config: PicturesConfig) -> PictureSet:
    """Reads the pictures that the config names.

    Where no split is for validation, the last training pictures are: `HELD_OUT`, or a tenth.

    Raises:
      DataError: there are no such pictures, or they cannot be read; one message that names what was
        found and what would fit.
    """
    name, notes = config.pictures, []
    path = at_home(Path(name))
    if name == "digits":
        splits = {split: Pictures(*drawn_digits(split)) for split in COUNTS}
        classes = tuple(map(str, range(10)))
    elif path.is_dir():
        splits, classes = _read_folder(path)
    else:
        from attention_jax.data.prepared_pictures import prepared_pictures

        splits, classes = prepared_pictures(name, config.cache)
    if "validation" not in splits:
        splits, note = _held_out(name, splits)
        notes.append(note)
    total = len(splits["train"].labels)
    if config.limit is not None and total > config.limit:
        notes.append(f"kept the first {config.limit:,} of {total:,} training pictures")
        splits["train"] = Pictures(*(rows[: config.limit] for rows in splits["train"]))
    return PictureSet(name, splits, classes, tuple(notes))


def as_floats(images: Any) -> Any:
    """Pictures of bytes, of NumPy or JAX, as float32 numbers from -1 (dark) to 1 (light)."""
    return images.astype(np.float32) / np.float32(127.5) - np.float32(1)


def as_bytes(pictures: Any) -> np.ndarray:
    """The way back from `as_floats`: the nearest bytes; what lies outside -1 to 1 is cut off."""
    return np.rint(np.clip((np.asarray(pictures, np.float32) + 1) * 127.5, 0, 255)).astype(np.uint8)


def shifted(images: np.ndarray, most: int, chance: np.random.Generator) -> np.ndarray:
    """Each picture [N, height, width, channels] moved by up to `most` pixels along both sides.

    Zeros, the dark, come in where it moved away from.
    """
    if not most:
        return images
    count, height, width, _ = images.shape
    around = ((0, 0), (most, most), (most, most), (0, 0))
    padded = np.pad(images, around)
    down, across = chance.integers(0, 2 * most + 1, (2, count, 1))
    rows, columns = down + np.arange(height)[None], across + np.arange(width)[None]
    return padded[np.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]


def _read_folder(folder: Path) -> tuple[dict[str, Pictures], tuple[str, ...]]:
    """Train and test from the four files of MNIST, or of a set in its format."""
    splits = {}
    for split, stem in (("train", "train"), ("test", "t10k")):
        images_at, labels_at = (
            _file(folder, f"{stem}-images", 3),
            _file(folder, f"{stem}-labels", 1),
        )
        images, labels = read_idx(images_at, 3), read_idx(labels_at, 1)
        if len(images) != len(labels):
            raise DataError(
                f"{images_at} has {len(images):,} pictures and {labels_at.name} {len(labels):,} "
                "labels; as many would fit."
            )
        splits[split] = Pictures(images[..., None], labels.astype(np.int32))
    sizes = [split.images.shape[1:3] for split in splits.values()]
    if sizes[0] != sizes[1]:
        raise DataError(f"{folder} has training pictures {sizes[0]} and test pictures {sizes[1]}.")
    count = 1 + max(int(split.labels.max()) for split in splits.values())
    return splits, tuple(map(str, range(count)))


def _file(folder: Path, stem: str, axes: int) -> Path:
    """The file of that name, however it is spelt and packed."""
    names = [f"{stem}{mark}idx{axes}-ubyte{end}" for mark in "-." for end in ("", ".gz")]
    there = [folder / name for name in names if (folder / name).is_file()]
    if len(there) > 1:
        raise DataError(f"{folder} has both {there[0].name} and {there[1].name}; keep one of them.")
    if not there:
        found = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"
        raise DataError(f"{folder} has no {names[0]} (plain or .gz); there: {found}.")
    return there[0]


def _held_out(name: str, splits: Mapping[str, Pictures]) -> tuple[dict[str, Pictures], str]:
    """The splits with the last training pictures for validation, and a note on it."""
    train = splits["train"]
    held = min(HELD_OUT, len(train.labels) // 10)
    if not held:
        raise DataError(f"{name} has {len(train.labels)} training pictures; at least 10 would fit.")
    parts = {
        "train": Pictures(*(rows[:-held] for rows in train)),
        "validation": Pictures(*(rows[-held:] for rows in train)),
    }
    return {**parts, "test": splits["test"]}, f"the last {held:,} training pictures are validation"
