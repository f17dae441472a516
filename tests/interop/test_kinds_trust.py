"""What a folder of any kind says is checked before it is believed; see test_huggingface_trust."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attention_jax.interop.families import config_of
from attention_jax.interop.huggingface import load
from tests.interop.made_kinds import SAVED, held, refilled, respoken, saved


@pytest.mark.parametrize(
    ("name", "copy", "table"),
    [
        ("gpt2", "lm_head.weight", "transformer.wte.weight"),
        ("qwen2", "lm_head.weight", "model.embed_tokens.weight"),
        ("marian", "model.decoder.embed_tokens.weight", "model.shared.weight"),
        ("t5", "encoder.embed_tokens.weight", "shared.weight"),
    ],
)
def test_a_table_may_stand_there_twice_or_by_another_name_but_not_differ(
    tmp_path, name, copy, table
):
    folder = tmp_path / "it"
    saved(folder, name)
    wanted = held(load(folder, tokenizer=False).model)
    refilled(folder, lambda arrays: arrays.update({copy: arrays[table]}))
    load(folder, tokenizer=False)
    refilled(folder, lambda arrays: arrays.pop(table))
    for path, array in held(load(folder, tokenizer=False).model).items():
        np.testing.assert_array_equal(array, wanted[path])
    refilled(folder, lambda arrays: arrays.update({table: arrays[copy] + 1}))
    with pytest.raises(ValueError, match="differ, and by config.json they are one tensor"):
        load(folder, tokenizer=False)


def test_a_projection_of_its_own_makes_a_t5_untied_where_rows_are_not_scaled(tmp_path):
    folder = tmp_path / "it"
    saved(folder, "t5, 1.1")
    wanted = held(load(folder, tokenizer=False).model)
    # As transformers writes it since its version 5.
    again = load(respoken(folder, tie_word_embeddings=True), tokenizer=False).model
    assert not again.config.tied
    for path, array in held(again).items():
        np.testing.assert_array_equal(array, wanted[path])
    with pytest.raises(ValueError, match="lm_head.weight and shared.weight differ"):
        load(respoken(folder, scale_decoder_outputs=True), tokenizer=False)


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("gpt2", {"n_head": 3}, "heads is 3, which does not divide width.*n_head gives heads"),
        ("gpt2", {"activation_function": "relu"}, "activation_function is 'relu'; one of gelu_new"),
        ("gpt2", {"scale_attn_by_inverse_layer_idx": True}, "inverse_layer_idx is True; False"),
        ("gpt2", {"n_positions": 2**40}, "n_positions is 1099511627776"),
        ("gpt2", {"n_inner": 0}, "n_inner is 0"),
        ("gpt2", {"tie_word_embeddings": 1}, "tie_word_embeddings is 1; true or false"),
        ("llama", {"num_key_value_heads": 3}, "key_value_heads is 3; it must divide heads, 4"),
        ("llama", {"hidden_act": "gelu"}, "hidden_act is 'gelu'; one of silu"),
        ("llama", {"rope_scaling": {"type": "linear", "factor": 2}}, "rope_scaling is .*'default'"),
        ("llama", {"rope_scaling": 3}, "rope_scaling is 3; a JSON object"),
        ("llama", {"rope_parameters": {"rope_theta": -1}}, "rope_theta is -1; a number above 0"),
        ("llama", {"rope_parameters": {"rope_theta": True}}, "rope_theta is True"),
        ("llama", {"quantization_config": {"bits": 4}}, "quantization_config is"),
        ("llama", {"head_dim": 7}, "heads have 7 features; rotary .*head_dim gives head_size"),
        ("llama", {"rms_norm_eps": float("inf")}, "rms_norm_eps is inf"),
        ("llama", {"eos_token_id": "2"}, "eos_token_id is '2'"),
        ("llama", {"eos_token_id": list(range(2_000))}, "eos_token_id has 2000 tokens"),
        ("llama", {"bad_words_ids": [3]}, r"bad_words_ids is \[3\]; a list of lists"),
        ("llama", {"pad_token_id": -7}, "pad_token_id is -7"),
        ("mistral", {"sliding_window": 0}, "sliding_window is 0"),
        (
            "qwen2, window",
            {"max_window_layers": 1},
            "max_window_layers is 1 of 2 layers; 0 would fit, or 2",
        ),
        ("marian", {"pad_token_id": None}, "pad_token_id is missing"),
        ("marian", {"tie_word_embeddings": False}, "tie_word_embeddings is False; True would fit"),
        ("marian", {"normalize_before": True}, "normalize_before is True; False would fit"),
        ("marian", {"decoder_start_token_id": 1.5}, "decoder_start_token_id is 1.5"),
        ("t5", {"feed_forward_proj": "gated"}, "feed_forward_proj is 'gated'; one of relu"),
        ("t5", {"num_layers": 10**7}, "num_layers is 10000000; .*1 to 1,000"),
        ("t5", {"is_encoder_decoder": False}, "is_encoder_decoder is False; True"),
        ("t5", {"relative_attention_num_buckets": 7}, "buckets is 7"),
        ("vit", {"patch_size": [4, 2]}, r"patch_size is \[4, 2\]; one number"),
        ("vit", {"image_size": [8]}, r"image_size is \[8\]; a number, or two"),
        ("vit", {"image_size": 9}, "picture_height is 9, which patch, 4"),
        ("vit", {"id2label": {"0": "a", "2": "b"}}, "id2label is .*names of the numbers from 0"),
    ],
)
def test_a_config_that_cannot_be_is_refused(tmp_path, name, change, words):
    saved(tmp_path / "it", name)
    with pytest.raises(ValueError, match=words):
        load(respoken(tmp_path / "it", **change))


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        (
            "gpt2",
            lambda arrays: arrays.update({"transformer.h.0.attn.c_attn.weight": np.ones((8, 8))}),
            r"h.0.attn.c_attn.weight has shape \[8, 8\], and by config.json \[8, 24\]",
        ),
        (
            "llama",
            lambda arrays: arrays.pop("lm_head.weight"),
            r"there is no tensor lm_head.weight, of shape \[262, 8\]",
        ),
        (
            "llama",
            lambda arrays: arrays.update({"model.layers.2.mlp.up_proj.weight": np.ones(1)}),
            "no place for: layers.2.mlp.up_proj.weight",
        ),
        (
            "marian",
            lambda arrays: arrays.update({"final_logits_bias": np.ones(262)}),
            r"final_logits_bias has shape \[262\], and by config.json \[1, 262\]",
        ),
        (
            "t5",
            lambda arrays: arrays.update({"decoder.final_layer_norm.weight": np.full(8, np.nan)}),
            "decoder.final_layer_norm.weight holds what is no finite number",
        ),
        (
            "vit",
            lambda arrays: arrays.update({"vit.embeddings.cls_token": np.ones((1, 1, 8), np.int8)}),
            "embeddings.cls_token is of int8",
        ),
    ],
)
def test_tensors_that_do_not_fit_are_refused_by_name(tmp_path, name, change, words):
    saved(tmp_path / "it", name)
    with pytest.raises(ValueError, match=words):
        load(refilled(tmp_path / "it", change))


def test_what_a_folder_leaves_out_is_what_its_kind_is_known_for(tmp_path):
    form = saved(tmp_path / "mistral", "mistral")
    bare = {x: y for x, y in form.items() if x not in ("sliding_window", "rope_parameters")}
    assert config_of(bare).window == 4_096 and config_of(bare).base == 500
    assert config_of({**bare, "sliding_window": None}).window is None
    form = saved(tmp_path / "t5", "t5")
    bare = {x: y for x, y in form.items() if x != "scale_decoder_outputs"}
    assert config_of(bare).scaled and not config_of({**bare, "tie_word_embeddings": False}).scaled
    form = saved(tmp_path / "gpt2", "gpt2")
    assert config_of({**form, "n_inner": None}).feed_forward == 32
    # The mark of an end that fills rows up too is a token like others.
    assert config_of({**form, "pad_token_id": 2}).padding == -1
    assert config_of({**form, "pad_token_id": 7}).padding == 7


def test_marks_of_generation_count_more_and_are_checked(tmp_path):
    folder = tmp_path / "it"
    saved(folder)
    said = {"eos_token_id": [5, 6], "bad_words_ids": [[7], [8, 9]]}
    (folder / "generation_config.json").write_text(json.dumps(said))
    marks = load(folder).marks
    assert marks.ends == (5, 6) and marks.begin == 0 and marks.never == (7,)
    for text in ('{"eos_token_id": true}', "[]", "{"):
        (folder / "generation_config.json").write_text(text)
        with pytest.raises(ValueError, match="generation_config.json"):
            load(folder)


def test_a_folder_of_sentencepiece_is_told_what_it_lacks(tmp_path):
    for name, file, words in (
        ("t5", "spiece.model", "spiece.model of SentencePiece are not read here; AutoTokenizer"),
        ("marian", "source.spm", "source.spm of SentencePiece .*Unigram of vocab.json's tokens"),
    ):
        folder = tmp_path / name
        saved(folder, name)
        (folder / "tokenizer.json").unlink()
        (folder / file).write_bytes(b"\n")
        with pytest.raises(ValueError, match=words):
            load(folder)
        assert load(folder, tokenizer=False).tokenizer is None


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    home = tmp_path_factory.mktemp("texts")
    for name in ("gpt2", "qwen2, window", "marian", "t5", "vit"):
        saved(home / name, name)
    return [(home / name / "config.json").read_bytes() for name in SAVED if (home / name).exists()]


@settings(max_examples=150)
@given(
    which=st.integers(0, 4),
    place=st.floats(0, 1, exclude_max=True),
    new=st.binary(min_size=1, max_size=3)
    | st.sampled_from([b'"', b"{}", b"null", b"[]", b"9" * 30, b"-1", b"true", b"1e999"]),
)
def test_changed_bytes_of_a_config_give_one_or_a_reason(texts, which, place, new):
    text = texts[which]
    at = int(place * len(text))
    try:
        form = json.loads(text[:at] + new + text[at + len(new) :])
    except ValueError:
        return
    if isinstance(form, dict):
        try:
            config_of(form)
        except ValueError as error:
            assert str(error)
