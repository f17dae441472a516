"""Sets of pictures that TFDS has prepared: read without TensorFlow."""

import io
from pathlib import Path

import numpy as np
import pytest

from attention_jax.data import prepared
from attention_jax.data.images import PicturesConfig, load_pictures
from attention_jax.data.lines import DataError

COLOURS = np.random.default_rng(0).integers(0, 256, (30, 4, 6, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    """A cache folder with small sets, as TFDS writes them."""
    import tensorflow_datasets as tfds
    from PIL import Image

    def example(image):
        kept = io.BytesIO()
        Image.fromarray(image).save(kept, "png")
        return io.BytesIO(kept.getvalue())

    class SmallColours(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            features = {
                "image": tfds.features.Image(shape=(None, None, 3), encoding_format="png"),
                "label": tfds.features.ClassLabel(names=["cat", "dog"]),
            }
            return tfds.core.DatasetInfo(
                builder=self, features=tfds.features.FeaturesDict(features)
            )

        def _split_generators(self, dl_manager):
            return {
                "train": self._generate_examples(0, 20),
                "test": self._generate_examples(20, 30),
            }

        def _generate_examples(self, start, end):
            for n in range(start, end):
                yield n, {"image": example(COLOURS[n]), "label": n % 2}

    class UnevenColours(SmallColours):
        def _generate_examples(self, start, end):
            for n in range(start, end):
                yield n, {"image": example(COLOURS[n, : 2 + n % 2]), "label": n % 2}

    class OnlyTrain(SmallColours):
        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples(0, 3)}

    class Texts(SmallColours):
        def _info(self):
            features = tfds.features.FeaturesDict({"text": tfds.features.Text()})
            return tfds.core.DatasetInfo(builder=self, features=features)

        def _generate_examples(self, start, end):
            yield 0, {"text": "words"}

    folder = tmp_path_factory.mktemp("cache")
    for builder in (SmallColours, UnevenColours, OnlyTrain, Texts):
        prepared._prepare(builder(data_dir=folder / "tfds", file_format="array_record"))
    return folder


def test_a_prepared_set_is_read_whole(written):
    found = load_pictures(PicturesConfig("small_colours", cache=written))
    assert found.classes == ("cat", "dog") and found.shape == (4, 6, 3)
    sizes = {name: len(split.labels) for name, split in found.splits.items()}
    assert sizes == {"train": 18, "validation": 2, "test": 10}
    everything = np.concatenate([split.images for split in found.splits.values()])
    # TFDS shuffles rows: as sets they are the same.
    assert {image.tobytes() for image in everything} == {image.tobytes() for image in COLOURS}
    for split in found.splits.values():
        for image, label in zip(split.images, split.labels, strict=True):
            (place,) = (n for n, one in enumerate(COLOURS) if np.array_equal(one, image))
            assert label == place % 2


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("uneven_colours", r"pictures of sizes \[\(2, 6, 3\), \(3, 6, 3\)\]"),
        ("only_train", "has the splits train; train and test would fit"),
        ("texts", "has the fields text; image and label would fit"),
        ("mnist", r"no such prepared set in .*tfds.builder\('mnist', file_format='array_record'"),
        ("no/such/folder", "no such folder"),
    ],
)
def test_sets_that_do_not_fit(written, name, said):
    with pytest.raises(DataError, match=said) as caught:
        load_pictures(PicturesConfig(name, cache=written))
    assert "\n" not in str(caught.value)


def test_what_is_no_picture():
    from attention_jax.data.prepared_pictures import _decoded

    with pytest.raises(DataError, match="here: no PNG or JPEG picture"):
        _decoded(b"GIF89a", "here")
