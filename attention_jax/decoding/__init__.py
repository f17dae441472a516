"""From a trained model to text: greedy and beam search over one cache, and whole translations."""

from attention_jax.decoding.beam import beam, gather_rows
from attention_jax.decoding.greedy import Step, greedy
from attention_jax.decoding.translate import DecodingConfig, Translator

__all__ = ["DecodingConfig", "Step", "Translator", "beam", "gather_rows", "greedy"]
