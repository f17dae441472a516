"""The folder of a report appears whole or not at all, and takes the place of nothing else."""

from pathlib import Path

import pytest

from attention_jax.views import report
from attention_jax.views.report import write_report
from tests.views.made_up import RECORDS, description

WORDS = {"title": "Heads", "command": "make heads", "environment": {}}


def test_an_earlier_report_is_replaced_whole(tmp_path):
    folder = tmp_path / "r"
    more = {"heads": {"1 head": description()}, "pruning": {"1 head": {"curves": {}}}}
    write_report(folder, [], {("1 head", 0): [(1, 2.0)]}, {}, **WORDS, **more)
    assert (folder / "learning-curves.png").exists()
    assert (folder / "heads.jsonl").exists() and (folder / "pruning.json").exists()
    write_report(folder, [RECORDS[0]], {}, {}, **WORDS)
    assert {path.name for path in folder.iterdir()} == {"index.html", "report.md", "results.jsonl"}
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


@pytest.mark.parametrize("when", ["writing", "moving"])
def test_a_report_that_fails_leaves_the_earlier_one(tmp_path, monkeypatch, when):
    folder = tmp_path / "r"
    write_report(folder, [], {}, {}, **WORDS)
    before = (folder / "index.html").read_bytes()

    def fail(*_):
        raise OSError("disk full")

    if when == "writing":
        monkeypatch.setattr(report, "markdown", fail)
    else:
        rename = Path.rename
        monkeypatch.setattr(
            Path, "rename", lambda s, t: fail() if s.name == "made" else rename(s, t)
        )
    with pytest.raises(OSError, match="disk full"):
        write_report(folder, [RECORDS[0]], {}, {}, **WORDS)
    assert (folder / "index.html").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


def test_a_folder_with_other_things_is_left_alone(tmp_path):
    (tmp_path / "holiday.png").write_bytes(b"")
    with pytest.raises(ValueError, match="found holiday.png"):
        write_report(tmp_path, [], {}, {}, **WORDS)
    with pytest.raises(ValueError, match="found a file"):
        write_report(tmp_path / "holiday.png", [], {}, {}, **WORDS)
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.png"]
