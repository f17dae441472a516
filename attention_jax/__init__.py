"""attention_jax: the laboratory for attention in JAX.

The pure functions are here at once: `aj.attend`, `aj.explain`, `aj.scaled_dot`, `aj.Causal()`.
Models, training and data are loaded when they are first named, so that importing costs little more
than jax.
"""

import importlib
from typing import TYPE_CHECKING, Any

from attention_jax import functional
from attention_jax.functional import *  # noqa: F403 - this module only hands names on

if TYPE_CHECKING:  # the same names as in _LATER, for editors and type checkers
    from attention_jax.data import Batch, DataConfig, Tokenizer, load_corpus
    from attention_jax.decoding import DecodingConfig, Translator
    from attention_jax.experiment import Experiment, load, resume, run
    from attention_jax.models.transformer import PRESETS, Transformer, TransformerConfig
    from attention_jax.modules import MultiHeadAttention
    from attention_jax.training.loop import TrainingConfig
    from attention_jax.training.optimizer import OptimizerConfig

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

__all__ = [
    "Batch",
    "DataConfig",
    "DecodingConfig",
    "Experiment",
    "MultiHeadAttention",
    "OptimizerConfig",
    "PRESETS",
    "Tokenizer",
    "TrainingConfig",
    "Transformer",
    "TransformerConfig",
    "Translator",
    "load",
    "load_corpus",
    "resume",
    "run",
]
__all__ += functional.__all__


def __getattr__(name: str) -> Any:
    """Loads the parts that need more than jax."""
    if name not in _LATER:
        raise AttributeError(f"module 'attention_jax' has no attribute {name!r}")
    return getattr(importlib.import_module(f"attention_jax.{_LATER[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
