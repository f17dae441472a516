"""GPT-2: what its folders call its sizes and its tensors.

Its affine maps are kept as [inputs, outputs], unlike those of all others, and queries, keys and
values are one map. The projection to tokens is the table, or kept as the others' are.

Source: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners".
"""

from collections.abc import Mapping
from typing import Any

from attention_jax.interop.family import Family, View
from attention_jax.interop.fields import DEEPEST, Field, always, choice, count, flag, rate
from attention_jax.interop.marks import padding
from attention_jax.models.decoder_only import DecoderOnly
from attention_jax.models.decoder_only_config import DecoderOnlyConfig


def _inner(form: Mapping[str, Any]) -> int:
    """n_inner, or four times the width where it is left out."""
    return count("n_inner", 4 * count("n_embd").read(form)).read(form)


_NAMES = {
    "embedding": "wte",
    "positions": "wpe.weight",
    "layers.*.attention_norm": "h.*.ln_1",
    (
        "layers.*.attention.query",
        "layers.*.attention.key",
        "layers.*.attention.value",
    ): "h.*.attn.c_attn",
    "layers.*.attention.output": "h.*.attn.c_proj",
    "layers.*.feed_forward_norm": "h.*.ln_2",
    "layers.*.feed_forward.expand": "h.*.mlp.c_fc",
    "layers.*.feed_forward.contract": "h.*.mlp.c_proj",
    "norm": "ln_f",
    "projection": "lm_head",
}

GPT2 = Family(
    config=DecoderOnlyConfig,
    model=DecoderOnly,
    fields={
        "vocabulary": count("vocab_size"),
        "width": count("n_embd"),
        "layers": count("n_layer", most=DEEPEST),
        "heads": count("n_head"),
        "key_value_heads": always(None),
        "head_size": always(None),
        "feed_forward": Field("n_inner", _inner, lambda value, config: {"n_inner": value}),
        "context": count("n_positions", other="n_ctx"),
        "dropout": rate("resid_pdrop", 0.1),
        "activation": choice(
            "activation_function",
            {"gelu_new": "gelu", "gelu_pytorch_tanh": "gelu", "gelu": "gelu_exact"},
            "gelu_new",
        ),
        "epsilon": rate("layer_norm_epsilon", 1e-5),
        "tied": flag("tie_word_embeddings", True),
        "padding": padding,
        "positions": always("learned"),
        "norm": always("layer"),
        "bias": always(True),
    },
    names=lambda config: _NAMES,
    architecture="GPT2LMHeadModel",
    prefix="transformer.",
    outside=("lm_head",),
    turned=False,
    views=lambda config: {"lm_head.weight": View(axes=(1, 0))},
    copies=lambda config: {"lm_head.weight": "wte.weight"} if config.tied else {},
    must={
        "scale_attn_weights": True,
        "scale_attn_by_inverse_layer_idx": False,
        "add_cross_attention": False,
        "pruned_heads": {},
        "quantization_config": {},
    },
    left_out=r"h\.\d+\.attn\.(bias|masked_bias)",  # masks that early versions kept
    free=("preset", "remat", "scan", "base"),
)
