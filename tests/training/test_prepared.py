"""A corpus for many runs: its tokens fit its tokenizer, and its digest tells it from others."""

import re
from dataclasses import replace

import numpy as np
import pytest

from attention_jax.data import DataConfig, DataError
from attention_jax.training.prepared import prepare
from tests.tiny_run import write_corpus


@pytest.fixture
def data(tmp_path) -> DataConfig:
    return DataConfig(corpus=str(write_corpus(tmp_path)), vocabulary=290, batch_tokens=128)


def test_the_digest_is_of_all_that_is_trained_on(data, tmp_path):
    one, again = prepare(data), prepare(data)
    assert re.fullmatch("[0-9a-f]{64}", one.digest())
    assert one.digest() == again.digest() == one.digest()
    assert prepare(replace(data, batch_tokens=256)).digest() == one.digest()
    assert prepare(replace(data, limit=199)).digest() != one.digest()
    assert prepare(replace(data, vocabulary=280)).digest() != one.digest()
    (tmp_path / "test.es").write_text("otro\n" * 16, "utf-8")
    assert prepare(data).digest() == one.digest()
    lines = (tmp_path / "val.es").read_text("utf-8").splitlines(keepends=True)
    (tmp_path / "val.es").write_text("".join([*lines[:-1], "otro\n"]), "utf-8")
    assert prepare(data).digest() != one.digest()


@pytest.mark.parametrize("split", ["train", "validation"])
def test_tokens_of_another_tokenizer_are_refused(data, split):
    prepared = prepare(data)
    foreign = np.array([3, prepared.tokenizer.size], np.int32)
    prepared.examples(split).targets[4] = foreign
    with pytest.raises(DataError, match=f"pair 5 has the target token {foreign[1]}"):
        prepared.plan(0) if split == "train" else prepared.held_out()
