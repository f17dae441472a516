"""Nothing unpickles, and no name leads out of the folder that it is meant for."""

import ast
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attention_jax.comparison.command import run_all
from attention_jax.comparison.labels import folder_names
from attention_jax.experiment import run
from attention_jax.paths import LONGEST, check_links, plain_name
from tests.tiny_run import tiny, write_corpus

ROOT = Path(__file__).parents[1]
RUFF = shutil.which("ruff", path=Path(sys.executable).parent) or shutil.which("ruff")
BANNED = {
    "import pickle": "TID251",
    "import cPickle": "TID251",
    "from pickle import loads": "TID251",
    "import _pickle": "TID251",
    "import cloudpickle": "TID251",
    "import dill": "TID251",
    "import joblib": "TID251",
    "from joblib import load": "TID251",
    "import shelve": "TID251",
    "import marshal": "TID251",
    "import numpy as np\n\nnp.load('x', allow_pickle=True)": "TID251",
    "from numpy import load": "TID251",
    "import numpy as np\n\nnp.save('x', [])": "TID251",
    "import jax.numpy as jnp\n\njnp.load('x')": "TID251",
    "import torch\n\ntorch.load('x')": "TID251",
    "import pandas as pd\n\npd.read_pickle('x')": "TID251",
    "from jax.experimental import serialize_executable": "TID251",
    "eval(input())": "S307",
    "exec(input())": "S102",
    "import os\n\nos.system('ls')": "S605",
    "import subprocess\n\nsubprocess.run('ls', shell=True)": "S602",
    "import tempfile\n\ntempfile.mktemp()": "S306",
    "import yaml\n\nyaml.load('x')": "S506",
}


def ruff(*words, text=None):
    if RUFF is None:
        pytest.skip("ruff is not installed (make lint installs it)")
    command = [RUFF, "check", "--no-cache", "--output-format", "json", *words]
    done = subprocess.run(command, input=text, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode in (0, 1), done.stderr
    return [one["code"] for one in json.loads(done.stdout)]


@pytest.mark.parametrize("folder", ["attention_jax/data", "experiments", "tests/analysis"])
def test_what_is_banned_is_found_wherever_it_stands(folder):
    for code in set(BANNED.values()):
        wrong = [line for line, found in BANNED.items() if found == code]
        text = "\n\n".join(wrong) + "\n"
        found = ruff("--stdin-filename", f"{folder}/made_up.py", "-", text=text)
        assert found.count(code) >= len(wrong), (code, found)
    harmless = '"""Harmless."""\n\nimport json\n\nprint(json.loads("1"))\n'
    assert ruff("--stdin-filename", f"{folder}/made_up.py", "-", text=harmless) == []


def test_nothing_in_the_repository_is_let_off():
    """But two tests, one of which runs the lines of CONTRIBUTING.md, and one its own .npz files."""
    codes = ",".join(sorted(set(BANNED.values())))
    assert ruff("--select", codes, "attention_jax", "experiments", "tests", "notebooks") == []
    let_off = [
        (path.relative_to(ROOT).as_posix(), line.strip())
        for part in ("attention_jax", "experiments", "tests")
        for path in (ROOT / part).rglob("*.py")
        for line in path.read_text("utf-8").splitlines()
        if "# noqa" in line
        and any(code in line.split("# noqa")[1] for code in set(BANNED.values()))
        and path != Path(__file__)
    ]
    assert let_off == []


def test_no_numpy_file_is_opened_for_pickles():
    for part in ("attention_jax", "experiments", "tests"):
        for path in (ROOT / part).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
                    assert isinstance(node.value, ast.Constant) and node.value.value is False, path


HOSTILE = [
    "", ".", "..", "../x", "a/../../x", "/etc/passwd", "a/b", "a\\b", "..\\x", "C:\\x", "a\0b",
    "a\nb", "\x1b[31m", ".hidden", "-\u2028-", "a.", "a ", "con", "NUL.txt", "com1", "x" * 201,
    "é" * 101, "\ud800", "\u202egnp.exe",
]  # fmt: skip
PLAIN = ["tiny", "8 heads", "1-head-s0", "4 heads of 16", "größe", "a.b", "x" * 200, "console", "-"]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_that_leads_elsewhere_is_refused(name):
    with pytest.raises(ValueError, match=r"a variant is '.*letters, digits"):
        plain_name(name, "a variant")


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_name_stays(name):
    assert plain_name(name, "a variant") == name


@given(st.text(st.characters(), max_size=300))
def test_a_name_that_is_taken_lies_in_its_folder(name):
    try:
        plain_name(name, "a name")
    except ValueError:
        return
    folder = Path("/runs/here")
    assert (folder / name).parent == folder and (folder / name).name == name
    assert len(name.encode()) <= LONGEST


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=300), max_size=8))
def test_folders_of_variants_are_safe_and_apart(labels):
    names = folder_names(labels)
    for name in names:
        assert plain_name(f"{name}-s4294967295", "a run")
    assert len(set(zip(labels, names, strict=True))) == len(set(labels))
    assert len({name.casefold() for name in names}) == len(set(labels))


def test_folders_of_variants_say_what_the_variants_are():
    labels = ["8 heads", "4 key/value heads", "4 heads", "../x", "a/b", "A b", "4 heads"]
    wanted = ["8-heads", "4-key-value-heads", "4-heads", "x", "a-b", "A-b-2", "4-heads"]
    assert folder_names(labels) == wanted


def test_links_may_not_lead_out_of_a_run(tmp_path):
    run, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    (run / "checkpoints" / "6").mkdir(parents=True)
    elsewhere.mkdir()
    (elsewhere / "file").touch()
    check_links(run)
    (run / "latest").symlink_to("checkpoints/6")
    (tmp_path / "alias").symlink_to(run)
    check_links(run)
    check_links(tmp_path / "alias")
    for place, target in [
        ("config.json.tmp", elsewhere / "file"),
        ("metrics.jsonl", "../elsewhere/not there yet"),
        ("checkpoints/6/d", elsewhere),
        ("mean", "/"),
        ("round", "round"),
    ]:
        link = run / place
        link.symlink_to(target)
        with pytest.raises(ValueError, match="is a link that leads out"):
            check_links(run)
        link.unlink()
    check_links(run)


def test_a_comparison_writes_beside_no_other_folder(tmp_path):
    one = tiny(tmp_path / "nowhere")
    for name in ("../../elsewhere", str(tmp_path / "elsewhere"), "a\0b", "x" * 300):
        with pytest.raises(ValueError, match="a run's name is"):
            run_all(
                [replace(one, name=name)], tmp_path / "out", 1, title="", sentence=None, command=""
            )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["config.json.tmp", "metrics.jsonl", "checkpoints", "result.json"])
def test_a_run_writes_through_no_link(tmp_path, name):
    victim, folder = tmp_path / "victim", tmp_path / "run"
    victim.write_text("untouched")
    folder.mkdir()
    (folder / name).symlink_to(victim)
    with pytest.raises(ValueError, match="leads out"):
        run(tiny(write_corpus(tmp_path / "corpus")), folder, quiet=True)
    assert victim.read_text() == "untouched" and [one.name for one in folder.iterdir()] == [name]
