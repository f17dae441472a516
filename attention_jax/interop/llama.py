"""Llama, Mistral and Qwen2: one model with other biases and windows, and what folders call it.

Their rotary positions pair feature i with feature i + K/2, as ours do: the paper's pairs of
neighbours, with the rows of the kernels in another order.

Source: Touvron et al. 2023, "LLaMA"; Jiang et al. 2023, "Mistral 7B"; Yang et al. 2024, "Qwen2".
"""

from collections.abc import Mapping
from typing import Any

from attention_jax.interop.family import Family
from attention_jax.interop.fields import DEEPEST, Field, Form, always, choice, count, flag, rate
from attention_jax.interop.marks import padding
from attention_jax.models.decoder_only import DecoderOnly
from attention_jax.models.decoder_only_config import DecoderOnlyConfig


def _base(form: Form) -> float:
    """How far rotary positions reach: rope_theta, said in one of two places.

    Raises:
      ValueError: it is no number above 0, or the positions are stretched, as for longer texts.
    """
    said: dict[str, Any] = {}
    for name in ("rope_scaling", "rope_parameters"):
        found = form.get(name)
        if found is None:
            continue
        if not isinstance(found, Mapping):
            raise ValueError(f"{name} is {found!r:.60}; a JSON object would fit")
        kind = found.get("rope_type", found.get("type", "default"))
        if kind != "default" or found.get("partial_rotary_factor", 1.0) != 1.0:
            raise ValueError(
                f"{name} is {dict(found)!r:.120}; rope_type 'default' would fit: positions that "
                "are stretched, or turn a part of the features alone, are not known here"
            )
        said |= found
    base = said.get("rope_theta", form.get("rope_theta", 10_000.0))
    if type(base) not in (int, float) or not 0 < base < 1e30:
        raise ValueError(f"rope_theta is {base!r:.60}; a number above 0 would fit")
    return float(base)


def _write_base(value: float, config: DecoderOnlyConfig) -> dict[str, Any]:
    # The first is for transformers up to version 4, the second for later ones.
    return {
        "rope_theta": value,
        "rope_parameters": {"rope_type": "default", "rope_theta": value},
    }


_WINDOW = count("sliding_window", None)


def _qwen2_window(form: Form) -> int | None:
    """The window, if it is one for all layers.

    Raises:
      ValueError: some layers have one and others none.
    """
    if not flag("use_sliding_window", False).read(form):
        return None
    layers = count("num_hidden_layers", most=DEEPEST).read(form)
    first = count("max_window_layers", 28, least=0).read(form)
    if (window := _WINDOW.read(form)) is None or first >= layers:
        return None
    if first:
        raise ValueError(
            f"max_window_layers is {first} of {layers} layers; 0 would fit, or {layers}, as here "
            "all layers have a window or none has"
        )
    return window


def _write_qwen2_window(value: int | None, config: DecoderOnlyConfig) -> dict[str, Any]:
    if value is None:
        return {"use_sliding_window": False, "sliding_window": None}
    return {"use_sliding_window": True, "sliding_window": value, "max_window_layers": 0}


_FIELDS = {
    "vocabulary": count("vocab_size"),
    "width": count("hidden_size"),
    "layers": count("num_hidden_layers", most=DEEPEST),
    "heads": count("num_attention_heads"),
    "key_value_heads": count("num_key_value_heads", None),
    "head_size": Field(
        "head_dim",
        count("head_dim", None).read,
        lambda value, config: (
            {} if value is None else {"head_dim": value}
        ),  # null is refused by some
    ),
    "feed_forward": count("intermediate_size"),
    "context": count("max_position_embeddings", 2_048, most=2**31),
    "activation": choice("hidden_act", {"silu": "swiglu", "swish": "swiglu"}, "silu"),
    "epsilon": rate("rms_norm_eps", 1e-6),
    "base": Field("rope_theta", _base, _write_base),
    "tied": flag("tie_word_embeddings", False),
    "padding": padding,
    "positions": always("rotary"),
    "norm": always("rms"),
    "bias": always(False),
    "window": always(None),
}
_NAMES = {
    "embedding": "embed_tokens",
    "layers.*.attention_norm": "layers.*.input_layernorm",
    "layers.*.attention.query": "layers.*.self_attn.q_proj",
    "layers.*.attention.key": "layers.*.self_attn.k_proj",
    "layers.*.attention.value": "layers.*.self_attn.v_proj",
    "layers.*.attention.output": "layers.*.self_attn.o_proj",
    "layers.*.feed_forward_norm": "layers.*.post_attention_layernorm",
    "layers.*.feed_forward.gate": "layers.*.mlp.gate_proj",
    "layers.*.feed_forward.expand": "layers.*.mlp.up_proj",
    "layers.*.feed_forward.contract": "layers.*.mlp.down_proj",
    "norm": "norm",
    "projection": "lm_head",
}


def _member(architecture: str, absent: Mapping[str, Any], **fields: Field) -> Family:
    return Family(
        config=DecoderOnlyConfig,
        model=DecoderOnly,
        fields=_FIELDS | fields,
        names=lambda config: _NAMES,
        architecture=architecture,
        prefix="model.",
        outside=("lm_head",),
        copies=lambda config: {"lm_head.weight": "embed_tokens.weight"} if config.tied else {},
        must={"pretraining_tp": 1, "quantization_config": {}, "pruned_heads": {}},
        left_out=r"layers\.\d+\.self_attn\.rotary_emb\.inv_freq",  # early versions kept them
        free=("preset", "remat", "scan", "dropout"),
        absent=absent,
    )


LLAMA: Mapping[str, Family] = {
    "llama": _member(
        "LlamaForCausalLM",
        {},
        bias=flag("mlp_bias", False),
        qkv_bias=flag("attention_bias", False),
        output_bias=flag("attention_bias", False),
    ),
    "mistral": _member(
        "MistralForCausalLM",
        {"num_key_value_heads": 8, "sliding_window": 4_096},
        window=_WINDOW,
    ),
    "qwen2": _member(
        "Qwen2ForCausalLM",
        {"num_key_value_heads": 32, "sliding_window": 4_096},
        qkv_bias=always(True),
        output_bias=always(False),
        window=Field("sliding_window", _qwen2_window, _write_qwen2_window),
    ),
}
"""By what config.json calls the kind: its model_type."""
