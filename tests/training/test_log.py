import io
import json

import pytest

from attention_jax.training.log import Log, finite, keep_until, replace_file


def lines(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_every_line_is_in_the_file_at_once(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with Log(path, quiet=True) as log:
        log.write(1, "train", loss=2.0)
        assert lines(path) == [{"step": 1, "split": "train", "loss": 2.0}]
        log.write(2, "validation", loss=float("inf"))
        log.sync()
    assert lines(path)[1] == {"step": 2, "split": "validation", "loss": None}


def test_a_resumed_file_reads_as_one_run(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with Log(path, quiet=True) as log:
        for step in (1, 2, 3):
            log.write(step, "train", loss=1.0)
    with open(path, "a", encoding="utf-8") as file:
        file.write('{"step": 2, "spl')  # cut short by a kill
    with Log(path, step=2, quiet=True) as log:
        log.write(3, "train", loss=5.0)
    assert [(line["step"], line["loss"]) for line in lines(path)] == [(1, 1.0), (2, 1.0), (3, 5.0)]
    keep_until(path, 0)
    assert path.read_bytes() == b""
    keep_until(tmp_path / "nothing", 0)


def test_plain_lines_come_now_and_then(tmp_path):
    stream = io.StringIO()
    with Log(tmp_path / "m", steps=100, stream=stream) as log:
        for step in range(1, 101):
            log.progress(step, 1.5, "2,000 tokens/s", 3_700.0)
        log.write(100, "validation", loss=1.25)
    shown = stream.getvalue().splitlines()
    assert shown == [
        "step 1 of 100: loss 1.5000, 2,000 tokens/s, 1:01:40 left",
        "step 100 of 100: loss 1.5000, 2,000 tokens/s, 1:01:40 left",
        "step 100: validation loss 1.2500",
    ]


def test_a_terminal_gets_a_live_line(tmp_path):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    stream = Terminal()
    with Log(tmp_path / "m", step=3, steps=10, stream=stream) as log:
        log._live.refresh()
        assert "starting" in stream.getvalue() and "nan" not in stream.getvalue()
        log.progress(5, 1.5, "2,000 tokens/s", 61.0)
        log.say("hello [bold]")
        log._live.refresh()
    assert "loss 1.5000 2,000 tokens/s 1:01 left" in stream.getvalue()
    assert "hello [bold]" in stream.getvalue()


def test_quiet_says_nothing(tmp_path, capsys):
    with Log(tmp_path / "m", quiet=True) as log:
        log.progress(1, 1.0, "1 token/s", 1.0)
        log.say("hello")
    assert capsys.readouterr() == ("", "")


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "result.json"
    replace_file(path, b"old")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        replace_file(path, b"new")
    assert path.read_bytes() == b"old"


def test_numbers_without_a_word_in_json():
    assert finite(float("nan")) is None
    assert finite(1.5) == 1.5
    assert finite(3) == 3


def test_a_process_that_does_not_write_shows_nothing_either(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Log(None) as log:
        log.write(1, "validation", loss=1.0)
        log.progress(1, 1.0, "1 token/s", 1.0)
        log.say("hello")
        log.sync()
    assert capsys.readouterr() == ("", "") and not list(tmp_path.iterdir())
