"""Models, one paper a file."""

from attention_jax.models.transformer import PRESETS, Cache, Transformer, TransformerConfig

__all__ = ["PRESETS", "Cache", "Transformer", "TransformerConfig"]
