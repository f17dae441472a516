import numpy as np
import pytest
from matplotlib.colors import to_rgb

from attention_jax.views.heat_maps import heat_map, heat_maps
from attention_jax.views.style import DIVERGING, SHADE
from tests.views.layout import well_placed

LATIN = ["Donaudampfschifffahrt", "is", "the", "longest", "word", ",", "they", "say", "."]
CHINESE = ["猫", "喝了", "牛奶", "。", "一二三四五六七八九十一二三四五"]
ARABIC = ["شربت", "القطة", "السوداء", "الحليب", "واستمتعت"]

# No font has all letters; what it lacks, it draws as a box.
unlettered = pytest.mark.filterwarnings("ignore:Glyph .* missing:UserWarning")


def some(*shape):
    return np.random.default_rng(0).dirichlet(np.ones(shape[-1]), size=shape[:-1])


def maps(figure):
    return [axes.images[0] for axes in figure.axes if axes.images]


@unlettered
@pytest.mark.parametrize("words", [LATIN, CHINESE, ARABIC], ids=["latin", "chinese", "arabic"])
@pytest.mark.parametrize(("queries", "sources"), [(1, 1), (3, 17), (60, 60)])
def test_labels_never_overlap(words, queries, sources):
    rows = [words[place % len(words)] for place in range(queries)]
    columns = [words[place % len(words)] for place in range(sources)]
    figure = heat_map(some(queries, sources), rows, columns, title="Who looks where?")
    found = well_placed(figure)
    assert {"query", "source", "Who looks where?"} <= set(found)
    assert ("query: every 2nd is named; source: every 2nd is named" in found) == (queries == 60)


@unlettered
@pytest.mark.parametrize("heads", [1, 5])
def test_labels_of_many_maps_never_overlap(heads):
    tokens = (LATIN + CHINESE + ARABIC)[: 3 * heads]
    weights = some(heads, len(tokens), len(tokens))
    titles = [f"{place}, with a title much longer than the others have" for place in range(heads)]
    found = well_placed(heat_maps(weights, tokens, tokens, titles=titles, title="All " * 40))
    assert any("title much" in text for text in found)


@pytest.mark.parametrize("size", [2, 13, 200])
def test_numbers_stand_where_there_is_no_token(size):
    found = well_placed(heat_map(some(size, size)))
    assert "0" in found and not any("named" in text for text in found)
    places = [int(text) for text in found if text.isdecimal() and int(text) > 1]
    assert all(place < size for place in places)


def test_a_map_holds_its_numbers_and_says_them_where_there_is_room():
    weights = np.asarray([[0.25, 0.75, 0.0], [1.0, 1e-9, -0.0]])
    figure = heat_map(weights, ["a", "b"], ["x", "y", "z"])
    (image,) = maps(figure)
    np.testing.assert_array_equal(image.get_array(), weights)
    cells = [text.get_text() for text in figure.axes[0].texts]
    assert cells == ["0.25", "0.75", "0", "1", "0.00", "0"]
    assert not heat_map(weights, numbers=False).axes[0].texts
    assert not heat_map(some(30, 30)).axes[0].texts
    assert len(heat_map(some(16, 16), numbers=True).axes[0].texts) == 256


def test_all_maps_share_one_scale():
    found = {"one": np.eye(3), "two": 4 * np.eye(3)}
    figure = heat_maps(found, columns=1)
    assert [image.get_clim() for image in maps(figure)] == [(0, 4), (0, 4)]
    titles = [axes.get_title(loc="left") for axes in figure.axes if axes.images]
    assert titles == ["one", "two"]
    assert len(figure.axes) == 3  # one bar for both


@pytest.mark.parametrize(
    ("numbers", "options", "limits"),
    [
        ([[0.1, 0.2]], {}, (0, 1)),
        ([[0.1, 3.0]], {}, (0.1, 3)),
        ([[-1.0, 3.0]], {}, (-1, 3)),
        ([[-1.0, 3.0]], {"scale": "diverging"}, (-3, 3)),
        ([[0.0, 0.0]], {"scale": "diverging"}, (-1, 1)),
        ([[5.0, 5.0]], {}, (4.5, 5.5)),
        ([[-np.inf, 3.0, np.nan, -2.0]], {}, (-2, 3)),
        ([[np.nan]], {}, (0, 1)),
        ([[0.1, 0.2]], {"limits": (0, 0.5)}, (0, 0.5)),
    ],
)
def test_limits_follow_the_numbers(numbers, options, limits):
    figure = heat_map(numbers, **options)
    assert maps(figure)[0].get_clim() == limits
    well_placed(figure)


def test_what_is_not_finite_has_no_colour():
    figure = heat_map([[-np.inf, np.inf, np.nan, 1.0]], numbers=True)
    (image,) = maps(figure)
    assert np.ma.getmaskarray(image.get_array()).tolist() == [[True, True, True, False]]
    assert [text.get_text() for text in figure.axes[0].texts] == ["−∞", "∞", "NaN", "1"]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("colours", [SHADE, DIVERGING], ids=["one way", "diverging"])
def test_lightness_runs_one_way(theme, colours):
    grey = [np.dot((0.2126, 0.7152, 0.0722), to_rgb(colour)) for colour in colours[theme]]
    steps = np.diff(grey) * (-1 if theme == "light" else 1)
    assert (steps > 0.03).all()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: heat_map(np.ones((2, 3)), ["a"], None), r"\[2, 3\]; \[1, S\] would fit"),
        (lambda: heat_map(np.ones(3)), r"\[3\]; \[T, S\] would fit"),
        (lambda: heat_map(np.ones((0, 3))), r"\[0, 3\]; \[T, S\] would fit"),
        (lambda: heat_map(np.ones((2, 2)), "ab", "ab"), "the string 'ab'; a sequence"),
        (lambda: heat_map(-np.ones((2, 2)), scale="sqrt"), "none below zero would fit"),
        (lambda: heat_map(np.ones((2, 2)), limits=(1, 0)), "a smaller number first"),
        (lambda: heat_map(np.ones((2, 2)), scale="log"), "found scale='log'"),  # pyright: ignore
        (lambda: heat_maps(np.ones((2, 3))), r"\[N, T, S\] would fit"),
        (lambda: heat_maps(np.ones((2, 3, 3)), titles=["a"]), "1 titles for 2 matrices"),
        (lambda: heat_maps({"a": np.eye(2), "b": np.eye(3)}), "one shape would fit"),
        (lambda: heat_maps({}), "would fit"),
        (lambda: heat_maps(np.ones((2, 2, 2)), columns=0), "columns=0; one or more"),
    ],
)
def test_what_does_not_fit_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()
