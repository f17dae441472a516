"""Flax NNX modules: parameters around the pure functions of `attention_jax.functional`."""

from attention_jax.modules.attention import MultiHeadAttention
from attention_jax.modules.layers import Dense, Embedding, FeedForward, LayerNorm, Residual

__all__ = ["Dense", "Embedding", "FeedForward", "LayerNorm", "MultiHeadAttention", "Residual"]
