"""Flax NNX modules: parameters around the pure functions of `attention_jax.functional`."""

from attention_jax.modules.attention import MultiHeadAttention
from attention_jax.modules.gated import GatedFeedForward, GeluFeedForward
from attention_jax.modules.layers import Dense, Embedding, FeedForward, LayerNorm, Residual
from attention_jax.modules.norms import RMSNorm
from attention_jax.modules.relative import RelativeAttention

__all__ = [
    "Dense",
    "Embedding",
    "FeedForward",
    "GatedFeedForward",
    "GeluFeedForward",
    "LayerNorm",
    "MultiHeadAttention",
    "RMSNorm",
    "RelativeAttention",
    "Residual",
]
