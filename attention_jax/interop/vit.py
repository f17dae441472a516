"""The Vision Transformer: what its folders call its sizes and its tensors.

Source: Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words".
"""

from collections.abc import Callable
from typing import Any

from attention_jax.interop.family import Family, View
from attention_jax.interop.fields import (
    DEEPEST,
    GELUS,
    Field,
    Form,
    always,
    choice,
    count,
    flag,
    rate,
    whole,
)
from attention_jax.models.vision import VisionTransformer
from attention_jax.models.vision_config import VisionConfig

_NAMES = {
    "patches": "embeddings.patch_embeddings.projection",
    "token": "embeddings.cls_token",
    "positions": "embeddings.position_embeddings",
    "layers.*.residuals.0.norm": "encoder.layer.*.layernorm_before",
    "layers.*.attention.query": "encoder.layer.*.attention.attention.query",
    "layers.*.attention.key": "encoder.layer.*.attention.attention.key",
    "layers.*.attention.value": "encoder.layer.*.attention.attention.value",
    "layers.*.attention.output": "encoder.layer.*.attention.output.dense",
    "layers.*.residuals.1.norm": "encoder.layer.*.layernorm_after",
    "layers.*.feed_forward.expand": "encoder.layer.*.intermediate.dense",
    "layers.*.feed_forward.contract": "encoder.layer.*.output.dense",
    "norm": "layernorm",
    "head": "classifier",
}
_WITH_CLASSES = "ViTForImageClassification"


def labels_of(form: Form) -> list[str]:
    """What a picture may show, by the numbers of the classes; none where the model tells none.

    Raises:
      ValueError: the names are not those of the numbers 0, 1 and so on.
    """
    if form.get("architectures") != [_WITH_CLASSES]:
        return []
    found = form.get("id2label")
    if found is None:
        return [f"LABEL_{n}" for n in range(count("num_labels", 2, most=2**16).read(form))]
    fits = isinstance(found, dict) and all(isinstance(name, str) for name in found.values())
    if not fits or not found or set(found) != {str(n) for n in range(len(found))}:
        raise ValueError(f"id2label is {found!r:.60}; names of the numbers from 0 up would fit")
    return [found[str(n)] for n in range(len(found))]


def labelled(labels: list[str]) -> dict[str, Any]:
    """What a config.json says of classes."""
    if not labels:
        return {"architectures": ["ViTModel"]}
    by_number = {str(n): label for n, label in enumerate(labels)}
    numbers = {label: n for n, label in enumerate(labels)}
    return {"architectures": [_WITH_CLASSES], "id2label": by_number, "label2id": numbers}


def _pixels(name: str, usual: int, axis: int) -> Callable[[Form], int]:
    """From a config.json to a number of pixels, one for both directions or one for each."""

    def read(form: Form) -> int:
        found = form.get(name, usual)
        if isinstance(found, list):
            if len(found) != 2:
                raise ValueError(f"{name} is {found!r:.60}; a number, or two, would fit")
            found = found[axis]
        return whole(name, found, least=1)

    return read


def _patch(form: Form) -> int:
    sizes = [_pixels("patch_size", 16, axis)(form) for axis in range(2)]
    if sizes[0] != sizes[1]:
        raise ValueError(f"patch_size is {sizes}; one number, or the same twice, would fit")
    return sizes[0]


def _write_size(value: int, config: VisionConfig) -> dict[str, Any]:
    height, width = config.picture_height, config.picture_width
    return {"image_size": height if height == width else [height, width]}


def _views(config: VisionConfig) -> dict[str, View]:
    """A convolution's kernel is our map of a square's pixels, with the axes in another order."""
    square = config.patch, config.patch, config.channels, config.width
    return {
        "embeddings.patch_embeddings.projection.weight": View(square, (3, 2, 0, 1)),
        "embeddings.cls_token": View((1, 1, config.width)),
        "embeddings.position_embeddings": View((1, config.rows, config.width)),
    }


VIT = Family(
    config=VisionConfig,
    model=VisionTransformer,
    fields={
        "picture_height": Field("image_size", _pixels("image_size", 224, 0), _write_size),
        "picture_width": Field("image_size", _pixels("image_size", 224, 1), _write_size),
        "channels": count("num_channels", 3),
        "patch": Field("patch_size", _patch, lambda value, config: {"patch_size": value}),
        "width": count("hidden_size"),
        "layers": count("num_hidden_layers", most=DEEPEST),
        "heads": count("num_attention_heads"),
        "feed_forward": count("intermediate_size"),
        "classes": Field(
            "id2label",
            lambda form: len(labels_of(form)),
            lambda value, config: labelled([f"LABEL_{n}" for n in range(value)]),
        ),
        "activation": choice("hidden_act", GELUS, "gelu"),
        "qkv_bias": flag("qkv_bias", True),
        "epsilon": rate("layer_norm_eps", 1e-12),
        "dropout": rate("hidden_dropout_prob", 0.0),
        "summary": always("class_token"),
        "positions": always("learned"),
    },
    names=lambda config: _NAMES,
    architecture=_WITH_CLASSES,
    prefix="vit.",
    outside=("classifier",),
    views=_views,
    must={"quantization_config": {}, "pruned_heads": {}},
    left_out=r"pooler\..+|embeddings\.mask_token",
)
