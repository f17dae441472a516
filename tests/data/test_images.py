"""Pictures from wherever they come: whole, split, moved, and refused with a reason."""

import gzip
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from attention_jax.data.images import (
    PicturesConfig,
    as_bytes,
    as_floats,
    load_pictures,
    shifted,
)
from attention_jax.data.lines import DataError
from tests.data.test_idx import idx

DIGEST = "a939a2d9965293e9244c07a1158442410591c9d47203caad9268afd120a0cab9"


def write(folder, train=40, test=20, size=(3, 4), labels=5, mark="-"):
    """A folder of random pictures in the format of MNIST, half of its files packed."""
    draw = np.random.default_rng(0)
    folder.mkdir(exist_ok=True)
    for stem, count in (("train", train), ("t10k", test)):
        images = draw.integers(0, 256, (count, *size))
        classes = draw.permutation(np.arange(count) % labels)
        (folder / f"{stem}-images{mark}idx3-ubyte").write_bytes(idx(images))
        packed = gzip.compress(idx(classes), mtime=0)
        (folder / f"{stem}-labels{mark}idx1-ubyte.gz").write_bytes(packed)
    return PicturesConfig(str(folder))


def refused(config):
    with pytest.raises(DataError) as caught:
        load_pictures(config)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_digits_are_the_same_everywhere():
    found = load_pictures(PicturesConfig())
    assert found.digest() == DIGEST
    sizes = {name: len(split.labels) for name, split in found.splits.items()}
    assert sizes == {"train": 10_000, "validation": 1_000, "test": 1_000}
    assert found.shape == (28, 28, 1) and found.classes == tuple("0123456789")
    few = load_pictures(PicturesConfig(limit=50))
    assert len(few.splits["train"].labels) == 50 and "first 50 of 10,000" in few.notes[0]
    assert few.digest() != DIGEST


def test_a_nearest_mean_tells_some_digits_but_not_all():
    """They can be learned, and are not trivial."""
    splits = load_pictures(PicturesConfig()).splits
    train, test = (split.images.reshape(len(split.labels), -1) / 255 for split in (
        splits["train"], splits["test"]
    ))  # fmt: skip
    labels = splits["train"].labels
    means = np.stack([train[labels == digit].mean(0) for digit in range(10)])
    far = (means**2).sum(-1)[None] - 2 * test @ means.T
    right = (far.argmin(-1) == splits["test"].labels).mean()
    assert 0.5 < right < 0.95


@pytest.mark.parametrize("mark", ["-", "."])
def test_a_folder_of_four_files(tmp_path, mark):
    config = write(tmp_path / "set", mark=mark)
    found = load_pictures(config)
    whole = {name: split.images.shape for name, split in found.splits.items()}
    assert whole == {"train": (36, 3, 4, 1), "validation": (4, 3, 4, 1), "test": (20, 3, 4, 1)}
    assert found.splits["train"].images.dtype == np.uint8
    assert found.splits["train"].labels.dtype == np.int32
    assert found.classes == tuple("01234") and "last 4 training" in found.notes[0]
    assert load_pictures(config).digest() == found.digest()
    assert load_pictures(replace(config, limit=35)).digest() != found.digest()


def test_folders_that_do_not_fit(tmp_path):
    assert "at least 10 would fit" in refused(write(tmp_path / "few", train=9))
    config = write(tmp_path / "set")
    (tmp_path / "set" / "t10k-labels-idx1-ubyte").write_bytes(idx(np.arange(20)))
    assert "has both t10k-labels-idx1-ubyte and t10k-labels-idx1-ubyte.gz" in refused(config)
    (tmp_path / "set" / "t10k-labels-idx1-ubyte.gz").unlink()
    (tmp_path / "set" / "t10k-labels-idx1-ubyte").write_bytes(idx(np.arange(19)))
    assert "has 20 pictures and t10k-labels-idx1-ubyte 19 labels" in refused(config)
    (tmp_path / "set" / "t10k-labels-idx1-ubyte").unlink()
    message = refused(config)
    assert "has no t10k-labels-idx1-ubyte" in message and "there: t10k-images" in message
    write(tmp_path / "set")
    (tmp_path / "set" / "t10k-images-idx3-ubyte").write_bytes(idx(np.zeros((20, 4, 4))))
    assert "training pictures (3, 4) and test pictures (4, 4)" in refused(config)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"pictures": ""}, '"digits"'),
        ({"limit": 0}, "limit is 0; it must be at least 1"),
        ({"batch": 0}, "batch is 0"),
        ({"shift": -1}, "shift is -1"),
    ],
)
def test_configs_that_make_no_batches(wrong, said):
    with pytest.raises(DataError, match=said):
        PicturesConfig(**wrong)


def test_bytes_to_numbers_and_back():
    every = np.arange(256, dtype=np.uint8)
    found = as_floats(every)
    assert found.dtype == np.float32 and (found[0], found[255]) == (-1, 1)
    np.testing.assert_array_equal(as_bytes(found), every)
    np.testing.assert_array_equal(as_bytes([-3.0, 7.0]), [0, 255])


def test_pictures_are_moved_each_by_itself():
    images = np.random.default_rng(0).integers(1, 256, (64, 5, 6, 2)).astype(np.uint8)
    found = shifted(images, 2, np.random.default_rng(1))
    assert found.shape == images.shape and found.dtype == np.uint8
    moves = set()
    for image, moved in zip(images, found, strict=True):
        fits = [
            (down, across)
            for down in range(-2, 3)
            for across in range(-2, 3)
            if np.array_equal(moved, _moved(image, down, across))
        ]
        assert len(fits) == 1
        moves.add(fits[0])
    assert len(moves) > 15  # of 25
    assert shifted(images, 0, np.random.default_rng(1)) is images


def _moved(image, down, across):
    found = np.zeros_like(image)
    for row in range(image.shape[0]):
        for column in range(image.shape[1]):
            if 0 <= row - down < image.shape[0] and 0 <= column - across < image.shape[1]:
                found[row, column] = image[row - down, column - across]
    return found


@pytest.mark.slow
def test_mnist():
    folder = os.environ.get("ATTENTION_JAX_REAL_DATA")
    if not folder:
        pytest.skip("ATTENTION_JAX_REAL_DATA names no folder with mnist in it")
    found = load_pictures(PicturesConfig(str(Path(folder) / "mnist")))
    shapes = {name: split.images.shape for name, split in found.splits.items()}
    rest = (28, 28, 1)
    assert shapes == {
        "train": (55_000, *rest), "validation": (5_000, *rest), "test": (10_000, *rest)
    }  # fmt: skip
    # The published counts of the test digits, from 0 to 9.
    counts = np.bincount(found.splits["test"].labels).tolist()
    assert counts == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
