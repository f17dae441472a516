"""The command `attention-jax vectors`."""

import pytest

from attention_jax import cli
from attention_jax.training.word_vectors import read_word_vectors
from tests.tiny_run import write_corpus

SMALL = ("--vectors.width", "16", "--vectors.epochs", "2", "--vectors.least", "1")


@pytest.fixture(scope="module")
def options(tmp_path_factory):
    corpus = write_corpus(tmp_path_factory.mktemp("corpus"))
    return ("--data.corpus", str(corpus), "--data.vocabulary", "290", *SMALL)


def test_it_writes_vectors_and_shows_who_is_near(options, tmp_path, capsys):
    out = tmp_path / "vectors.safetensors"
    code = cli.main(["vectors", "cat", "--near", "3", "--out", str(out), *options])
    said, progress = capsys.readouterr()
    assert code == 0 and progress.count("epoch") == 2
    near, wrote = said.splitlines()
    assert near.startswith("cat: ") and near.count(",") == 2
    found = read_word_vectors(out)
    assert wrote == f"{len(found.tokens):,} vectors of width 16: {out}"
    assert found.vectors.shape == (len(found.tokens), 16) and "Ġcat" in found.tokens


@pytest.mark.parametrize(
    ("words", "said"),
    [(("--near", "0"), "near is 0; 1 or more"), (("--vectors.width", "0"), "width is 0")],
)
def test_what_does_not_fit_is_one_line(options, tmp_path, capsys, words, said):
    out = tmp_path / "vectors.safetensors"
    assert cli.main(["vectors", *options, "--out", str(out), *words]) == 2
    _, complaint = capsys.readouterr()
    assert said in complaint and complaint.count("\n") == 1 and not out.exists()
