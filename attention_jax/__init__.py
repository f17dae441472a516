"""attention_jax: the laboratory for attention in JAX.

The pure functions are here at once: `aj.attend`, `aj.explain`, `aj.scaled_dot`, `aj.Causal()`. Models,
training and data are loaded when they are first named, so that importing costs little more than jax.
"""

import importlib
from typing import Any

from attention_jax.functional import *  # noqa: F403 - the one place that hands names on
from attention_jax.functional import __all__ as _functional

_LATER = {
    "Batch": "data",
    "DataConfig": "data",
    "DecodingConfig": "decoding",
    "Experiment": "experiment",
    "MultiHeadAttention": "modules",
    "OptimizerConfig": "training.optimizer",
    "PRESETS": "models.transformer",
    "Tokenizer": "data",
    "TrainingConfig": "training.loop",
    "Transformer": "models.transformer",
    "TransformerConfig": "models.transformer",
    "Translator": "decoding",
    "load": "experiment",
    "load_corpus": "data",
    "resume": "experiment",
    "run": "experiment",
}

__all__ = [*_functional, *_LATER]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    """Loads the parts that need more than jax."""
    if name not in _LATER:
        raise AttributeError(f"module 'attention_jax' has no attribute {name!r}")
    return getattr(importlib.import_module(f"attention_jax.{_LATER[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
