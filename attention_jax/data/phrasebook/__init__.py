"""The phrasebook: English-Spanish sentence pairs with gold alignments, written by a grammar.

Translating them asks for agreement over a distance (gender, number, person), for words that change
their order, appear or vanish, and nothing else: the vocabulary is small, every English sentence has
one translation, and any number of sentences can be checked by reading.
"""

from typing import TYPE_CHECKING, Any

from attention_jax.data.phrasebook.grammar import pairs

if TYPE_CHECKING:
    from attention_jax.data.phrasebook.builder import Phrasebook

__all__ = ["Phrasebook", "pairs"]


def __getattr__(name: str) -> Any:
    """Import the TFDS builder only when it is asked for."""
    if name == "Phrasebook":
        from attention_jax.data.phrasebook.builder import Phrasebook

        return Phrasebook
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
