"""What all pictures have in common: they show themselves, become files, and leave no trace."""

import struct
import subprocess
import sys

import numpy as np
import pytest

from attention_jax.functional import Causal
from attention_jax.views import plots
from tests.views.made_up import description

DRAWN = {
    "bars": lambda **options: plots.bars({"a": 1.0}, **options),
    "heat_map": lambda **options: plots.heat_map(np.eye(2), **options),
    "heat_maps": lambda **options: plots.heat_maps(np.eye(2)[None], **options),
    "layers": lambda **options: plots.layers(np.eye(2)[None, None], **options),
    "lines": lambda **options: plots.lines(
        {"a": ([1, 2], [1, 2])}, x_label="x", y_label="y", **options
    ),
    "mask": lambda **options: plots.mask(Causal(), **options),
    "masks": lambda **options: plots.masks({"a": Causal()}, **options),
    "positions": lambda **options: plots.positions(np.eye(4), **options),
}
HANDED_ON = {
    "head_map": lambda **options: plots.head_map(description(), None, **options),
    "learning_curves": lambda **options: plots.learning_curves(
        {("one", 0): [(1, 2.0), (2, 1.0)]}, label="loss", **options
    ),
}


def test_every_picture_is_tried_here():
    assert {*DRAWN, *HANDED_ON, "save"} == set(plots.__all__)


@pytest.mark.parametrize("name", [*DRAWN, *HANDED_ON])
def test_a_figure_shows_itself_in_a_notebook(name):
    figure = {**DRAWN, **HANDED_ON}[name](theme="dark")
    shown, size = figure._repr_png_()
    assert shown.startswith(b"\x89PNG") and len(shown) < 60_000
    dots = struct.unpack(">II", shown[16:24])
    # 160 dots an inch are shown as the 96 pixels of a page.
    np.testing.assert_allclose(np.asarray(dots) * 96 / 160, (size["width"], size["height"]), atol=1)


@pytest.mark.parametrize("name", DRAWN)
def test_the_suffix_of_a_file_decides_what_is_written(name, tmp_path):
    figure = DRAWN[name](file=tmp_path / "a.svg")
    assert "<svg" in (tmp_path / "a.svg").read_text()
    assert plots.save(figure, tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_a_suffix_of_no_format_is_refused(tmp_path):
    with pytest.raises(ValueError, match="Format 'abc' is not supported"):
        plots.heat_map(np.eye(2), file=tmp_path / "a.abc")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", DRAWN)
def test_an_unknown_theme_is_refused(name):
    with pytest.raises(ValueError, match="found theme='sepia'"):
        DRAWN[name](theme="sepia")


def test_a_notebook_needs_neither_pyplot_nor_a_display():
    code = (
        "import sys, attention_jax.views.plots as plots; assert 'matplotlib' not in sys.modules;"
        "from matplotlib import rcParams; before = dict(rcParams);"
        "plots.heat_map([[1.0]])._repr_png_();"
        "assert 'matplotlib.pyplot' not in sys.modules; assert dict(rcParams) == before"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_no_font_is_asked_for_that_is_not_there(caplog):
    plots.heat_map(np.eye(2), ["a", "b"], ["كلمة", "c"])._repr_png_()
    assert [one.getMessage() for one in caplog.records if "font" in one.name] == []
