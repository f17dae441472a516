"""Small models of every kind of folder, and folders of them, as they are saved here."""

import json
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from attention_jax.interop import read_tensors, write_tensors
from attention_jax.interop.families import FAMILIES
from attention_jax.interop.huggingface import Marks, save
from attention_jax.models.decoder_only_config import DecoderOnlyConfig
from attention_jax.models.encoder_only_config import EncoderOnlyConfig
from attention_jax.models.marian_config import MarianConfig
from attention_jax.models.t5_config import T5Config
from attention_jax.models.vision_config import VisionConfig
from attention_jax.training.step import split
from tests.interop.made_folders import byte_pieces

BERT = EncoderOnlyConfig(19, width=8, layers=2, heads=2, feed_forward=12, context=9, types=2)
GPT2 = DecoderOnlyConfig(
    vocabulary=262, width=8, layers=2, heads=2, feed_forward=12, bias=True, context=40, padding=7
)
LLAMA = DecoderOnlyConfig(
    vocabulary=262,
    width=8,
    layers=2,
    heads=4,
    key_value_heads=2,
    feed_forward=12,
    positions="rotary",
    norm="rms",
    activation="swiglu",
    tied=False,
    base=500.0,
    padding=-1,
)
MARIAN = MarianConfig(
    262, None, 8, 1, 2, encoder_heads=2, decoder_heads=4, encoder_feed_forward=12, padding=261
)
T5 = T5Config(262, 8, 2, 1, heads=2, head_size=3, feed_forward=12, buckets=8, padding=261)
VIT = VisionConfig(
    picture_height=8, picture_width=8, channels=3, width=8, layers=1, heads=2, classes=3
)
SAVED: dict[str, Any] = {
    "bert": BERT,
    "roberta": replace(BERT, padding=1, types=1, activation="relu"),
    "distilbert": replace(BERT, types=0, activation="gelu_tanh"),
    "gpt2": GPT2,
    "llama": LLAMA,
    "llama, biased": replace(
        LLAMA, bias=True, qkv_bias=False, output_bias=False, head_size=6, padding=3, tied=True
    ),
    "mistral": replace(LLAMA, window=3),
    "qwen2": replace(LLAMA, qkv_bias=True, tied=True),
    "qwen2, window": replace(LLAMA, qkv_bias=True, window=2),
    "marian": MARIAN,
    "marian, two tables": replace(MARIAN, tied=False, target_vocabulary=31),
    "t5": T5,
    "t5, 1.1": replace(T5, tied=False, scaled=False, activation="gated_gelu"),
    "vit": VIT,
    "vit, features, wide": replace(VIT, classes=0, qkv_bias=False, picture_width=12),
}
"""By the kind of folder."""
MARKS = Marks(begin=0, start=2, ends=(2,), last=2)


def made(config, seed=0):
    """A model of that config, every parameter of which is random."""
    kind = next(one for one in FAMILIES.values() if isinstance(config, one.config)).model
    graph, shapes = split(nnx.eval_shape(lambda: kind(config, rngs=nnx.Rngs(0))))
    draw = np.random.default_rng(seed).normal
    return nnx.merge(graph, jax.tree.map(lambda x: jnp.float32(draw(0, 0.4, x.shape)), shapes))


def held(model):
    """The parameters by path."""
    flat = nnx.to_flat_state(nnx.state(model, nnx.Param))
    return {path: np.asarray(variable.get_value()) for path, variable in flat}


def saved(folder, name="llama", **options):
    """A folder of a kind with a tokenizer, and its config.json."""
    model = made(SAVED[name])
    save(folder, model, byte_pieces(), kind=name.split(",")[0], marks=MARKS, **options)
    return json.loads((folder / "config.json").read_text())


def respoken(folder, **changes):
    """The folder with another config.json; None leaves a field out."""
    path = folder / "config.json"
    form = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({name: x for name, x in form.items() if x is not None}))
    return folder


def refilled(folder, change):
    """The folder with other tensors."""
    path = folder / "model.safetensors"
    arrays = read_tensors(path)
    change(arrays)
    write_tensors(path, arrays)
    return folder
