"""All kinds of folders that are known, by what their config.json calls them."""

from collections.abc import Mapping
from typing import Any

from attention_jax.interop.bert import BERT
from attention_jax.interop.family import Family, read
from attention_jax.interop.gpt2 import GPT2
from attention_jax.interop.llama import LLAMA
from attention_jax.interop.marian import MARIAN
from attention_jax.interop.t5 import T5
from attention_jax.interop.vit import VIT

FAMILIES: Mapping[str, Family] = {
    **BERT,
    "gpt2": GPT2,
    **LLAMA,
    "marian": MARIAN,
    "t5": T5,
    "vit": VIT,
}
"""By model_type."""


def family_of(form: Mapping[str, Any]) -> Family:
    """The family of a config.json.

    Raises:
      ValueError: it is of another one.
    """
    return FAMILIES[kind_of(form.get("model_type"))]


def kind_of(found: Any) -> str:
    """The name of a kind, if it is one.

    Raises:
      ValueError: it is not.
    """
    if not isinstance(found, str) or found not in FAMILIES:
        raise ValueError(f"model_type is {found!r:.60}; one of {', '.join(FAMILIES)} would fit")
    return found


def config_of(form: Mapping[str, Any]) -> Any:
    """The config of our model that a config.json gives, each setting checked.

    Raises:
      ValueError: a field is missing or is what cannot be; the message names it and what would fit.
    """
    return read(family_of(form), form)
