import io
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

from attention_jax import cli, experiment, options
from attention_jax.comparison import finished
from attention_jax.experiment import prepare, run
from attention_jax.training import checkpoint
from tests.tiny_run import tiny, write_corpus


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A short run, stopped early: enough to translate with."""
    base = tmp_path_factory.mktemp("cli")
    one = tiny(write_corpus(base / "corpus"))
    run(one, base / "run", quiet=True, prepared=prepare(one.data), stop_after=2)
    return base / "run"


def say(capsys, *words):
    """(exit code, standard output, standard error) of a command."""
    code = cli.main(list(map(str, words)))
    return code, *capsys.readouterr()


def feed(monkeypatch, raw):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(raw)))


def complaint(found):
    code, out, err = found
    assert code == 2 and out == ""
    assert err.startswith("attention-jax: ") and err.count("\n") == 1
    return err


def test_help_is_quick_and_imports_nothing_heavy():
    script = (
        "import sys; from attention_jax.cli import main; code = main(['--help'])\n"
        "heavy = {'jax', 'flax', 'tyro', 'orbax'} & set(sys.modules)\n"
        "sys.exit(code or str(heavy or ''))"
    )
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=root, check=False
    )
    assert "train a model in a run folder" in done.stdout
    assert done.stderr.strip() == ""


def test_a_command_is_needed(capsys):
    assert say(capsys)[0] == 2
    assert "the nearest is train" in complaint(say(capsys, "trian"))


def test_every_field_is_an_option_with_help(capsys):
    code, out, _ = say(capsys, "train", "--help")
    assert code == 0
    for option in ("--run", "--data.corpus", "--model.heads", "--training.optimizer.peak"):
        assert option in out
    assert "attention heads a layer; divides the" in out
    assert "decoding.beams" in out and "--seed" in out


def test_presets_set_the_other_defaults(capsys):
    _, out, _ = say(capsys, "train", "--run", "x", "--model.preset", "big", "--help")
    assert "(default: 1024)" in out


def test_a_kind_of_model_brings_its_own_options(capsys):
    code, out, _ = say(capsys, "train", "--run", "x", "--model.kind", "luong", "--help")
    assert code == 0 and "--model.score" in out and "--model.heads" not in out
    error = complaint(say(capsys, "train", "--run", "x", "--model.kind", "lstm"))
    assert "--model.kind is 'lstm'" in error and "luong" in error and "transformer" in error
    words = ("--model.kind=bahdanau", "--model.heads", "2")
    assert "--model.heads" in complaint(say(capsys, "train", "--run", "x", *words))


def test_errors_are_one_line(capsys, tmp_path):
    for words, message in [
        (("--model.head", "8"), "perhaps you meant --model.heads"),
        (("--model.heads", "7"), "model: heads is 7, which does not divide width, 128"),
        (("--model.heads", "seven"), "--model.heads: invalid literal"),
        (("--training.rng", "philox"), "--training.rng"),
        (("--model.preset", "huge"), "--model.preset"),
    ]:
        assert message in complaint(say(capsys, "train", "--run", tmp_path / "r", *words))
    assert "--run is missing" in complaint(say(capsys, "train"))
    assert not (tmp_path / "r").exists()


def test_folders_of_other_runs_are_one_line_too(capsys, folder, tmp_path):
    found = say(capsys, "train", "--run", folder, "--model.heads", 4)
    assert "another run: model.heads is 2 there and 4 here" in complaint(found)
    for command in ("translate", "evaluate"):
        assert "holds no run" in complaint(say(capsys, command, "--run", tmp_path))
    (tmp_path / "file").write_text("")
    assert "xists" in complaint(say(capsys, "train", "--run", tmp_path / "file"))


def test_full_and_unwritable_disks(capsys, folder, monkeypatch):
    def fails(error):
        def run(*_, **__):
            raise error

        return run

    for error, message in [
        (OSError(28, "No space left on device"), "the disk is full"),
        (OSError(28, "the disk has 1 MB left", "r"), "r: the disk has 1 MB left"),
        (PermissionError(13, "Permission denied", "r"), "r: Permission denied"),
    ]:
        monkeypatch.setattr(experiment, "run", fails(error))
        assert message in complaint(say(capsys, "train", "--run", folder))
    monkeypatch.setattr(experiment, "run", fails(KeyboardInterrupt()))
    code, _, err = say(capsys, "train", "--run", folder)
    assert code == 130 and "goes on from the last checkpoint" in err


def test_tracebacks_on_demand(monkeypatch, tmp_path):
    monkeypatch.setenv(options.TRACEBACK, "1")
    with pytest.raises(ValueError, match="holds no run"):
        cli.main(["evaluate", "--run", str(tmp_path)])


def test_train_goes_on_with_the_folders_own_config(capsys, folder, monkeypatch):
    seen = []
    monkeypatch.setattr(experiment, "run", lambda *a, **o: seen.append((a, o)) or {"loss": 1.0})
    code, out, _ = say(capsys, "train", "--run", folder, "--quiet")
    assert (code, json.loads(out)) == (0, {"loss": 1.0})
    assert seen == [((experiment.read_config(folder), folder), {"quiet": True, "mesh": "auto"})]
    new = folder.parent / "new"
    say(capsys, "train", "--run", new, "--model.preset", "base", "--model.heads", "4")
    asked = seen[-1][0][0]
    assert (asked.name, asked.model.width, asked.model.heads) == ("new", 512, 4)


def test_translate_answers_line_by_line(capsysbinary, folder, monkeypatch):
    feed(monkeypatch, b"the cat\r\n\nthe dog")
    assert cli.main(["translate", "--run", str(folder), "--beams", "2"]) == 0
    lines = capsysbinary.readouterr().out.decode().split("\n")
    assert len(lines) == 4 and lines[1] == lines[3] == ""


def test_translate_names_bad_lines(capsys, folder, monkeypatch):
    feed(monkeypatch, b"the cat\n\xffthe\n")
    assert "line 2 of standard input is not UTF-8: byte 1 is 0xff" in complaint(
        say(capsys, "translate", "--run", folder)
    )
    feed(monkeypatch, b"the cat\n" + b"dog " * 50)
    found = complaint(say(capsys, "translate", "--run", folder))
    assert "line 2 has" in found and "--truncate" in found
    feed(monkeypatch, b"dog " * 50)
    assert say(capsys, "translate", "--run", folder, "--truncate")[0] == 0


def test_translate_needs_open_streams(capsys, folder, monkeypatch):
    monkeypatch.setattr("sys.stdin", None)  # as Python starts with `<&-`
    assert "must be open" in complaint(say(capsys, "translate", "--run", folder))


def test_evaluate_prints_json(capsys, folder):
    code, out, _ = say(capsys, "evaluate", "--run", folder, "--split", "test")
    assert code == 0 and set(json.loads(out)) == {"test"}


def test_compare_needs_finished_runs(capsys, folder, tmp_path):
    for words, message in [
        ((folder, tmp_path), "holds no run: there is no config.json"),
        ((folder, folder), "is not finished: there is no result.json in it"),
        ((folder,), "1 run to compare; two or more folders would fit"),
        ((), "0 run to compare"),
        ((folder, "--anyhow"), "Unrecognized options: --anyhow"),
    ]:
        assert message in complaint(say(capsys, "compare", *words))
    assert "--anyway" in say(capsys, "compare", "--help")[1]


def test_compare_hands_its_options_on(capsys, monkeypatch, tmp_path):
    seen = []

    class Report:
        folder = tmp_path

        def text(self):
            return "the table"

    monkeypatch.setattr(finished, "report_on", lambda *a, **o: seen.append((a, o)) or Report())
    code, out, _ = say(capsys, "compare", "a", "b c", "--out", "o", "--anyway")
    assert code == 0 and "the table" in out and str(tmp_path / "index.html") in out
    options = {"title": "Runs side by side", "sentence": None, "anyway": True}
    command = {"command": "attention-jax compare a 'b c' --out o --anyway"}
    assert seen == [(((Path("a"), Path("b c")), Path("o")), options | command)]


def test_replay_needs_a_batch_that_was_put_aside(capsys, folder, tmp_path):
    assert "holds no batch: none was put aside" in complaint(say(capsys, "replay", folder))
    assert "holds no run" in complaint(say(capsys, "replay", tmp_path))
    assert "Missing from attention-jax replay" in complaint(say(capsys, "replay"))
    code, out, _ = say(capsys, "replay", "--help")
    assert code == 0 and "--step" in out


def test_replay_prints_json_and_an_account(capsys, folder, tmp_path):
    one = shutil.copytree(folder, tmp_path / "run", ignore=shutil.ignore_patterns("checkpoints"))
    ready = prepare(experiment.read_config(one).data)
    state = jax.device_get(
        experiment.programs_of(experiment.read_config(one), ready.tokenizer).start(3)
    )
    batch = ready.plan(3)[0]
    batch.weights[1] = np.nan
    for step in (4, 6):
        record = {"step": step, "loss": "nan", "gradient_norm": "nan"}
        tree = {"state": state, "batch": batch._asdict()}
        checkpoint.write(one / "bad" / str(step), tree, record)
    code, out, err = say(capsys, "replay", one, "--step", 4)
    found = json.loads(out)
    assert (code, found["step"], found["loss"]) == (0, 4, "nan")
    assert [row["row"] for row in found["rows"]] == [1]
    assert "step 4: in training the loss was nan" in err
    assert "no batch of step 5; there is: 4, 6" in complaint(
        say(capsys, "replay", one, "--step", 5)
    )


def test_doctor_is_called(capsys, monkeypatch):
    monkeypatch.setattr("attention_jax.doctor.doctor", lambda: 1)
    assert cli.main(["doctor"]) == 1
    assert say(capsys, "doctor", "--help")[0] == 0
    assert say(capsys, "doctor", "--hlep")[0] == 2


def test_default_name_is_the_folders(folder):
    assert replace(experiment.read_config(folder), name="x").name == "x"
