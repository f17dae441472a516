"""Each notebook is a text and its executed pair; `make test-notebooks` runs them."""

import ast
import json
import re
from pathlib import Path

import jupytext
import pytest

FOLDER = Path(__file__).parents[1] / "notebooks"
TEXTS = sorted(FOLDER.glob("*.py"))
LARGEST = 600_000  # bytes of an executed notebook


def executed(path):
    return json.loads(path.with_suffix(".ipynb").read_text("utf-8"))


def test_every_notebook_has_its_pair_and_there_is_nothing_else():
    names = {path.name for path in FOLDER.iterdir() if not path.name.startswith((".", "__"))}
    assert names == {path.stem + end for path in TEXTS for end in (".py", ".ipynb")}
    numbers = sorted(int(path.name.split("_")[0]) for path in TEXTS)
    assert numbers == list(range(1, 11))


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
def test_the_pair_is_in_step(path):
    text = [(cell.cell_type, cell.source) for cell in jupytext.read(path).cells]
    pair = [(cell["cell_type"], "".join(cell["source"])) for cell in executed(path)["cells"]]
    assert text == pair, f"`make notebooks ARGS={path.stem}` writes the pair anew"


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
def test_the_pair_was_executed_from_top_to_bottom_and_is_small(path):
    cells = [cell for cell in executed(path)["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert not any(o["output_type"] == "error" or o.get("name") == "stderr" for o in outputs)
    assert any("image/png" in output.get("data", ()) for output in outputs)
    assert path.with_suffix(".ipynb").stat().st_size < LARGEST


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
def test_notebooks_define_nothing_and_name_no_place_of_a_machine(path):
    tree = ast.parse(path.read_text("utf-8"))
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    whole = path.read_text("utf-8") + path.with_suffix(".ipynb").read_text("utf-8")
    assert not re.search(r"(/home/|/root/|/Users/|/tmp/[a-z0-9_]{3,}/)", whole)
    assert str(FOLDER.parent) not in whole
