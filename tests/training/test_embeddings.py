"""Embeddings start from word vectors, by name, at the scale of the table, and only once."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest

from attention_jax.experiment import prepare, programs_of
from attention_jax.experiment import run as run_one
from attention_jax.training import checkpoint
from attention_jax.training.checkpoint import digest
from attention_jax.training.embeddings import start_embeddings, starting
from attention_jax.training.loop import fit
from attention_jax.training.step import State
from attention_jax.training.word_vectors import WordVectors, save_word_vectors
from tests.tiny_run import tiny, write_corpus

TOKENS = ["<pad>", "red", "blue", "cat", "dog"]
DRAW = np.random.default_rng(0)
FOUND = WordVectors(("dog", "red", "unicorn", "blue"), DRAW.normal(5, 3, (4, 6)).astype("f4"))


def params(*names, width=6, tokens=5):
    shape = tokens, width
    tables = {name: {"table": DRAW.normal(0, 0.4, shape).astype("f4")} for name in names}
    return tables | {"projection": {"kernel": np.ones(3, "f4")}}


@pytest.mark.parametrize(
    "names", [("source_embedding",), ("source_embedding", "target_embedding"), ("embedding",)]
)
def test_tokens_with_a_vector_start_from_it_and_others_keep_their_rows(names):
    fresh = params(*names)
    found = start_embeddings(fresh, FOUND, TOKENS)
    assert found["projection"] is fresh["projection"]
    rows, theirs = [1, 2, 4], FOUND.vectors[[1, 3, 0]]
    theirs = theirs - theirs.mean(0)
    for name in names:
        old, new = fresh[name]["table"], found[name]["table"]
        np.testing.assert_array_equal(new[[0, 3]], old[[0, 3]])
        ratio = new[rows] / theirs
        np.testing.assert_allclose(ratio, np.full_like(ratio, ratio[0, 0]), rtol=1e-4)
        np.testing.assert_allclose(new[rows].std(), old[rows].std(), rtol=1e-5)
        assert ratio[0, 0] > 0 and new.dtype == old.dtype


@pytest.mark.parametrize(
    ("fresh", "tokens", "said"),
    [
        (params("embedding", width=8), TOKENS, r"embedding is a table of \[5, 8\], .* width 6"),
        (params("embedding", tokens=7), TOKENS, r"a table of \[7, 6\], and there are 5 tokens"),
        (
            params("embedding"),
            list("abcde"),
            "0 of the model's 5 tokens have word vectors, .*'dog'",
        ),
        (params("places"), TOKENS, "has none of source_embedding.*, but places, projection"),
    ],
)
def test_what_does_not_go_together(fresh, tokens, said):
    with pytest.raises(ValueError, match=said):
        start_embeddings(fresh, FOUND, tokens)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """(train, file, names): the tiny run, and a file of vectors for its tokens."""
    experiment = tiny(write_corpus(tmp_path_factory.mktemp("corpus")), steps=8)
    prepared = prepare(experiment.data)
    programs, names = programs_of(experiment, prepared.tokenizer), prepared.tokenizer.names()
    file = tmp_path_factory.mktemp("vectors") / "vectors.safetensors"
    vectors = DRAW.normal(size=(len(names) - 3, experiment.model.width)).astype("f4")
    save_word_vectors(file, WordVectors(tuple(names[3:]), vectors))

    def train(folder, begin, stop_after=None):
        plan, held_out = prepared.plan(3), prepared.held_out()["validation"]
        wanted = {"seed": 3, "quiet": True, "begin": begin, "stop_after": stop_after}
        fit(programs, experiment.training, plan, held_out, folder, **wanted)
        return last(folder)

    def last(folder):
        step = checkpoint.finished(folder / "checkpoints")[-1]
        return digest(checkpoint.read(folder / f"checkpoints/{step}", programs.structs).state)

    return train, last, file, names, experiment, prepared


@pytest.mark.slow
def test_a_run_starts_from_them_and_goes_on_without_them(run, tmp_path):
    train, last, file, names, experiment, prepared = run
    begin = starting(file, names)
    whole = train(tmp_path / "whole", begin)
    assert whole != train(tmp_path / "chance", None)

    def never(state):
        raise AssertionError("a run that goes on has begun already")

    train(tmp_path / "part", begin, stop_after=5)
    training = replace(experiment.training, embeddings=file)
    one = replace(experiment, training=training)
    run_one(one, tmp_path / "run", quiet=True, prepared=prepared, stop_after=5)
    assert last(tmp_path / "run") == last(tmp_path / "part")
    assert train(tmp_path / "part", never) == whole


def test_the_message_names_the_file(run):
    file, names = run[2:4]
    state = State(params("embedding", tokens=len(names)), (), *[jnp.zeros(())] * 3)
    with pytest.raises(ValueError, match=rf"{file}: embedding is a table of .* width 16"):
        starting(file, names)(state)
