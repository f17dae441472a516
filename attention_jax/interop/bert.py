"""The BERT family: what its members call their sizes and their tensors.

Source: Devlin et al. 2019 (BERT); Liu et al. 2019 (RoBERTa), Conneau et al. 2020 (XLM-RoBERTa) and
Martin et al. 2020 (CamemBERT), which differ in where positions begin; Sanh et al. 2019
(DistilBERT), which tells no types of tokens apart and has other names.
"""

from collections.abc import Mapping
from typing import Any

from attention_jax.interop.family import Family, View
from attention_jax.interop.fields import DEEPEST, GELUS, Field, always, choice, count, rate
from attention_jax.models.encoder_only import EncoderOnly
from attention_jax.models.encoder_only_config import EncoderOnlyConfig

_MUST = {
    "position_embedding_type": "absolute",
    "is_decoder": False,
    "is_encoder_decoder": False,
    "add_cross_attention": False,
    "pruned_heads": {},
    "quantization_config": {},
}
_LEFT_OUT = (
    r"embeddings\.position_ids|(pooler|cls|lm_head|classifier|pre_classifier|qa_outputs"
    r"|vocab_transform|vocab_layer_norm|vocab_projector)\..+"
)
"""What stands behind the last layer, and a count of the positions that early versions kept."""


def _context(skips: bool, usual_padding: int) -> Field:
    """How many tokens there are positions for; RoBERTa's begin behind the padding's number."""

    def read(form: Mapping[str, Any]) -> int:
        found = count("max_position_embeddings").read(form)
        if not skips:
            return found
        padding = count("pad_token_id", usual_padding, least=0).read(form)
        if found <= padding + 1:
            raise ValueError(
                f"max_position_embeddings is {found}; more than {padding + 1} would fit, as "
                f"positions begin behind pad_token_id, {padding}"
            )
        return found - padding - 1

    def write(value: int, config: EncoderOnlyConfig) -> dict[str, Any]:
        return {"max_position_embeddings": value + (config.padding + 1 if skips else 0)}

    return Field("max_position_embeddings", read, write)


_BERT_FIELDS = {
    "vocabulary": count("vocab_size"),
    "width": count("hidden_size"),
    "layers": count("num_hidden_layers", most=DEEPEST),
    "heads": count("num_attention_heads"),
    "feed_forward": count("intermediate_size"),
    "types": count("type_vocab_size"),
    "activation": choice("hidden_act", GELUS, "gelu"),
    "epsilon": rate("layer_norm_eps", EncoderOnlyConfig.epsilon),
    "dropout": rate("hidden_dropout_prob", EncoderOnlyConfig.dropout),
}
_TABLES = {
    "embedding": "embeddings.word_embeddings",
    "positions": "embeddings.position_embeddings.weight",
    "types": "embeddings.token_type_embeddings.weight",
    "norm": "embeddings.LayerNorm",
}
_BERT_NAMES = _TABLES | {
    "layers.*.attention.query": "encoder.layer.*.attention.self.query",
    "layers.*.attention.key": "encoder.layer.*.attention.self.key",
    "layers.*.attention.value": "encoder.layer.*.attention.self.value",
    "layers.*.attention.output": "encoder.layer.*.attention.output.dense",
    "layers.*.residuals.0.norm": "encoder.layer.*.attention.output.LayerNorm",
    "layers.*.feed_forward.expand": "encoder.layer.*.intermediate.dense",
    "layers.*.feed_forward.contract": "encoder.layer.*.output.dense",
    "layers.*.residuals.1.norm": "encoder.layer.*.output.LayerNorm",
}
_DISTIL_FIELDS = {
    "vocabulary": count("vocab_size"),
    "width": count("dim"),
    "layers": count("n_layers", most=DEEPEST),
    "heads": count("n_heads"),
    "feed_forward": count("hidden_dim"),
    "types": always(0),
    "activation": choice("activation", GELUS, "gelu"),
    "epsilon": always(1e-12),
    "dropout": rate("dropout", EncoderOnlyConfig.dropout),
}
_DISTIL_NAMES = _TABLES | {
    "layers.*.attention.query": "transformer.layer.*.attention.q_lin",
    "layers.*.attention.key": "transformer.layer.*.attention.k_lin",
    "layers.*.attention.value": "transformer.layer.*.attention.v_lin",
    "layers.*.attention.output": "transformer.layer.*.attention.out_lin",
    "layers.*.residuals.0.norm": "transformer.layer.*.sa_layer_norm",
    "layers.*.feed_forward.expand": "transformer.layer.*.ffn.lin1",
    "layers.*.feed_forward.contract": "transformer.layer.*.ffn.lin2",
    "layers.*.residuals.1.norm": "transformer.layer.*.output_layer_norm",
}


def _member(
    prefix: str,
    architecture: str,
    fields: Mapping[str, Field] = _BERT_FIELDS,
    names: Mapping[str, str] = _BERT_NAMES,
    padding: int = 0,
    skips: bool = False,
) -> Family:
    before = (lambda config: config.padding + 1) if skips else (lambda config: 0)
    return Family(
        config=EncoderOnlyConfig,
        model=EncoderOnly,
        fields={
            **fields,
            "context": _context(skips, padding),
            "padding": count("pad_token_id", padding, least=0),
        },
        names=lambda config: names,
        architecture=architecture,
        prefix=prefix,
        views=lambda config: {"embeddings.position_embeddings.weight": View(before=before(config))},
        must=_MUST,
        left_out=_LEFT_OUT,
    )


_ROBERTA: dict[str, Any] = {"prefix": "roberta.", "padding": 1, "skips": True}
BERT: Mapping[str, Family] = {
    "bert": _member("bert.", "BertModel"),
    "roberta": _member(architecture="RobertaModel", **_ROBERTA),
    "xlm-roberta": _member(architecture="XLMRobertaModel", **_ROBERTA),
    "camembert": _member(architecture="CamembertModel", **_ROBERTA),
    "distilbert": _member("distilbert.", "DistilBertModel", _DISTIL_FIELDS, _DISTIL_NAMES),
}
"""By what config.json calls the kind: its model_type."""
