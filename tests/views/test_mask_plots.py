import numpy as np
import pytest

from attention_jax.functional import Causal, Lengths, Prefix, Segments, Window, sinusoidal
from attention_jax.views.mask_plots import mask, masks, positions
from tests.views.layout import well_placed


def cells(figure):
    return np.asarray([axes.images[0].get_array() for axes in figure.axes if axes.images])


def test_a_mask_is_drawn_as_it_is():
    found = cells(mask(Causal() & Window(1, 0), shape=(3, 4)))
    np.testing.assert_array_equal(found, [[[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0]]])


@pytest.mark.parametrize(
    ("one", "options", "shape"),
    [
        (Causal(), {}, (8, 8)),
        (Causal(), {"queries": list("ab"), "sources": list("abc")}, (2, 3)),
        (Causal(), {"shape": (5, 6)}, (5, 6)),
        (Segments(np.asarray([0, 0, 1])), {}, (3, 3)),
        (np.ones((4, 5), bool), {}, (4, 5)),
        (np.ones((1, 1, 4, 5), bool), {}, (4, 5)),
        (Lengths(3), {"shape": (2, 4)}, (2, 4)),
    ],
)
def test_its_size_comes_from_shape_tokens_or_the_mask(one, options, shape):
    figure = mask(one, **options, title="A mask")
    assert cells(figure).shape == (1, *shape)
    assert {"A mask", "dark cells: may attend"} <= set(well_placed(figure))


def test_a_mask_of_a_batch_has_a_picture_for_each():
    figure = mask(Lengths(np.asarray([1, 3])), shape=(2, 3))
    np.testing.assert_array_equal(cells(figure)[:, 0], [[1, 0, 0], [1, 1, 1]])
    assert {"mask 0", "mask 1"} <= set(well_placed(figure))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_masks_stand_beside_each_other(theme):
    found = {"Causal()": Causal(), "Prefix(2)": Prefix(2), "a third one": ~Causal()}
    tokens = ["The", "ball", "is", "blue"]
    figure = masks(found, tokens, tokens, theme=theme)
    assert cells(figure).shape == (3, 4, 4)
    np.testing.assert_array_equal(cells(figure)[2], 1 - np.tri(4))
    said = well_placed(figure)
    assert set(found) <= set(said)
    assert f"{'dark' if theme == 'light' else 'light'} cells: may attend" in said


def test_masks_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="at least one"):
        masks({})
    with pytest.raises(ValueError, match="'b': \\(2, 8, 8\\)"):
        masks({"a": Causal(), "b": Lengths(np.asarray([1, 2]))}, shape=(8, 8))
    with pytest.raises(ValueError, match="wanted bool"):
        mask(np.ones((2, 2)))
    with pytest.raises(ValueError, match="T=3"):
        mask(np.ones((2, 2), bool), shape=(3, 2))


def test_positions_run_down_and_features_across():
    table = np.asarray(sinusoidal(50, 16))
    figure = positions(table, title="Sinusoidal")
    np.testing.assert_array_equal(cells(figure)[0], table)
    assert figure.axes[0].images[0].get_clim() == (-1, 1)
    assert {"position", "feature", "Sinusoidal"} <= set(well_placed(figure))
    with pytest.raises(ValueError, match=r"\[T, S\] would fit"):
        positions(np.ones(3))
