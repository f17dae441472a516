"""What the statistics of heads say: each head where it stands, and what it does in a word.

A description is the mapping that `analysis.heads.describe` makes of a model (`heads.json`). Numbers
in it may be null, and layers may have unequal heads, or none.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

POSITIONS = ("previous", "next", "same", "first")
MOST = 0.5  # of the weight, on one position
ALIGNED = 0.3  # alignment error rate
FOCUSED = 0.8  # mean of the largest weight
BROAD = 1.5  # nats: as of 4.5 positions looked at alike


@dataclass(frozen=True)
class Measure:
    """A number of a head: its key, its name, how to read it, and its decimals."""

    key: str
    label: str
    meaning: str
    digits: int = 2


LOSS = Measure("loss_without", "loss without it", "nats a token more, when the head is zeroed", 3)
IMPORTANCE = Measure("importance", "importance", "gradient of the loss by a gate on the head", 3)
ALIGNMENT = Measure("alignment_error", "alignment error", "against the gold one; 0 is perfect")
MEASURES = (
    Measure("entropy", "entropy", "nats; high: looks at many positions alike"),
    Measure("distance", "distance", "positions from the query to where it looks"),
    Measure("confidence", "confidence", "mean of the largest weight"),
    Measure("redundancy", "redundancy", "largest similarity with another head of its layer"),
    ALIGNMENT,
)


@dataclass(frozen=True)
class Layer:
    """One attention: its part of the model, its layer, and its heads, counted from 0."""

    part: str
    layer: int
    heads: Mapping[int, Mapping[str, Any]]


def layers(description: Mapping[str, Any]) -> list[Layer]:
    """The model's attentions, part by part, each with the heads it has, which may be none."""
    heads = description.get("heads") or ()
    similarity = description.get("similarity") or {}
    found = []
    for part in dict.fromkeys((*similarity, *(head["part"] for head in heads))):
        mine = [head for head in heads if head["part"] == part]
        count = max((head["layer"] + 1 for head in mine), default=0)
        for layer in range(max(count, len(similarity.get(part) or ()))):
            here = {head["head"]: head for head in mine if head["layer"] == layer}
            found.append(Layer(part, layer, dict(sorted(here.items()))))
    return found


def number(head: Mapping[str, Any], measure: Measure) -> float | None:
    """A number of a head; None where it is absent, null or not finite."""
    found = head.get(measure.key)
    return float(found) if found is not None and math.isfinite(found) else None


def coloured_by(descriptions: Iterable[Mapping[str, Any]]) -> Measure | None:
    """What tells heads apart by worth: loss without them, else importance, else nothing."""
    heads = [head for found in descriptions for head in found.get("heads") or ()]
    for measure in (LOSS, IMPORTANCE):
        if any(number(head, measure) is not None for head in heads):
            return measure
    return None


def word(head: Mapping[str, Any]) -> str:
    """What a head does, in a word, where its statistics say so; else nothing.

    "aligned": its alignment error rate is at most 0.3. "previous", "next", "same", "first": at
    least half of its weight goes there. "focused": its largest weight is 0.8 or more on average.
    "broad": its entropy is 1.5 nats or more.
    """
    error = number(head, ALIGNMENT)
    if error is not None and error <= ALIGNED:
        return "aligned"
    shares = {name: float(head.get(name) or 0.0) for name in POSITIONS}
    where = max(POSITIONS, key=lambda name: shares[name])
    if shares[where] >= MOST:
        return where
    entropy, _, confidence, *_ = (number(head, measure) for measure in MEASURES)
    if confidence is not None and confidence >= FOCUSED:
        return "focused"
    return "broad" if entropy is not None and entropy >= BROAD else ""


def legend() -> str:
    """What the words mean, in one sentence."""
    return (
        "A word where the statistics say so: previous, next, same or first, where at least "
        f"{MOST:.0%} of the weight goes to that position; aligned, with an alignment error rate "
        f"of at most {ALIGNED:g}; focused, with {FOCUSED:g} or more on one position on average; "
        f"broad, with an entropy of {BROAD:g} nats or more."
    )


def counted(description: Mapping[str, Any]) -> str:
    """How many heads do what: "5 previous, 3 aligned, 40 without a word"."""
    words = [word(head) for head in description.get("heads") or ()]
    names = sorted(set(words) - {""}, key=lambda name: (-words.count(name), name))
    parts = [f"{words.count(name)} {name}" for name in names]
    if "" in words:
        parts.append(f"{words.count('')} without a word")
    return ", ".join(parts)


def best_aligned(description: Mapping[str, Any]) -> str:
    """The best head's alignment error and the mean over heads, where there is a gold alignment."""
    every = [(number(head, ALIGNMENT), head) for head in description.get("heads") or ()]
    known = [(error, head) for error, head in every if error is not None]
    if not known:
        return ""
    error, best = min(known, key=lambda found: found[0])
    mean = sum(found for found, _ in known) / len(known)
    together = [
        found for found in description.get("mean_alignment_error") or () if found is not None
    ]
    also = f", {min(together):.3f} of the best layer's heads taken together" if together else ""
    return (
        f"Alignment error rate: {error:.3f} of the best head ({best['part']}, layer "
        f"{best['layer'] + 1}, head {best['head'] + 1}), {mean:.3f} on average over heads{also}."
    )


def measures(heads: Sequence[Mapping[str, Any]], among: Iterable[Measure]) -> list[Measure]:
    """Those measures that at least one of the heads has."""
    return [one for one in among if any(number(head, one) is not None for head in heads)]
