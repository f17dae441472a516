"""Pretrained models of every kind that reads texts, on a page."""

from dataclasses import replace

import numpy as np
import pytest

from attention_jax.interop.huggingface import load, save
from attention_jax.views.pretrained_view import read_pretrained
from attention_jax.views.show import show
from tests.interop.made_folders import byte_pieces
from tests.interop.made_kinds import LLAMA, MARKS, T5, VIT, made


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    home = tmp_path_factory.mktemp("pretrained")
    models = {"llama": replace(LLAMA, layers=1), "t5": replace(T5, encoder_layers=1), "vit": VIT}
    for name, config in models.items():
        save(home / name, made(config), byte_pieces(), marks=MARKS)
    return home


def test_a_language_model_is_read_as_it_explains_itself(folders):
    pretrained = load(folders / "llama")
    reading = read_pretrained(pretrained, ["ab"])
    (attention,), (names, weights) = reading.attentions, pretrained.explain("ab")
    assert (attention.name, list(attention.queries), reading.input) == ("decoder", names, "ab")
    np.testing.assert_array_equal(np.stack(attention.weights), weights)
    for sentences, target, words in (
        (["a", "b"], None, "found 2 sentences; one would fit"),
        (["a"], "b", "--target is for models that write"),
    ):
        with pytest.raises(ValueError, match=words):
            read_pretrained(pretrained, sentences, target)
    with pytest.raises(ValueError, match="vit is a model of pictures"):
        read_pretrained(load(folders / "vit"), ["a"])


def test_a_model_that_writes_is_shown_with_what_it_wrote_or_was_given(folders, tmp_path, capsys):
    page = tmp_path / "page.html"
    show(["--pretrained", str(folders / "t5"), "--target", "ba", "--out", str(page), "ab"])
    assert "t5: ba" in capsys.readouterr().out and page.stat().st_size > 10_000
    reading = read_pretrained(load(folders / "t5"), ["ab"], "ba")
    assert [one.name for one in reading.attentions] == ["encoder", "decoder", "cross"]
    cross = reading.attentions[2]
    assert cross.queries == ("</s>", "<s>", "b", "·a") and cross.sources[1:3] == ("a", "·b")
    assert cross.chosen == ("<s>", "b", "·a", "</s>")
