"""All published sizes, by the kind of model and their name."""

from collections.abc import Mapping
from typing import Any

from attention_jax.models import decoder_only, transformer

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "transformer": transformer.PRESETS,
    "decoder_only": decoder_only.PRESETS,
}
"""from the name of a kind to its configs; a kind may have none"""
