import numpy as np
import pytest

from attention_jax.views.attention_maps import attention_maps
from tests.views.layout import well_placed


@pytest.mark.parametrize("tokens", [4, 30])
def test_labels_of_attention_maps_never_overlap(tokens):
    queries = [f"wWw{place}" for place in range(tokens)]
    sources = ["extraordinarily-long-word" for _ in range(tokens + 3)]
    weights = np.full((2, 2, len(queries), len(sources)), 1 / len(sources))
    figure = attention_maps(
        weights, queries, sources, query_label="target looks", source_label="at source"
    )
    found = well_placed(figure)
    assert {"head 1", "head 2", "layer 1", "layer 2", "target looks", "at source"} <= set(found)
    # Only the maps at the left and at the bottom have labels, for all of their tokens.
    assert sum(text.startswith("wWw") for text in found) == 2 * tokens
    assert sum(text.startswith("extraordina") for text in found) == 2 * (tokens + 3)


def test_maps_hold_the_weights_they_were_given():
    weights = np.random.default_rng(0).dirichlet(np.ones(4), size=(3, 2, 5))
    maps = [axes.images[0] for axes in attention_maps(weights).axes if axes.images]
    np.testing.assert_array_equal([image.get_array() for image in maps], weights.reshape(6, 5, 4))
    assert {image.get_clim() for image in maps} == {(0.0, 1.0)}


def test_odd_tokens_are_drawn_as_they_are():
    tokens = ["$x$", " ", "\n", "", "<b>", "$"]
    figure = attention_maps(np.eye(6)[None, None], tokens, tokens)
    well_placed(figure)
    shown = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert shown == ["$x$", "␣", "⏎", "∅", "<b>", "$"]


@pytest.mark.parametrize("shape", [(2, 2, 3), (2, 2, 4, 3), (0, 2, 3, 4)])
def test_weights_that_do_not_fit_are_refused(shape):
    with pytest.raises(ValueError, match=r"\[L, H, 3, 4\] would fit"):
        attention_maps(np.ones(shape), list("abc"), list("abcd"))
