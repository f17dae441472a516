"""What a folder of a pretrained model says is checked before it is believed."""

import json
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attention_jax.interop.families import config_of
from attention_jax.interop.folders import file_of, name_of, read_config, tensors_of
from attention_jax.interop.huggingface import load
from attention_jax.interop.pieces import encode, read_tokenizer
from tests.interop.made_folders import FORMS, WORDS, arrays_of, write

BERT = FORMS["bert"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model_type": "opt"}, ["model_type is 'opt'", "distilbert"]),
        ({"model_type": None}, ["model_type is None", "roberta"]),
        ({"model_type": ["bert"]}, ["model_type is ['bert']"]),
        ({"hidden_size": None}, ["hidden_size is missing", "whole number"]),
        ({"hidden_size": "16"}, ["hidden_size is '16'"]),
        ({"hidden_size": True}, ["hidden_size is True"]),
        ({"hidden_size": 2**40}, ["hidden_size is 1099511627776", "16,777,216"]),
        ({"hidden_size": 18}, ["heads is 4", "18", "num_attention_heads gives heads"]),
        ({"num_hidden_layers": 10**6}, ["num_hidden_layers is 1000000", "1,000"]),
        ({"num_attention_heads": 0}, ["num_attention_heads is 0"]),
        ({"vocab_size": -1}, ["vocab_size is -1"]),
        ({"pad_token_id": 99}, ["padding is 99", "0 to 17", "pad_token_id gives padding"]),
        ({"hidden_act": "gelu_fast"}, ["hidden_act is 'gelu_fast'", "gelu_new"]),
        ({"hidden_act": {}}, ["hidden_act is {}"]),
        ({"layer_norm_eps": "0"}, ["layer_norm_eps is '0'"]),
        ({"layer_norm_eps": 0}, ["epsilon is 0", "layer_norm_eps gives epsilon"]),
        ({"hidden_dropout_prob": float("nan")}, ["hidden_dropout_prob is nan"]),
        ({"position_embedding_type": "relative_key"}, ["relative_key", "'absolute' would fit"]),
        ({"is_decoder": True}, ["is_decoder is True", "False would fit"]),
        ({"pruned_heads": {"0": [1]}}, ["pruned_heads is {'0': [1]}"]),
        ({"quantization_config": {"bits": 4}}, ["quantization_config"]),
        ({"model_type": "roberta", "pad_token_id": 11}, ["max_position_embeddings is 12", "12"]),
    ],
)
def test_a_config_that_cannot_be_is_refused(change, words):
    with pytest.raises(ValueError) as error:
        config_of(BERT | change)
    assert all(word in str(error.value) for word in words), error.value


def test_what_a_config_leaves_out_is_what_its_kind_is_known_for():
    bare = {name: x for name, x in BERT.items() if name not in ("hidden_act", "layer_norm_eps")}
    assert config_of(bare) == config_of(BERT)
    bare = {name: x for name, x in FORMS["roberta"].items() if name != "pad_token_id"}
    for kind in ("roberta", "xlm-roberta", "camembert"):
        found = config_of(bare | {"model_type": kind, "pruned_heads": {}, "is_decoder": False})
        assert (found.padding, found.context, found.types) == (1, 30, 1)
    assert config_of(FORMS["distilbert"]).types == 0


WORD = "embeddings.word_embeddings.weight"
QUERY = "encoder.layer.1.attention.self.query.weight"


def without(arrays):
    del arrays[QUERY]


def turned(arrays):
    arrays["encoder.layer.0.intermediate.dense.weight"] = np.zeros((16, 24), np.float32)


def one_layer_more(arrays):
    arrays[QUERY.replace(".1.", ".2.")] = arrays[QUERY]


def adapters(arrays):
    arrays |= {f"adapter.{n}": arrays[WORD] for n in range(9)}


def whole_numbers(arrays):
    arrays[WORD] = arrays[WORD].astype(np.int32)


def not_finite(arrays):
    arrays[QUERY][3, 4] = np.inf


def too_large(arrays):
    arrays[QUERY] = np.full((16, 16), 1e300)


def twice(arrays):
    arrays["bert." + WORD] = arrays[WORD]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (without, [f"no tensor {QUERY}", "[16, 16]"]),
        (turned, ["intermediate.dense.weight has shape [16, 24]", "[24, 16]"]),
        (one_layer_more, ["no place for", "encoder.layer.2"]),
        (adapters, ["adapter.0, adapter.1, adapter.2 and 6 others"]),
        (whole_numbers, [f"{WORD} is of int32"]),
        (not_finite, [QUERY, "no finite number"]),
        (too_large, [QUERY, "no finite number in float32"]),
        (twice, ["two tensors for " + WORD]),
    ],
)
def test_tensors_that_do_not_fit_the_config_are_refused_by_name(tmp_path, spoil, words):
    arrays = arrays_of(BERT)
    spoil(arrays)
    write(tmp_path, "bert", arrays=arrays)
    with pytest.raises(ValueError) as error:
        load(tmp_path)
    assert all(word in str(error.value) for word in [*words, "model.safetensors"]), error.value


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "tiny", "bert")
    return tmp_path / "tiny"


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("config.json", "a folder without config.json"),
        ("tokenizer.json", r"tokenizer.json is missing; .*AutoTokenizer"),
        ("model.safetensors", r"model.safetensors is missing; .*AutoModel.*never read here"),
    ],
)
def test_a_missing_file_is_named_with_what_makes_one(folder, missing, words):
    (folder / missing).unlink()
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(ValueError, match=words):
        load(folder)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"[]", "list; a JSON object"),
        (b"{", "damaged"),
        (b"\xff", "damaged"),
        (b'{"model_type": "bert", "model_type": "bert"}', "twice"),
        (b'{"a":' * 100_000, "damaged"),
        (b" " * 2**21, "too long, 2,097,152 bytes; 1,048,576"),
    ],
)
def test_a_damaged_config_is_refused(folder, text, words):
    (folder / "config.json").write_bytes(text)
    with pytest.raises(ValueError, match=words):
        load(folder)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_what_is_no_file_of_the_folder_is_not_read(folder, name):
    outside = folder.parent / "outside"
    (folder / name).rename(outside)
    (folder / name).symlink_to(outside)
    with pytest.raises(ValueError, match=f"{name} is a link that leads out of"):
        load(folder)
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(ValueError, match=f"{name} is no file"):
        load(folder)
    (folder / name).unlink()
    outside.rename(folder / "inside")
    (folder / name).symlink_to("inside")
    assert file_of(folder, name).samefile(folder / "inside")


def test_links_within_the_hubs_cache_are_followed(folder):
    cache = folder.parent / "models--someone--tiny"
    snapshot = cache / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (cache / "blobs").mkdir()
    for number, file in enumerate(sorted(folder.iterdir())):
        file.rename(cache / "blobs" / str(number))
        (snapshot / file.name).symlink_to(f"../../blobs/{number}")
    assert name_of(snapshot) == "someone/tiny"
    assert load(snapshot).model.config == config_of(BERT)
    (snapshot / "another.safetensors").symlink_to("/etc/passwd")
    with pytest.raises(ValueError, match="another.safetensors is a link that leads out of"):
        tensors_of(snapshot)


def test_a_tokenizer_of_another_model_is_refused(folder):
    with pytest.raises(ValueError, match=f"tokens up to {len(WORDS) - 1}; below 4 would fit"):
        read_tokenizer(folder / "tokenizer.json", 4)
    for text in (b"{}", b"\xff", b"", b'{"model": {"type": "WordPiece", "vocab": {"a": -1}}}'):
        (folder / "tokenizer.json").write_bytes(text)
        with pytest.raises(ValueError, match="is no tokenizer.json, or is damaged"):
            load(folder)


def test_a_tokenizer_that_fails_in_use_is_refused(folder):
    path = folder / "tokenizer.json"
    form = json.loads(path.read_text())
    marks = form["post_processor"]["special_tokens"]
    marks["[SEP]"]["ids"] = [2**32 - 1]
    path.write_text(json.dumps(form))
    with pytest.raises(ValueError, match="tokens up to 4294967295"):
        read_tokenizer(path, len(WORDS))
    marks["[SEP]"]["ids"] = [3]
    form["post_processor"]["pair"][-1]["SpecialToken"]["type_id"] = 7
    path.write_text(json.dumps(form))
    with pytest.raises(ValueError, match="gives type 7; below 2"):
        load(folder).encode(["the"], ["cat"])
    del marks["[SEP]"]
    path.write_text(json.dumps(form))
    with pytest.raises(ValueError, match="tokenizer.json is (damaged|no tokenizer.json)"):
        read_tokenizer(path, len(WORDS))
    form["post_processor"], form["model"]["unk_token"] = None, "[NONE]"
    path.write_text(json.dumps(form))
    with pytest.raises(ValueError, match="the tokenizer cannot encode"):
        load(folder).encode(["unknown"])


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scratch")
    write(folder, "bert")
    texts = {name: (folder / name).read_bytes() for name in ("config.json", "tokenizer.json")}
    return folder, texts


@settings(max_examples=60)
@given(
    name=st.sampled_from(["config.json", "tokenizer.json"]),
    place=st.floats(0, 1, exclude_max=True),
    new=st.binary(min_size=1, max_size=4) | st.sampled_from([b'"', b"{}", b"null", b"9" * 30]),
)
def test_changed_bytes_give_a_model_or_a_reason(scratch, name, place, new):
    folder, texts = scratch
    text = texts[name]
    at = int(place * len(text))
    (folder / name).write_bytes(text[:at] + new + text[at + len(new) :])
    try:
        config_of(read_config(folder))
        encode(read_tokenizer(folder / "tokenizer.json", len(WORDS)), ["the cat drank ü"])
    except ValueError as error:
        assert str(error)
    finally:
        (folder / name).write_bytes(text)
