"""The command `attention-jax learn`, where its words do not fit."""

import pytest

from attention_jax import cli
from attention_jax.tasks.kinds import TASKS


def test_help_lists_every_task_with_a_line(capsys):
    assert cli.main(["learn", "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for kind in TASKS:
        (line,) = [line for line in lines if line.split()[:1] == [kind]]
        assert len(line.split()) > 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["vison", "--run", "x"], "there is no task 'vison'; the nearest is vision"),
        (["--run", "nowhere"], "a task is needed: one of"),
        (["vision"], "--run is missing"),
        (["vision", "--run", "x", "--data.bach", "3"], "perhaps you meant --data.batch"),
    ],
)
def test_words_that_do_not_fit_are_answered_in_a_line(words, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["learn", *words]) == 2
    told = capsys.readouterr().err
    assert said in told and told.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_folder_of_another_task_is_refused(tmp_path, capsys):
    (tmp_path / "config.json").write_text('{"kind": "vision"}')
    other = next(kind for kind in TASKS if kind != "vision")
    assert cli.main(["learn", other, "--run", str(tmp_path)]) == 2
    assert f"is a run of vision, not of {other}" in capsys.readouterr().err
    (tmp_path / "config.json").write_text('{"kind": "transformer"}')
    assert cli.main(["learn", "vision", "--run", str(tmp_path)]) == 2
    assert "kind is 'transformer'; one of" in capsys.readouterr().err
