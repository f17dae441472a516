"""What a masked-word model is judged by: hidden words told, and sentences told apart.

Each held-out sentence is read with one word hidden, so that all its neighbours can be seen, by the
model and by the counts that it is compared with (`data.neighbours`).
"""

import functools
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx

from attention_jax.data.masked_text import MaskedText, beside, single
from attention_jax.data.masking import MaskedBatch, one_each
from attention_jax.data.neighbours import Neighbours
from attention_jax.data.rows import in_order
from attention_jax.data.tokens import END, PAD
from attention_jax.training.step import split

MOST = 1_000
"""sentences of a split that are read, at most"""
EACH = 3
"""words of a sentence that are hidden, one at a time"""
WEIGHT = 1.0
"""pseudo-counts of the counts"""
AMONG = 100
"""translations that a sentence's own is looked for among"""
ROWS = 128


def score(text: MaskedText, model: Any, folder: Path | None = None) -> dict[str, Any]:
    """The figures of every held-out split.

    Args:
      text: with the splits.
      model: a `MaskedWords`.
      folder: of the run; nothing is written.

    Returns:
      By split: how many words were hidden, the share that the model tells, and the shares that
      counts of neighbours tell; of two languages also the share beside the translation, and how
      often a sentence's translation is found among `AMONG`.
    """
    train = single(text, "train").tokens
    counts = Neighbours([row[row != PAD] for row in train], text.mask)
    found = {}
    for name in text.pairs:
        if name == "train":
            continue
        alone = MaskedBatch(*(array[:MOST] for array in single(text, name)))
        hidden = one_each(alone, mask=text.mask, most=EACH)
        found[name] = {
            "hidden_words": len(hidden.labels),
            "told": float((told(model, hidden) == hidden.labels[:, 0]).mean()),
            "told_by_counts": counts.accuracy(_between(hidden), WEIGHT),
        }
        if len(text.rows[name].tokens) != len(text.pairs[name]):
            found[name] |= _two_languages(text, name, model, hidden)
    return found


def told(model: Any, hidden: MaskedBatch) -> np.ndarray:
    """The word that the model holds most likely at the one place of each row."""
    graph, params = split(model)
    batches = in_order(hidden, ROWS)
    found = [np.asarray(_best(graph, params, *batch[:4])) for batch in batches]
    return np.concatenate(found)[: len(hidden.tokens)]


def _two_languages(text: MaskedText, name: str, model: Any, hidden: MaskedBatch) -> dict[str, Any]:
    """The same words beside the translation, and translations found by their vectors."""
    from attention_jax.analysis.similar_sentences import (
        bags_of_words,
        centred,
        found_among,
        sentence_vectors,
    )

    # A sentence stands first, so that its words have the places that they have alone.
    pairs = beside(text, name)
    times = np.minimum((single(text, name).tokens[:MOST] > END).sum(1), EACH)
    own = np.repeat(np.arange(len(times)), times)
    tokens = pairs.tokens[own].copy()
    np.put_along_axis(tokens, hidden.places, text.mask, 1)
    both = hidden._replace(tokens=tokens, types=pairs.types[own], positions=pairs.positions[own])
    found: dict[str, Any] = {
        "told_beside_translation": float((told(model, both) == hidden.labels[:, 0]).mean())
    }
    sides = [single(text, name, side) for side in (0, 1)]
    table = np.asarray(model.encoder.embedding.table[...])
    ways = {
        "vectors": [sentence_vectors(model.encoder, one.tokens, one.types) for one in sides],
        "embeddings": [bags_of_words(table, one.tokens) for one in sides],
        "shared_tokens": [_bags(one.tokens, text.mask) for one in sides],
    }
    among = min(AMONG, len(sides[0].tokens))
    plain: dict[str, float] = {"among": among}
    without_mean: dict[str, float] = {"among": among}
    for way, (one, other) in ways.items():
        plain[way] = found_among(one, other, among)
        without_mean[way] = found_among(centred(one), centred(other), among)
    return found | {"translation_found": plain, "translation_found_centred": without_mean}


def _between(hidden: MaskedBatch) -> list[tuple[int, int, int]]:
    """The hidden words, each between its neighbours."""
    at, row = hidden.places[:, 0], np.arange(len(hidden.places))
    left, right = hidden.tokens[row, at - 1], hidden.tokens[row, at + 1]
    return list(zip(left.tolist(), hidden.labels[:, 0].tolist(), right.tolist(), strict=True))


def _bags(tokens: np.ndarray, vocabulary: int) -> np.ndarray:
    """How often each token stands in each row, rare ones counting more (by their idf here)."""
    bags = np.stack([np.bincount(row[row > END], minlength=vocabulary) for row in tokens])
    return bags * np.log(len(bags) / np.maximum((bags > 0).sum(0), 1))[None]


@functools.partial(jax.jit, static_argnums=0)
def _best(graph, params, tokens, types, positions, places):
    model = nnx.merge(graph, params)
    types = types if model.config.types else None
    return model(tokens, types, places, positions=positions)[:, 0].argmax(-1)
