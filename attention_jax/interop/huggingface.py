"""Pretrained models from folders as Hugging Face's transformers writes them, and back to them.

A folder holds config.json, model.safetensors (or an index of several) and tokenizer.json. Whoever
made it may lie in all of them: everything is checked, and nothing of it is run. There is no torch
in it.
"""

import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from attention_jax.interop.continuing import to_the_front
from attention_jax.interop.decoders import PretrainedDecoder
from attention_jax.interop.encoders import Encoded, Pretrained
from attention_jax.interop.families import FAMILIES, config_of, family_of, kind_of
from attention_jax.interop.family import written
from attention_jax.interop.folders import (
    CONFIG,
    GENERATION,
    TENSORS,
    TOKENIZER,
    about,
    file_of,
    folder_of,
    name_of,
    read_config,
    tensors_of,
)
from attention_jax.interop.marks import Marks, marked, marks_of
from attention_jax.interop.pictures import PretrainedVision
from attention_jax.interop.pieces import read_tokenizer
from attention_jax.interop.seq2seq import PretrainedSeq2Seq
from attention_jax.interop.slots import arranged, named
from attention_jax.interop.tensors import read_tensors, write_tensors
from attention_jax.interop.vit import labelled, labels_of
from attention_jax.models.decoder_only import DecoderOnly
from attention_jax.models.encoder_decoder import EncoderDecoder
from attention_jax.models.encoder_only import EncoderOnly
from attention_jax.models.vision import VisionTransformer
from attention_jax.models.vision_config import VisionConfig

__all__ = [
    "Encoded",
    "Marks",
    "Pretrained",
    "PretrainedDecoder",
    "PretrainedSeq2Seq",
    "PretrainedVision",
    "folder_of",
    "load",
    "save",
    "to_the_front",
]


def load(folder: str | Path, *, tokenizer: bool = True) -> Any:
    """The model that a folder holds.

    Args:
      folder: with config.json, model.safetensors or its index, and tokenizer.json; or the name of
        an installed package that carries one, see `folder_of`.
      tokenizer: whether to read tokenizer.json; without it, the model takes tokens alone.

    Returns:
      By config.json's model_type: `Pretrained` (bert, roberta, xlm-roberta, camembert, distilbert)
      `PretrainedDecoder` (gpt2, llama, mistral, qwen2) or `PretrainedSeq2Seq` (marian, t5).

    Raises:
      ValueError: there is no such folder, a file is missing or damaged, or says what cannot be or
        is not known here; the message names the file and what is wrong with it.
      OSError: a file cannot be read.
    """
    folder = folder_of(folder)
    form = read_config(folder)
    with about(folder / CONFIG):
        family, config, marks = family_of(form), config_of(form), marks_of(form)
    if (folder / GENERATION).exists():
        with about(folder / GENERATION):
            marks = marks_of({**form, **read_config(folder, GENERATION)})
    engine = None
    if tokenizer and family.config is not VisionConfig:
        engine = read_tokenizer(file_of(folder, TOKENIZER), config.vocabulary)
    tensors = tensors_of(folder)
    with about(tensors):
        found = read_tensors(tensors)
        config = family.settled(config, found)
    graph, shapes = nnx.split(nnx.eval_shape(lambda: family.model(config, rngs=nnx.Rngs(0))))
    by_path = dict(nnx.to_flat_state(shapes))
    with about(tensors):
        sizes = {path: variable.get_value().shape for path, variable in by_path.items()}
        arrays = arranged(family, config, found, sizes)
    params = nnx.from_flat_state(
        {path: variable.replace(jnp.asarray(arrays[path])) for path, variable in by_path.items()}
    )
    model = nnx.merge(graph, params)
    if isinstance(model, EncoderOnly):
        return Pretrained(name_of(folder), model, engine)
    if isinstance(model, VisionTransformer):
        return PretrainedVision(name_of(folder), model, tuple(labels_of(form)))
    if isinstance(model, EncoderDecoder):
        return PretrainedSeq2Seq(name_of(folder), model, engine, marks)
    return PretrainedDecoder(name_of(folder), model, engine, marks)


def save(
    folder: str | Path,
    model: EncoderOnly | DecoderOnly | EncoderDecoder | VisionTransformer,
    tokenizer: Any = None,
    *,
    kind: str | None = None,
    marks: Marks | None = None,
    labels: Sequence[str] = (),
) -> Path:
    """Writes a model as a folder that transformers, and `load`, read.

    Args:
      folder: where; it appears whole or not at all.
      model: with a config that a kind of folder has words for.
      tokenizer: what has `save(path)` and writes a tokenizer.json by it, as tokenizers of the
        library `tokenizers` and of this package do; None for none.
      kind: a model_type, such as "roberta" or "mistral"; None for the first one that fits.
      marks: tokens that begin and end texts.
      labels: of a model of pictures, a name for each class.

    Returns:
      The folder.

    Raises:
      ValueError: something is there already, no folder of the kind says what the model's config
        does, or a parameter is no finite number.
      OSError: it cannot be written.
    """
    folder = Path(folder)
    if folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
        raise ValueError(f"{folder} is there already; a new folder, or an empty one, would fit")
    writes = isinstance(model, DecoderOnly | EncoderDecoder)
    kind, form = _form_of(model, kind, marked(marks or Marks()) if writes else {})
    if labels:
        form |= _labelled(model, labels)
    params = {
        path: np.asarray(variable.get_value(), np.float32)
        for path, variable in nnx.to_flat_state(nnx.state(model, nnx.Param))
    }
    for path, array in params.items():
        if not np.isfinite(array).all():
            raise ValueError(f"{'.'.join(map(str, path))} holds what is no finite number")
    arrays = named(FAMILIES[kind], model.config, params)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as workshop:
        made = Path(workshop) / "made"
        made.mkdir()
        write_tensors(made / TENSORS[0], arrays, {"format": "pt"})  # which transformers asks for
        (made / CONFIG).write_text(json.dumps(form, indent=2, sort_keys=True) + "\n", "utf-8")
        if tokenizer is not None:
            tokenizer.save(str(made / TOKENIZER))
        os.replace(made, folder)
    return folder


def _labelled(model: Any, labels: Sequence[str]) -> dict[str, Any]:
    """What a config.json says of classes, if there is a name for each."""
    classes = getattr(model.config, "classes", 0)
    if len(set(labels)) != classes or len(labels) != classes:
        raise ValueError(
            f"labels are {len(labels)}, {len(set(labels))} of them different; the model has "
            f"{classes} classes, so that {classes} different ones would fit"
        )
    return labelled(list(labels))


def _form_of(model: Any, kind: str | None, marks: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The kind of folder that fits a model, and its config.json."""
    kinds = [kind_of(kind)] if kind is not None else list(FAMILIES)
    kinds = [one for one in kinds if isinstance(model.config, FAMILIES[one].config)]
    reasons = []
    for one in kinds:
        try:
            return one, written(FAMILIES[one], one, model.config, marks)
        except ValueError as error:
            reasons.append(f"{one}: {error}")
    if not reasons:
        raise ValueError(f"no folder of the kind {kind or 'known'} holds a {type(model).__name__}")
    raise ValueError("no kind of folder fits the model: " + "; ".join(reasons))
