"""Sentences of the phrasebook by what they are: their grammar wrote them, so it knows.

    The ball is blue                          state
    Did the girl buy a hat?                   question
    The man who sings has a red car           relative

What sorts them is mostly not a word but which words stand together and in which order: "who" opens
a question and a relative clause.
"""

from functools import cache
from hashlib import sha256

from attention_jax.data.pair import Pair
from attention_jax.data.phrasebook.grammar import PATTERNS, sentences
from attention_jax.data.text import Splits, split_pairs

KINDS = {
    "states": "state",
    "deeds": "deed",
    "giving": "gift",
    "relatives": "relative",
    "nested": "nested",
    "dialogue": "question",
}
"""from the module that holds a pattern to what its sentences are"""

PART = 8
"""Of each pattern's sentences one in so many is taken."""


@cache
def sentence_kinds() -> Splits:
    """Pairs of a sentence and its kind, by split; the same on every machine.

    A sentence that patterns of two kinds give is left out. None stands in two splits.
    """
    found: dict[str, set[str]] = {}
    for pattern, count in PATTERNS:
        kind = KINDS[pattern.__module__.rpartition(".")[2]]
        for pair in sentences(pattern, count // PART):
            found.setdefault(pair.source, set()).add(kind)
    pairs = [Pair(text, min(kinds)) for text, kinds in found.items() if len(kinds) == 1]
    # By a digest, or those of a pattern stand together.
    pairs.sort(key=lambda pair: sha256(pair.source.encode()).digest())
    return split_pairs(pairs, "sentence kinds")
