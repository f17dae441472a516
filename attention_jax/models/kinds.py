"""All models that translate, by their configs: what an experiment can train."""

from collections.abc import Mapping
from typing import Any

from flax import nnx

from attention_jax.models.bahdanau import Bahdanau, BahdanauConfig
from attention_jax.models.convolutional import Convolutional, ConvolutionalConfig
from attention_jax.models.decoder_only import DecoderOnly, DecoderOnlyConfig
from attention_jax.models.intra_attention import IntraAttention, IntraAttentionConfig
from attention_jax.models.luong import Luong, LuongConfig
from attention_jax.models.marian import Marian, MarianConfig
from attention_jax.models.rnn_seq2seq import RnnSeq2Seq, RnnSeq2SeqConfig
from attention_jax.models.summarise import Summarise, SummariseConfig
from attention_jax.models.t5 import T5, T5Config
from attention_jax.models.transformer import Transformer, TransformerConfig
from attention_jax.models.universal import Universal, UniversalConfig

ModelConfig = (
    TransformerConfig
    | RnnSeq2SeqConfig
    | BahdanauConfig
    | LuongConfig
    | IntraAttentionConfig
    | ConvolutionalConfig
    | DecoderOnlyConfig
    | SummariseConfig
    | UniversalConfig
    | MarianConfig
    | T5Config
)
"""a config of any model that translates; its field `kind` says which"""

MODELS: Mapping[type, type] = {
    TransformerConfig: Transformer,
    RnnSeq2SeqConfig: RnnSeq2Seq,
    BahdanauConfig: Bahdanau,
    LuongConfig: Luong,
    IntraAttentionConfig: IntraAttention,
    ConvolutionalConfig: Convolutional,
    DecoderOnlyConfig: DecoderOnly,
    SummariseConfig: Summarise,
    UniversalConfig: Universal,
    MarianConfig: Marian,
    T5Config: T5,
}
"""from a config's class to that of its model"""

KINDS: Mapping[str, Any] = {config().kind: config for config in MODELS}
"""from the name of a kind to the class of its configs"""


def build(config: ModelConfig, *, rngs: nnx.Rngs) -> Any:
    """The model of a config, with fresh parameters from `rngs.params`.

    All have a call for training, `start`, `step` and `reorder` for decoding, and `explain`; see
    `Transformer`.
    """
    return MODELS[type(config)](config, rngs=rngs)


def as_transformer(config: ModelConfig) -> TransformerConfig:
    """The config, for what is made for a Transformer and its heads alone.

    Raises:
      ValueError: it is of another kind.
    """
    if not isinstance(config, TransformerConfig):
        raise ValueError(f"model.kind is {config.kind}; this is for the Transformer and its heads")
    return config
