"""Folders of every kind: what is saved is read again, bit for bit, or it is not saved."""

import json
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest

from attention_jax.interop import read_metadata, read_tensors
from attention_jax.interop.families import FAMILIES
from attention_jax.interop.huggingface import load, save
from tests.interop.made_kinds import (
    BERT,
    GPT2,
    LLAMA,
    MARKS,
    SAVED,
    VIT,
    held,
    made,
    saved,
)

SAID = dict.fromkeys(FAMILIES, ()) | dict.fromkeys(("llama", "qwen2"), ("qkv_bias", "output_bias"))


@pytest.mark.parametrize("name", SAVED)
def test_what_is_saved_is_read_again_bit_for_bit(tmp_path, name):
    kind, model = name.split(",")[0], made(SAVED[name])
    folder = save(tmp_path / "it", model, kind=kind)
    again = load(folder, tokenizer=False).model
    # What None stands for is said, and what no folder says is as it usually is.
    unsaid = {one: getattr(again.config, one) for one in (*FAMILIES[kind].free, *SAID[kind])}
    assert replace(model.config, **unsaid) == again.config
    ours, theirs = held(model), held(again)
    assert list(ours) == list(theirs)
    for path, array in ours.items():
        np.testing.assert_array_equal(theirs[path], array)
    assert sorted(path.name for path in tmp_path.rglob("*")) == [
        "config.json",
        "it",
        "model.safetensors",
    ]
    assert read_metadata(folder / "model.safetensors")["format"] == "pt"


def test_the_first_kind_that_has_words_for_a_model_is_taken(tmp_path):
    wanted = {"gpt2": "gpt2", "llama": "llama", "mistral": "mistral", "qwen2": "qwen2"}
    wanted |= {"marian": "marian", "t5": "t5", "vit": "vit", "bert": "bert"}
    for name, kind in wanted.items():
        save(tmp_path / name, made(SAVED[name]))
        form = json.loads((tmp_path / name / "config.json").read_text())
        assert form["model_type"] == kind and form["architectures"]


def test_gpt2_keeps_queries_keys_and_values_in_one_map(tmp_path):
    saved(tmp_path / "it", "gpt2")
    arrays, model = read_tensors(tmp_path / "it/model.safetensors"), made(SAVED["gpt2"])
    own = held(model)
    parts = [own["layers", 1, "attention", one, "kernel"] for one in ("query", "key", "value")]
    found = arrays["transformer.h.1.attn.c_attn.weight"]
    np.testing.assert_array_equal(found, np.concatenate(parts, 1))


@pytest.mark.parametrize(
    ("config", "kind", "words"),
    [
        (replace(GPT2, norm="rms"), "gpt2", "norm is 'rms', which no folder of the kind gpt2 says"),
        (replace(LLAMA, norm="layer"), None, "no kind of folder fits the model: gpt2: .*llama: "),
        (replace(LLAMA, window=3), "llama", "window is 3, .*llama says; None would fit"),
        (LLAMA, "t5", "no folder of the kind t5 holds a DecoderOnly"),
        (LLAMA, "opt", "model_type is 'opt'; one of"),
        (replace(BERT, types=0), "bert", "type_vocab_size is 0"),
        (replace(VIT, summary="mean"), "vit", "summary is 'mean'"),
        (replace(LLAMA, padding=2), "llama", "padding is 2, .*-1 would fit"),
    ],
)
def test_what_a_kind_has_no_words_for_is_not_saved(tmp_path, config, kind, words):
    with pytest.raises(ValueError, match=words):
        save(tmp_path / "it", made(config), kind=kind, marks=MARKS)
    assert not list(tmp_path.iterdir())


def test_nothing_that_is_there_is_written_over(tmp_path):
    model = made(VIT)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("kept")
    (tmp_path / "file").write_text("kept")
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    for name in ("full", "file", "link"):
        with pytest.raises(ValueError, match=f"{name} is there already; a new folder"):
            save(tmp_path / name, model)
    save(tmp_path / "empty", model, labels=["a", "b", "c"])
    assert load(tmp_path / "empty").labels == ("a", "b", "c")
    with pytest.raises(ValueError, match="labels are 2, 1 of them different.*3 classes"):
        save(tmp_path / "new", model, labels=["a", "a"])
    model.token[...] = jnp.full((1, 8), jnp.nan)
    with pytest.raises(ValueError, match="token holds what is no finite number"):
        save(tmp_path / "new", model)

    class Broken:
        def save(self, path):
            raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        save(tmp_path / "new", made(VIT), Broken())
    assert {path.name for path in tmp_path.iterdir()} == {"full", "file", "empty", "link"}
