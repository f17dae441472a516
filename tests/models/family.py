"""Every kind of model from source to target and its main variants, small: what shared tests run on.

A new kind is an entry or a few here, and so joins `test_family`, `test_family_configs`,
`test_padding`, `test_reversal` and `tests/test_family_runs`.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from flax import nnx

from attention_jax.models import kinds
from attention_jax.models.bahdanau import BahdanauConfig
from attention_jax.models.convolutional import ConvolutionalConfig
from attention_jax.models.decoder_only import DecoderOnlyConfig
from attention_jax.models.intra_attention import IntraAttentionConfig
from attention_jax.models.luong import LuongConfig
from attention_jax.models.marian import MarianConfig
from attention_jax.models.rnn_seq2seq import RnnSeq2SeqConfig
from attention_jax.models.summarise import SummariseConfig
from attention_jax.models.t5 import T5Config
from attention_jax.models.transformer import TransformerConfig
from attention_jax.models.universal import UniversalConfig
from attention_jax.training.step import split

TRANSFORMER = TransformerConfig(
    vocabulary=23, width=16, encoder_layers=2, decoder_layers=1, heads=4, feed_forward=24
)
RNN = RnnSeq2SeqConfig(vocabulary=23, width=16)
BAHDANAU = BahdanauConfig(vocabulary=23, width=16)
LUONG = LuongConfig(vocabulary=23, width=16)
INTRA = IntraAttentionConfig(vocabulary=23, width=16)
CONVOLUTIONAL = ConvolutionalConfig(
    vocabulary=23, width=16, encoder_layers=2, decoder_layers=2, positions=12
)
DECODER_ONLY = DecoderOnlyConfig(
    vocabulary=23, width=16, layers=2, heads=4, feed_forward=24, context=32
)
SUMMARISE = SummariseConfig(
    vocabulary=23,
    width=16,
    heads=4,
    feed_forward=24,
    sights=("local", "compressed"),
    block=5,
    slot=2,
    tied=False,
)
UNIVERSAL = UniversalConfig(
    vocabulary=23, width=16, encoder_steps=2, decoder_steps=2, heads=4, feed_forward=24
)
MARIAN = MarianConfig(
    vocabulary=23,
    width=16,
    encoder_layers=2,
    decoder_layers=1,
    encoder_heads=4,
    decoder_heads=2,
    encoder_feed_forward=24,
    decoder_feed_forward=20,
)
T5 = T5Config(
    vocabulary=23,
    width=16,
    encoder_layers=2,
    decoder_layers=1,
    heads=4,
    head_size=6,
    feed_forward=24,
    buckets=6,
    max_distance=5,
)

FAMILY: dict[str, Any] = {
    "transformer": TRANSFORMER,
    "transformer, pre-norm": replace(TRANSFORMER, norm="pre"),
    "transformer, untied": replace(TRANSFORMER, tied=False),
    "transformer, pre-norm, untied": replace(TRANSFORMER, norm="pre", tied=False),
    "transformer, one head": replace(TRANSFORMER, heads=1),
    "transformer, grouped": replace(TRANSFORMER, key_value_heads=2, tied=False),
    "transformer, one key": replace(TRANSFORMER, key_value_heads=1),
    "transformer, small heads": replace(TRANSFORMER, heads=3, head_size=2, output_bias=True),
    "transformer, pruned": replace(
        TRANSFORMER, encoder_heads=(4, 0), decoder_heads=(2,), cross_heads=(3,)
    ),
    "transformer, no positions": replace(TRANSFORMER, positions="none"),
    "transformer, relative, grouped": replace(
        TRANSFORMER, positions="relative", reach=3, key_value_heads=2
    ),
    "transformer, t5": replace(TRANSFORMER, positions="t5", reach=2),
    "transformer, rotary, pre-norm": replace(TRANSFORMER, positions="rotary", norm="pre"),
    "transformer, alibi": replace(TRANSFORMER, positions="alibi", tied=False),
    "rnn_seq2seq": RNN,
    "rnn_seq2seq, elman, both directions": replace(
        RNN, cell="elman", bidirectional=True, reverse_source=False
    ),
    "rnn_seq2seq, gru, two layers, tied": replace(RNN, cell="gru", layers=2, tied=True),
    "rnn_seq2seq, vector at every step": replace(
        RNN, cell="gru_before", context="every", embedding=12, bidirectional=True
    ),
    "rnn_seq2seq, lstm, deep": replace(
        RNN, context="every", layers=2, bidirectional=True, tied=True
    ),
    "bahdanau": BAHDANAU,
    "bahdanau, untied": replace(BAHDANAU, tied=False, embedding=12, alignment=8, readout=10),
    "luong": LUONG,
    "luong, local-p": replace(LUONG, attention="local_p", reach=2, input_feeding=False),
    "luong, local-m, location": replace(LUONG, attention="local_m", reach=2, score="location"),
    "luong, dot, two layers, reversed, untied": replace(
        LUONG, score="dot", layers=2, reverse_source=True, tied=False
    ),
    "luong, concat, both directions, untied": replace(
        LUONG, score="concat", bidirectional=True, input_feeding=False, embedding=12, tied=False
    ),
    "intra_attention": INTRA,
    "intra_attention, deep, two layers": replace(INTRA, fusion="deep", layers=2, embedding=12),
    "intra_attention, narrow, tied": replace(INTRA, attention=8, tied=True),
    "convolutional": CONVOLUTIONAL,
    "convolutional, wide, tied": replace(CONVOLUTIONAL, kernel=4, embedding=12, tied=True),
    "decoder_only": DECODER_ONLY,
    "decoder_only, untied, biased": replace(DECODER_ONLY, tied=False, bias=True, head_size=2),
    "decoder_only, modern": replace(
        DECODER_ONLY,
        positions="rotary",
        norm="rms",
        activation="swiglu",
        key_value_heads=2,
        tied=False,
        window=6,
    ),
    "summarise": SUMMARISE,
    "summarise, every sight, tied": replace(
        SUMMARISE, sights=("compressed", "full", "local"), slot=3, tied=True
    ),
    "universal": UNIVERSAL,
    "universal, halting": replace(UNIVERSAL, halting="act", decoder_steps=3),
    "universal, halting, pre-norm, relative, untied": replace(
        UNIVERSAL, halting="act", norm="pre", positions="relative", reach=3, tied=False
    ),
    "marian": MARIAN,
    "marian, two tables": replace(MARIAN, tied=False, scaled=False, activation="gelu"),
    "t5": T5,
    "t5, 1.1": replace(T5, tied=False, scaled=False, activation="gated_gelu"),
}
"""Configs by name; that of a kind alone is its plain one."""

FADING = ("luong, local-p",)
"""their weights fade with the distance: rows sum to less than one"""

KINDS = tuple(name for name in FAMILY if "," not in name)

QUICK = (*KINDS, "transformer, pre-norm, untied")
"""the others' turn comes in the slow tests"""

SOURCE = np.array([[5, 6, 7, 8, 2, 0, 0], [9, 4, 2, 0, 0, 0, 0], [3, 4, 5, 6, 7, 8, 2]], np.int32)
TARGET = np.array([[1, 11, 12, 13, 0], [1, 14, 15, 3, 9], [1, 4, 0, 0, 0]], np.int32)
LABELS = np.array([[11, 12, 13, 2, 0], [14, 15, 3, 9, 2], [4, 2, 0, 0, 0]], np.int32)


def in_turn(names: Any, quick: Any = QUICK, slow: Any = None) -> list[Any]:
    """Parameters of a test: what is not quick is slow, and what is not in `slow` exhaustive too."""

    def marks(name: str) -> Any:
        if name in quick:
            return ()
        rare = slow is not None and name not in slow
        return (pytest.mark.slow, pytest.mark.exhaustive) if rare else pytest.mark.slow

    return [pytest.param(name, marks=marks(name)) for name in names]


def build(config: Any, seed: int = 0) -> Any:
    """The model of a config."""
    return kinds.build(config, rngs=nnx.Rngs(seed))


def structure(config: Any) -> nnx.GraphDef:
    """Its structure, made without arrays: `nnx.merge(structure, parameters)` is the model."""
    return split(nnx.eval_shape(lambda: build(config)))[0]


def parameters(config: Any, seed: int = 0) -> Any:
    """Its parameters as nested dicts."""
    return split(build(config, seed))[1]


def bits(array: Any) -> np.ndarray:
    """An array as the numbers that its bits are."""
    array = np.asarray(array)
    return array.view(f"u{array.dtype.itemsize}")
