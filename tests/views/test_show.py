"""The command `attention-jax show`."""

import shutil

import pytest

from attention_jax import cli

SENTENCE = "the red cat sees a house"


def say(capsys, *words):
    """(exit code, standard output, standard error) of the command."""
    code = cli.main(["show", *map(str, words)])
    return code, *capsys.readouterr()


def test_it_writes_a_page_and_says_what_came_out(folder, capsys, tmp_path):
    out = tmp_path / "new" / "page.html"
    code, said, _ = say(capsys, "--run", folder, SENTENCE, "--out", out)
    assert code == 0
    translation, page = said.splitlines()
    assert translation.startswith("run: ") and page == f"Page: {out}"
    text = out.read_text("utf-8")
    assert f"Attention: {SENTENCE}" in text and "step 8" in text


def test_checkpoints_and_a_second_run_are_on_one_page(folder, capsys, tmp_path):
    shutil.copytree(folder, other := tmp_path / "elsewhere" / "run")
    out = tmp_path / "page.html"
    code, _, _ = say(
        capsys, "--run", folder, "--against", other, "--checkpoints", SENTENCE, "--out", out
    )
    text = out.read_text("utf-8")
    # Folders of one name are told apart by their paths.
    assert code == 0 and str(folder) in text and str(other) in text
    assert "step 6" in text and "step 12" in text


@pytest.mark.parametrize(
    "words, message",
    [
        ([SENTENCE], "--run DIR or --pretrained DIR is needed"),
        (["--run", "{}", "--pretrained", "x", SENTENCE], "and only one of them"),
        (["--run", "{}"], "a sentence is needed"),
        (["--run", "{}", "the", "cat"], "found 2 sentences; one would fit, in quotes"),
        (["--run", "{}", "--checkpoint", SENTENCE], "perhaps you meant --checkpoints"),
        (["--run", "{}/nothing", SENTENCE], "nothing"),
        (["--pretrained", "{}", SENTENCE], "model_type"),
        (["--pretrained", "x", "--beams", "2", SENTENCE], "--beams is for translations"),
        (["--pretrained", "x", "--hypotheses", "2", SENTENCE], "--hypotheses is for translations"),
        (["--pretrained", "x", "a", "b", "c"], "found 3 sentences; one or two would fit"),
    ],
)
def test_what_does_not_fit_is_one_line(folder, capsys, tmp_path, words, message, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, said, complaint = say(capsys, *(word.replace("{}", str(folder)) for word in words))
    assert (code, said) == (2, "") and complaint.count("\n") == 1
    assert message in complaint
    assert not list(tmp_path.iterdir())
