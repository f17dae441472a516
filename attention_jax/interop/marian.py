"""Marian, and so OPUS-MT: what its folders call its sizes and its tensors.

Source: Junczys-Dowmunt et al. 2018, "Marian"; Tiedemann and Thottingal 2020, "OPUS-MT".
"""

from attention_jax.interop.family import Family, View
from attention_jax.interop.fields import DEEPEST, Field, Form, choice, count, flag, rate
from attention_jax.models.marian import Marian
from attention_jax.models.marian_config import MarianConfig

_ATTENTION = {"query": "q_proj", "key": "k_proj", "value": "v_proj", "output": "out_proj"}
_ENCODER = {
    **{f"attention.{ours}": f"self_attn.{theirs}" for ours, theirs in _ATTENTION.items()},
    "residuals.0.norm": "self_attn_layer_norm",
    "feed_forward.expand": "fc1",
    "feed_forward.contract": "fc2",
    "residuals.1.norm": "final_layer_norm",
}
_DECODER = {
    **_ENCODER,
    **{f"cross.{ours}": f"encoder_attn.{theirs}" for ours, theirs in _ATTENTION.items()},
    "residuals.1.norm": "encoder_attn_layer_norm",
    "residuals.2.norm": "final_layer_norm",
}
_NAMES = {
    "embedding": "shared",
    "source_embedding": "encoder.embed_tokens",
    "target_embedding": "decoder.embed_tokens",
    "output_bias": "final_logits_bias",
    **{f"encoder.*.{ours}": f"encoder.layers.*.{name}" for ours, name in _ENCODER.items()},
    **{f"decoder.*.{ours}": f"decoder.layers.*.{name}" for ours, name in _DECODER.items()},
}
_ACTIVATIONS = {
    "swish": "silu",
    "silu": "silu",
    "relu": "relu",
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
}


def _target_vocabulary(form: Form) -> int | None:
    """How many tokens the target has, where they are not as many as the source's."""
    joint = count("vocab_size").read(form)
    found = count("decoder_vocab_size", joint).read(form)
    return None if found == joint else found


def _copies(config: MarianConfig) -> dict[str, str]:
    if not config.tied:
        return {"lm_head.weight": "decoder.embed_tokens.weight"}
    names = "encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight"
    return dict.fromkeys(names, "shared.weight")


MARIAN = Family(
    config=MarianConfig,
    model=Marian,
    fields={
        "vocabulary": count("vocab_size"),
        "target_vocabulary": Field(
            "decoder_vocab_size",
            _target_vocabulary,
            lambda value, config: {} if value is None else {"decoder_vocab_size": value},
        ),
        "width": count("d_model"),
        "encoder_layers": count("encoder_layers", most=DEEPEST),
        "decoder_layers": count("decoder_layers", most=DEEPEST),
        "encoder_heads": count("encoder_attention_heads"),
        "decoder_heads": count("decoder_attention_heads"),
        "encoder_feed_forward": count("encoder_ffn_dim"),
        "decoder_feed_forward": count("decoder_ffn_dim"),
        "activation": choice("activation_function", _ACTIVATIONS, "gelu"),
        "context": count("max_position_embeddings", 1_024),
        "dropout": rate("dropout", 0.1),
        "scaled": flag("scale_embedding", False),
        "tied": flag("share_encoder_decoder_embeddings", True),
        "padding": count("pad_token_id", least=0),
    },
    names=lambda config: _NAMES,
    architecture="MarianMTModel",
    prefix="model.",
    outside=("lm_head", "final_logits_bias"),
    views=lambda config: {
        "final_logits_bias": View(shape=(1, config.target_vocabulary or config.vocabulary))
    },
    copies=_copies,
    must={
        "is_encoder_decoder": True,
        "tie_word_embeddings": True,
        "static_position_embeddings": True,
        "normalize_before": False,
        "normalize_embedding": False,
        "add_final_layer_norm": False,
        "add_bias_logits": False,
        "quantization_config": {},
    },
    left_out=r"(encoder|decoder)\.embed_positions\.weight",  # sines, which early versions kept
)
