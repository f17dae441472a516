"""The command line of all benchmarks, with a library that only pretends."""

import json
import os
import sys

import pytest

from experiments.benchmarks.bench import command
from experiments.benchmarks.bench.entry import Entry

KINDS = {"torch": "torch", "right": "jax", "wrong": "jax"}
FAKE = "tests.experiments.bench.fake_library"


def options(*words):
    return command.parser("A question.\n\nMore.", rounds=3, seconds=0.0).parse_args(words)


def test_contenders_are_those_that_have_an_interpreter(capsys):
    found = command.contenders(options("--contenders", "torch", "right"), KINDS)
    assert [one.name for one in found] == ["right"] and found[0].python == sys.executable
    assert "without --torch: no torch" in capsys.readouterr().err
    found = command.contenders(options("--torch", "/some/python"), KINDS)
    assert [one.name for one in found] == list(KINDS) and found[0].python == "/some/python"
    two = command.contenders(options("--jax", sys.executable, sys.executable), KINDS)
    assert len(two) == 4 and two[0].name.startswith("right, jax 0.")


@pytest.mark.parametrize("words, message", [
    (["--contenders", "left"], r"--contenders has \['left'\]; of \['torch', 'right', 'wrong'\]"),
    (["--jax", "/no/python", "/no/other"], "--jax has /no/python, which has no jax"),
])  # fmt: skip
def test_what_does_not_fit_is_refused(words, message):
    with pytest.raises(SystemExit, match=message):
        command.contenders(options(*words), KINDS)
    with pytest.raises(SystemExit, match="--cores is 9999; 1 to"):
        command.run([], options("--cores", "9999"), peers=[])
    with pytest.raises(SystemExit, match="--against has no.jsonl, which is not there"):
        command.run([], options("--against", "no.jsonl"), peers=[])


def test_figures_are_kept_and_held_against_those_of_an_earlier_run(tmp_path, capsys):
    file = tmp_path / "figures.jsonl"
    words = ["--out", str(file), "--cores", "1", "--contenders", "right"]

    def run(*more):
        given = options(*words, *more)
        who = command.contenders(given, KINDS)
        entries = [Entry(FAKE, one, {"sleep": 0.002}, "a case", 0.0) for one in who]
        return command.run([entries], given, peers=["wrong"])

    run()
    said = capsys.readouterr().out
    assert said.startswith("| case | peer, ms | right |") and "differs" not in said
    (kept,) = map(json.loads, file.read_text().splitlines())
    assert kept["allocator"]["MALLOC_ARENA_MAX"] and kept["clock"] == "wall"
    assert kept["versions"]["jax"] and kept["device"] and kept["when"] and kept["command"]
    assert len(kept["cores"]) == 1 and kept["load"] >= 0 and kept["agrees"] is True

    file.write_text(json.dumps(kept | {"ms": kept["ms"] / 50}) + "\n")
    run()
    assert "right, a case" in capsys.readouterr().out
    assert len(file.read_text().splitlines()) == 2


def test_results_that_do_not_agree_end_in_an_error(capsys):
    given = options("--cores", "1", "--no-warm")
    who = command.contenders(given, {"right": "jax", "wrong": "jax"})
    entries = [Entry(FAKE, one, {}, "a case", 1e-3) for one in who]
    with pytest.raises(SystemExit, match="wrong, a case: the result is not that of right"):
        command.run([entries], given, peers=["right"])
    assert "| a case | right:" in capsys.readouterr().out  # the table comes first


def test_variables_are_the_same_for_all_and_warm_if_asked():
    assert command._variables(False) == dict(os.environ)
    assert set(command._variables(True)) >= {"MALLOC_TRIM_THRESHOLD_", *os.environ}
