"""T5, its version 1.1 and Flan-T5: what folders call their sizes and tensors.

Source: Raffel et al. 2020, "Exploring the Limits of Transfer Learning with a Unified Text-to-Text
Transformer"; Shazeer 2020, "GLU Variants Improve Transformer".
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from attention_jax.interop.family import Family
from attention_jax.interop.fields import DEEPEST, Field, Form, choice, count, flag, rate
from attention_jax.models import t5
from attention_jax.models.t5_config import T5Config

_NETWORKS = {
    "relu": "relu",
    "silu": "silu",
    "gated-relu": "gated_relu",
    "gated-silu": "gated_silu",
    "gated-gelu": "gated_gelu",
}
_ATTENTION = {"query": "q", "key": "k", "value": "v", "output": "o"}


def _names(config: T5Config) -> dict[str, str]:
    """What folders call our modules: with a gate, there are two maps that expand."""
    gated = config.activation.startswith("gated")
    common = {
        **{f"attention.{ours}": f"0.SelfAttention.{name}" for ours, name in _ATTENTION.items()},
        "residuals.0.norm": "0.layer_norm",
        "feed_forward.gate": "{}.DenseReluDense.wi_0",
        "feed_forward.expand": "{}.DenseReluDense." + ("wi_1" if gated else "wi"),
        "feed_forward.contract": "{}.DenseReluDense.wo",
        "residuals.{}.norm": "{}.layer_norm",
    }
    cross = {
        **{f"cross.{ours}": f"1.EncDecAttention.{name}" for ours, name in _ATTENTION.items()},
        "residuals.1.norm": "1.layer_norm",
    }
    names = {"embedding": "shared", "projection": "lm_head"}
    for part, last, modules in (("encoder", 1, common), ("decoder", 2, cross | common)):
        for ours, theirs in modules.items():
            names[f"{part}.*.{ours}".format(last)] = f"{part}.block.*.layer.{theirs}".format(last)
        table = f"{part}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
        names |= {f"{part}_norm": f"{part}.final_layer_norm", f"{part}_distances": table}
    return names


def _scaled(form: Form) -> bool:
    """Whether rows are scaled before the logits: where not said otherwise, if the table is tied."""
    return flag("scale_decoder_outputs", flag("tie_word_embeddings", True).read(form)).read(form)


def _decoder_layers(form: Form) -> int:
    whole = count("num_layers", most=DEEPEST).read(form)
    return count("num_decoder_layers", whole, most=DEEPEST).read(form)


def _copies(config: T5Config) -> dict[str, str]:
    names = ["encoder.embed_tokens.weight", "decoder.embed_tokens.weight"]
    return dict.fromkeys(names + ["lm_head.weight"] * config.tied, "shared.weight")


def _settled(config: T5Config, arrays: Mapping[str, np.ndarray]) -> T5Config:
    """Untied, if there is a projection of its own and rows are not scaled.

    Transformers calls every T5 tied since its version 5, and then goes by the tensors.
    """
    own, table = arrays.get("lm_head.weight"), arrays.get("shared.weight")
    if config.scaled or own is None or table is None or np.array_equal(own, table):
        return config
    return replace(config, tied=False)


T5 = Family(
    config=T5Config,
    model=t5.T5,
    fields={
        "vocabulary": count("vocab_size"),
        "width": count("d_model"),
        "encoder_layers": count("num_layers", most=DEEPEST),
        "decoder_layers": Field(
            "num_decoder_layers",
            _decoder_layers,
            lambda value, config: {"num_decoder_layers": value},
        ),
        "heads": count("num_heads"),
        "head_size": count("d_kv"),
        "feed_forward": count("d_ff"),
        "activation": choice("feed_forward_proj", _NETWORKS, "relu"),
        "buckets": count("relative_attention_num_buckets", 32),
        "max_distance": count("relative_attention_max_distance", 128),
        "epsilon": rate("layer_norm_epsilon", 1e-6),
        "dropout": rate("dropout_rate", 0.1),
        "tied": flag("tie_word_embeddings", True),
        "scaled": Field(
            "scale_decoder_outputs", _scaled, lambda value, config: {"scale_decoder_outputs": value}
        ),
        "padding": count("pad_token_id", 0, least=0),
    },
    names=_names,
    architecture="T5ForConditionalGeneration",
    copies=_copies,
    settled=_settled,
    must={"is_encoder_decoder": True, "quantization_config": {}},
    # Early versions kept one for the attention to the source, which never had any use for it.
    left_out=r"decoder\.block\.0\.layer\.1\.EncDecAttention\.relative_attention_bias\.weight",
)
