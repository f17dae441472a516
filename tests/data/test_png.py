"""PNG files: another library reads what was written."""

import io

import numpy as np
import pytest

from attention_jax.data.png import png, sheet


@pytest.mark.parametrize("channels", [1, 3])
def test_others_read_the_same_pixels(channels):
    from PIL import Image

    image = np.random.default_rng(0).integers(0, 256, (5, 7, channels)).astype(np.uint8)
    with Image.open(io.BytesIO(png(image))) as found:
        assert found.format == "PNG" and found.mode == {1: "L", 3: "RGB"}[channels]
        np.testing.assert_array_equal(np.asarray(found).reshape(image.shape), image)


def test_a_sheet_has_every_picture_at_its_place():
    images = np.arange(1, 6, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 3, 1), np.uint8)
    found = sheet(images, 2, gap=1, zoom=2)
    assert found.shape == (3 * 5 - 1, 2 * 7 - 1, 1)
    assert [found[top, left, 0] for top in (0, 5, 10) for left in (0, 7)] == [1, 2, 3, 4, 5, 128]
    assert (found[4] == 128).all() and (found[:, 6] == 128).all()


@pytest.mark.parametrize(
    "image", [np.zeros((2, 2, 1)), np.zeros((2, 2), np.uint8), np.zeros((0, 2, 1), np.uint8)]
)
def test_what_is_no_picture(image):
    with pytest.raises(ValueError, match="image is .* would fit"):
        png(image)
