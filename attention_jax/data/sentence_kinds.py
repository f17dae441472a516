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
from attention_jax.data.phrasebook.grammar import PATTERNS, sentences, split_of
from attention_jax.data.text import Splits

KINDS = {
    "states": "state",
    "deeds": "deed",
    "giving": "gift",
    "relatives": "relative",
    "nested": "nested",
    "dialogue": "question",
}
"""from the module that holds a pattern to what its sentences are"""

PART = 4
"""Of each pattern's sentences one in so many is taken."""


@cache
def sentence_kinds() -> Splits:
    """Pairs of a sentence and its kind, by split; the same on every machine.

    A sentence that patterns of two kinds give is left out. Each is in the split where it is in the
    phrasebook, so no held-out sentence was read by who has learned from the phrasebook's text.
    """
    found: dict[str, set[str]] = {}
    for pattern, count in PATTERNS:
        kind = KINDS[pattern.__module__.rpartition(".")[2]]
        for pair in sentences(pattern, count // PART):
            found.setdefault(pair.source, set()).add(kind)
    splits: Splits = {"train": [], "validation": [], "test": []}
    # In the order of a digest, or those of a pattern stand together.
    for text in sorted(found, key=lambda text: sha256(text.encode()).digest()):
        if len(found[text]) == 1:
            splits[split_of(text)].append(Pair(text, min(found[text])))
    return splits
