"""Pretrained models write: what the whole pass finds likeliest, place by place."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from attention_jax.interop.huggingface import load, to_the_front
from tests.interop.made_kinds import MARKS, respoken, saved


@pytest.fixture(scope="module")
def decoder(tmp_path_factory):
    saved(tmp_path_factory.mktemp("decoder") / "it")
    return load(tmp_path_factory.getbasetemp() / "decoder0" / "it")


def test_a_language_model_goes_on_with_texts(decoder):
    texts = ["ab", "a longer text"]
    tokens = decoder.encode(texts)
    assert tokens.shape == (2, 15) and tokens[0].tolist()[-11:] == [-1] * 11
    found = decoder.written(tokens, 4)
    rows = np.full((2, 24), -1, np.int32)
    lengths = (tokens >= 0).sum(1)
    for row, (text, length) in enumerate(zip(tokens, lengths, strict=True)):
        rows[row, : length + 4] = [*text[:length], *found[row]]
    # What the whole pass finds likeliest at each place, and the mark at the last.
    logits = jax.jit(decoder.model)(rows[:, :0], rows)
    for row, length in enumerate(lengths):
        ids = [*np.argmax(logits[row, length - 1 : length + 2], -1), 2]
        ids = ids[: ids.index(2) + 1]
        assert found[row].tolist() == [*ids, *[-1] * (4 - len(ids))]
    wanted = decoder.tokenizer.decode_batch([[x for x in row if x >= 0] for row in found.tolist()])
    assert decoder.write(texts, 4) == wanted
    names, weights = decoder.explain("ab")
    assert names == ["<s>", "a", "·b", "</s>"] and weights.shape == (2, 4, 4, 4)
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-5)


def test_what_cannot_be_gone_on_with_is_refused(decoder):
    for texts, words in (
        ("ab", "found one string"),
        ([], "no text"),
        (["\ud800"], "lone surrogate"),
        ([3], "found int"),
    ):
        with pytest.raises(ValueError, match=words):
            decoder.encode(texts)
    for tokens in ([[-1, 3]], [[-1, -1]], [[3, -1, 4]], [3, 4]):
        with pytest.raises(ValueError, match="padding, -1, at the end would fit"):
            decoder.written(np.array(tokens), 3)
    with pytest.raises(ValueError, match="length is 0"):
        decoder.written(np.array([[3]]), 0)
    bare = replace(decoder, tokenizer=None)
    with pytest.raises(ValueError, match="without its tokenizer"):
        bare.encode(["ab"])


def test_rows_and_a_mask_become_rows_with_padding_behind():
    tokens, mask = np.array([[9, 9, 4, 5], [6, 9, 7, 9]]), np.array([[0, 0, 1, 1], [1, 1, 1, 0]])
    assert to_the_front(tokens, mask, -1).tolist() == [[4, 5, -1, -1], [6, 9, 7, -1]]
    with pytest.raises(ValueError, match=r"\[2, 4\] and mask \[2, 3\]"):
        to_the_front(tokens, mask[:, 1:], -1)
    with pytest.raises(ValueError, match="a real token is 5"):
        to_the_front(tokens, mask, 5)


@pytest.mark.parametrize("name", ["marian", pytest.param("t5", marks=pytest.mark.slow)])
def test_a_model_with_an_encoder_writes_for_texts(tmp_path, name):
    saved(tmp_path / "it", name)
    pretrained = load(tmp_path / "it")
    assert pretrained.marks == MARKS
    found = pretrained.written(pretrained.encode(["ab", "ab", "a longer"]), 5)
    np.testing.assert_array_equal(found[0], found[1])
    closed = found[:, -1]
    assert set(closed.tolist()) <= {2, pretrained.model.config.padding}
    assert len(pretrained.write(["ab"], 5)) == 1
    looked = pretrained.explain("ab", length=5)
    config = pretrained.model.config
    assert set(looked.weights) == set(config.places()) and looked.target[0] == "</s>"
    for place, weights in looked.weights.items():
        sides = {"encoder": (4, 4), "decoder": (len(looked.target),) * 2}
        sides["cross"] = len(looked.target), 4
        assert weights.shape == (config.heads_at(place), *sides[place.part])
        np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-5)
    respoken(tmp_path / "it", decoder_start_token_id=None)
    with pytest.raises(ValueError, match="decoder_start_token_id is missing"):
        load(tmp_path / "it").write(["ab"], 5)
