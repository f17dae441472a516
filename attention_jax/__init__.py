"""attention_jax: the laboratory for attention in JAX.

Everything that a notebook needs is one name away: `aj.attend`, `aj.explain`, `aj.scaled_dot`,
`aj.Causal()`, `aj.Transformer`. Each part is loaded when it is first named, so that importing the
package costs nothing and using its functions costs little more than jax.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the same names as in _HOMES, for editors and type checkers
    from attention_jax.data import Batch, DataConfig, Tokenizer, load_corpus
    from attention_jax.decoding import DecodingConfig, Translator
    from attention_jax.experiment import Experiment, load, resume, run
    from attention_jax.functional import (
        Causal,
        Dense,
        Lengths,
        Mask,
        Plan,
        Prefix,
        Segments,
        Window,
        additive,
        attend,
        dot,
        explain,
        merge_heads,
        plan_attention,
        repeat_groups,
        rotary,
        scaled_dot,
        sinusoidal,
        softmax,
        split_heads,
        visible,
        weigh,
    )
    from attention_jax.models.transformer import PRESETS, Transformer, TransformerConfig
    from attention_jax.modules import MultiHeadAttention
    from attention_jax.training.loop import TrainingConfig
    from attention_jax.training.optimizer import OptimizerConfig

_HOMES = {
    "Batch": "data",
    "Causal": "functional",
    "DataConfig": "data",
    "DecodingConfig": "decoding",
    "Dense": "functional",
    "Experiment": "experiment",
    "Lengths": "functional",
    "Mask": "functional",
    "MultiHeadAttention": "modules",
    "OptimizerConfig": "training.optimizer",
    "PRESETS": "models.transformer",
    "Plan": "functional",
    "Prefix": "functional",
    "Segments": "functional",
    "Tokenizer": "data",
    "TrainingConfig": "training.loop",
    "Transformer": "models.transformer",
    "TransformerConfig": "models.transformer",
    "Translator": "decoding",
    "Window": "functional",
    "additive": "functional",
    "attend": "functional",
    "dot": "functional",
    "explain": "functional",
    "load": "experiment",
    "load_corpus": "data",
    "merge_heads": "functional",
    "plan_attention": "functional",
    "repeat_groups": "functional",
    "resume": "experiment",
    "rotary": "functional",
    "run": "experiment",
    "scaled_dot": "functional",
    "sinusoidal": "functional",
    "softmax": "functional",
    "split_heads": "functional",
    "visible": "functional",
    "weigh": "functional",
}

__all__ = [
    "Batch",
    "Causal",
    "DataConfig",
    "DecodingConfig",
    "Dense",
    "Experiment",
    "Lengths",
    "Mask",
    "MultiHeadAttention",
    "OptimizerConfig",
    "PRESETS",
    "Plan",
    "Prefix",
    "Segments",
    "Tokenizer",
    "TrainingConfig",
    "Transformer",
    "TransformerConfig",
    "Translator",
    "Window",
    "additive",
    "attend",
    "dot",
    "explain",
    "load",
    "load_corpus",
    "merge_heads",
    "plan_attention",
    "repeat_groups",
    "resume",
    "rotary",
    "run",
    "scaled_dot",
    "sinusoidal",
    "softmax",
    "split_heads",
    "visible",
    "weigh",
]


def __getattr__(name: str) -> Any:
    """Loads the part that a name is of, once."""
    if name not in _HOMES:
        raise AttributeError(f"module 'attention_jax' has no attribute {name!r}")
    found = getattr(importlib.import_module(f"attention_jax.{_HOMES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
