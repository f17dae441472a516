"""The BERT family: what its members call their sizes and their tensors.

Source: Devlin et al. 2019 (BERT); Liu et al. 2019 (RoBERTa), Conneau et al. 2020 (XLM-RoBERTa) and
Martin et al. 2020 (CamemBERT), which differ in where positions begin; Sanh et al. 2019
(DistilBERT), which tells no types of tokens apart and has other names.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from attention_jax.models.encoder_only_config import EncoderOnlyConfig

LARGEST = 2**24
"""of a size; vocabularies have a few hundred thousand tokens"""
DEEPEST = 1_000
"""layers"""
ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
}
MUST = {
    "position_embedding_type": "absolute",
    "is_decoder": False,
    "is_encoder_decoder": False,
    "add_cross_attention": False,
    "pruned_heads": {},
    "quantization_config": {},
}
"""Settings that make another model of it, and the value that does not; one left out does not."""
_LEAVES = {"kernel": "weight", "scale": "weight", "bias": "bias"}
_LEFT_OUT = re.compile(
    r"embeddings\.position_ids|(pooler|cls|lm_head|classifier|pre_classifier|qa_outputs"
    r"|vocab_transform|vocab_layer_norm|vocab_projector)\..+"
)
"""What stands behind the last layer, and a count of the positions that early versions kept."""


@dataclass(frozen=True)
class Family:
    """How one kind of folder says what a model is.

    Attributes:
      prefix: before all names of tensors where the folder holds more than the encoder.
      fields: our config's names of sizes, and the folder's.
      layer: the name of a layer, before its number.
      names: our modules and tables, and the folder's; `layer` stands before those of a layer.
      padding: the token of padding, where the folder does not say.
      skips: positions begin behind the padding token's number.
      defaults: what no field says, by our names.
    """

    prefix: str
    fields: Mapping[str, str]
    layer: str
    names: Mapping[str, str]
    padding: int = 0
    skips: bool = False
    defaults: Mapping[str, Any] = field(default_factory=dict)


_BERT_FIELDS = {
    "vocabulary": "vocab_size",
    "width": "hidden_size",
    "layers": "num_hidden_layers",
    "heads": "num_attention_heads",
    "feed_forward": "intermediate_size",
    "context": "max_position_embeddings",
    "types": "type_vocab_size",
    "activation": "hidden_act",
    "epsilon": "layer_norm_eps",
    "dropout": "hidden_dropout_prob",
}
_TABLES = {
    "embedding.table": "embeddings.word_embeddings.weight",
    "positions": "embeddings.position_embeddings.weight",
    "types": "embeddings.token_type_embeddings.weight",
    "norm": "embeddings.LayerNorm",
}
_BERT_NAMES = _TABLES | {
    "attention.query": "attention.self.query",
    "attention.key": "attention.self.key",
    "attention.value": "attention.self.value",
    "attention.output": "attention.output.dense",
    "residuals.0.norm": "attention.output.LayerNorm",
    "feed_forward.expand": "intermediate.dense",
    "feed_forward.contract": "output.dense",
    "residuals.1.norm": "output.LayerNorm",
}
_ROBERTA = Family("roberta.", _BERT_FIELDS, "encoder.layer", _BERT_NAMES, padding=1, skips=True)
FAMILIES: Mapping[str, Family] = {
    "bert": Family("bert.", _BERT_FIELDS, "encoder.layer", _BERT_NAMES),
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
    "camembert": _ROBERTA,
    "distilbert": Family(
        "distilbert.",
        {
            "vocabulary": "vocab_size",
            "width": "dim",
            "layers": "n_layers",
            "heads": "n_heads",
            "feed_forward": "hidden_dim",
            "context": "max_position_embeddings",
            "activation": "activation",
            "dropout": "dropout",
        },
        "transformer.layer",
        _TABLES
        | {
            "attention.query": "attention.q_lin",
            "attention.key": "attention.k_lin",
            "attention.value": "attention.v_lin",
            "attention.output": "attention.out_lin",
            "residuals.0.norm": "sa_layer_norm",
            "feed_forward.expand": "ffn.lin1",
            "feed_forward.contract": "ffn.lin2",
            "residuals.1.norm": "output_layer_norm",
        },
        defaults={"types": 0, "epsilon": 1e-12},
    ),
}
"""By what config.json calls the kind: its model_type."""


def family_of(form: Mapping[str, Any]) -> Family:
    """The family of a config.json.

    Raises:
      ValueError: it is of another one.
    """
    kind = form.get("model_type")
    if not isinstance(kind, str) or kind not in FAMILIES:
        raise ValueError(f"model_type is {kind!r:.60}; one of {', '.join(FAMILIES)} would fit")
    return FAMILIES[kind]


def config_of(form: Mapping[str, Any]) -> EncoderOnlyConfig:
    """The sizes that a config.json gives, each checked.

    Raises:
      ValueError: a field is missing or is what cannot be; the message names it and what would fit.
    """
    family = family_of(form)
    for name, fits in MUST.items():
        if (said := form.get(name)) is not None and said != fits:
            raise ValueError(f"{name} is {said!r:.60}; {fits!r} would fit, or none")
    found: dict[str, Any] = dict(family.defaults)
    for ours, theirs in family.fields.items():
        if ours in ("epsilon", "dropout"):
            found[ours] = _rate(theirs, form.get(theirs, getattr(EncoderOnlyConfig, ours)))
        elif ours == "activation":
            found[ours] = _activation(theirs, form.get(theirs, "gelu"))
        else:
            found[ours] = _count(theirs, form.get(theirs), DEEPEST if ours == "layers" else LARGEST)
    padding = form.get("pad_token_id")
    padding = family.padding if padding is None else _count("pad_token_id", padding, LARGEST, 0)
    found["context"] -= (skipped := _skipped(family, padding))
    if found["context"] < 1:
        raise ValueError(
            f"max_position_embeddings is {found['context'] + skipped}; more than {skipped} would "
            f"fit, as positions begin behind pad_token_id, {padding}"
        )
    try:
        return EncoderOnlyConfig(**found, padding=padding)
    except ValueError as error:
        fields = {**family.fields, "padding": "pad_token_id"}
        names = ", ".join(f"{theirs} gives {ours}" for ours, theirs in fields.items())
        raise ValueError(f"{error} ({names})") from None


def arranged(
    form: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
    shapes: Mapping[tuple[Any, ...], tuple[int, ...]],
) -> dict[tuple[Any, ...], np.ndarray]:
    """The tensors of a folder as the parameters of our model, in float32.

    Args:
      form: the folder's config.json.
      arrays: all of the folder's tensors by name.
      shapes: of our parameters, by path.

    Raises:
      ValueError: a tensor is missing, has another shape than the sizes say, is not of finite
        numbers, or is one that no member of the family has; the message names it.
    """
    family = family_of(form)
    there = _plain_names(family, arrays)
    taken = {}
    skipped = _skipped(family, config_of(form).padding)
    for path, shape in shapes.items():
        name, turned = _their_name(family, path), path[-1] == "kernel"
        first = skipped if path == ("positions",) else 0
        wanted = shape[::-1] if turned else (shape[0] + first, *shape[1:])
        if name not in there:
            raise ValueError(f"there is no tensor {name}, of shape {list(wanted)}")
        array = there.pop(name)
        if array.shape != wanted:
            raise ValueError(
                f"{name} has shape {list(array.shape)}, and by config.json {list(wanted)}"
            )
        if array.dtype.name not in ("float16", "bfloat16", "float32", "float64"):
            raise ValueError(f"{name} is of {array.dtype}; floating-point numbers would fit")
        with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused
            array = array.astype(np.float32)
        if not np.isfinite(array).all():
            raise ValueError(f"{name} holds what is no finite number in float32")
        taken[path] = array.T if turned else array[first:]
    if unknown := [name for name in there if not _LEFT_OUT.fullmatch(name)]:
        more = f" and {len(unknown) - 3} others" if len(unknown) > 3 else ""
        raise ValueError(
            f"there are tensors that the model has no place for: {', '.join(unknown[:3])}{more}"
        )
    return taken


def _plain_names(family: Family, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The tensors by their newest names, without what stands before all of them."""
    there = {}
    for name, array in arrays.items():
        plain = name.removeprefix(family.prefix)
        plain = re.sub(r"LayerNorm\.gamma$", "LayerNorm.weight", plain)
        plain = re.sub(r"LayerNorm\.beta$", "LayerNorm.bias", plain)
        if plain in there:
            raise ValueError(f"there are two tensors for {plain}, {name} and another")
        there[plain] = array
    return there


def _their_name(family: Family, path: tuple[Any, ...]) -> str:
    """What the folder calls our parameter."""
    before = f"{family.layer}.{path[1]}." if path[0] == "layers" else ""
    parts = [str(part) for part in (path[2:] if before else path)]
    whole = ".".join(parts)
    if whole in family.names:
        return before + family.names[whole]
    return f"{before}{family.names['.'.join(parts[:-1])]}.{_LEAVES[parts[-1]]}"


def _skipped(family: Family, padding: int) -> int:
    """How many rows of positions stand before that of the first token."""
    return padding + 1 if family.skips else 0


def _count(name: str, found: Any, most: int, least: int = 1) -> int:
    # JSON's true is no number, though Python's True is an int.
    if type(found) is not int or not least <= found <= most:
        said = "missing" if found is None else f"{found!r:.60}"
        raise ValueError(f"{name} is {said}; a whole number from {least} to {most:,} would fit")
    return found


def _rate(name: str, found: Any) -> float:
    if type(found) not in (int, float) or not 0 <= found < 1:
        raise ValueError(f"{name} is {found!r:.60}; a number from 0 up to, not including, 1 fits")
    return float(found)


def _activation(name: str, found: Any) -> Any:
    if not isinstance(found, str) or found not in ACTIVATIONS:
        raise ValueError(f"{name} is {found!r:.60}; one of {', '.join(ACTIVATIONS)} would fit")
    return ACTIVATIONS[found]
