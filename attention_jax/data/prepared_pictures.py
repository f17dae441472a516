"""Pictures that TFDS has prepared: read without TensorFlow, though TFDS needs it to prepare them.

A prepared set holds its pictures as PNG or JPEG files. Pillow decodes them, which comes with the
extra "views".
"""

import io
from pathlib import Path
from typing import Any, cast

import numpy as np

from attention_jax.data import prepared
from attention_jax.data.corpora import DataConfig
from attention_jax.data.images import FORMS, Pictures
from attention_jax.data.lines import DataError

CHANNELS = {"L": 1, "RGB": 3}


def prepared_pictures(name: str, cache: Path | None) -> tuple[dict[str, Pictures], tuple[str, ...]]:
    """The splits of a TFDS set with the fields image and label, and the names of its labels.

    Args:
      name: of the set, such as "cifar10".
      cache: the folder whose "tfds" holds prepared sets; None for the usual one.

    Raises:
      DataError: it is not there, has no such fields or no train and test split, or its pictures
        cannot be decoded or differ in size.
    """
    folder = DataConfig(cache=cache).folder / "tfds"
    there = prepared.newest(name, folder)
    if there is None:
        raise _absent(name, folder)
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(there)
    features: dict[str, Any] = dict(cast(Any, builder.info.features))
    if not {"image", "label"} <= set(features):
        found = ", ".join(features)
        raise DataError(f"{name} has the fields {found}; image and label would fit.")
    if not {"train", "test"} <= set(builder.info.splits):
        found = ", ".join(builder.info.splits)
        raise DataError(f"{name} has the splits {found}; train and test would fit.")
    splits = {}
    for split in ("train", "validation", "test"):
        if split not in builder.info.splits:
            continue
        images, labels = [], []
        for row in prepared.rows_of(builder, split):
            images.append(_decoded(row["image"][0], f"{name}, {split}, row {len(images) + 1}"))
            labels.append(row["label"][0])
        shapes = sorted({image.shape for image in images})
        if len(shapes) != 1:
            raise DataError(f"{name}, {split}: pictures of sizes {shapes[:3]}; one would fit.")
        splits[split] = Pictures(np.stack(images), np.array(labels, np.int32))
    return splits, tuple(features["label"].names)


def _decoded(raw: bytes, where: str) -> np.ndarray:
    """The bytes [height, width, channels] of a PNG or JPEG file."""
    try:
        from PIL import Image
    except ImportError:
        raise DataError(
            'Pillow decodes the pictures; `pip install "attention-jax[views]"` brings it.'
        ) from None
    try:
        with Image.open(io.BytesIO(raw), formats=("PNG", "JPEG")) as picture:
            if picture.mode not in CHANNELS:
                raise DataError(f"{where}: a picture of mode {picture.mode}; L or RGB would fit.")
            found = np.asarray(picture, np.uint8)
            return found.reshape(*found.shape[:2], CHANNELS[picture.mode])
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{where}: no PNG or JPEG picture: {error}.") from None


def _absent(name: str, folder: Path) -> DataError:
    return DataError(
        f"there are no pictures {name!r}: no such folder, and no such prepared set in {folder}. "
        f"What fits: {FORMS}. TFDS needs TensorFlow to prepare pictures: where that is installed, "
        f"tfds.builder({name!r}, file_format='array_record').download_and_prepare() makes a folder "
        f"to be copied to {folder}."
    )
