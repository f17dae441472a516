"""The tables of heads: each in numbers, the map in words, what is left without some."""

from collections.abc import Mapping
from typing import Any

from attention_jax.views import numbers
from attention_jax.views.head_words import (
    IMPORTANCE,
    LOSS,
    MEASURES,
    layers,
    measures,
    number,
    word,
)
from attention_jax.views.pruning_plots import score_of
from attention_jax.views.tables import Table, Text

POSITIONS = ("previous", "next", "same", "first")
STAGES = {
    "before": "before",
    "masked": "heads masked",
    "removed": "heads removed",
    "retrained": "removed, then trained",
}


def map_of_words(description: Mapping[str, Any]) -> Table:
    """The head map as text: a row an attention, a column a head, its word and its worth."""
    rows = layers(description)
    columns = max((column + 1 for row in rows for column in row.heads), default=0)
    measure = next(iter(measures(description.get("heads") or (), (LOSS, IMPORTANCE))), None)

    def said(head: Mapping[str, Any] | None) -> str:
        if head is None:
            return ""
        worth = number(head, measure) if measure is not None else None
        text = numbers.compact(worth, 3, "+" if measure == LOSS else "") if measure else ""
        return " ".join(part for part in (word(head), text) if part) or numbers.NONE

    cells = [
        [place_name(row.part, row.layer), *(said(row.heads.get(at)) for at in range(columns))]
        for row in rows
    ]
    return Table("Heads by layer", ["", *(f"head {at + 1}" for at in range(columns))], cells)


def head_numbers(description: Mapping[str, Any]) -> Table:
    """Every head and every number of it."""
    heads = description.get("heads") or ()
    shown = measures(heads, (LOSS, IMPORTANCE, *MEASURES))
    shares = [name for name in POSITIONS if any(head.get(name) is not None for head in heads)]
    rows = [
        [
            f"{place_name(row.part, row.layer)}, head {at + 1}",
            word(head),
            *(numbers.compact(number(head, one), one.digits) for one in shown),
            *(numbers.compact(head.get(name), 2) for name in shares),
        ]
        for row in layers(description)
        for at, head in row.heads.items()
    ]
    names = [f"to {name}" for name in shares]
    return Table("Every head", ["", "does", *(one.label for one in shown), *names], rows)


def one_left(pruning: Mapping[str, Any]) -> Table | None:
    """What each attention loses when all its heads but one go; the worst of them stands out.

    Of several heads of one place the best one to keep is shown.
    """
    best: dict[tuple[str, int], Mapping[str, Any]] = {}
    for one in pruning.get("one_left") or ():
        place = (one["part"], one["layer"])
        if place not in best or _loss(one) < _loss(best[place]):
            best[place] = one
    if not best:
        return None
    baseline = pruning.get("baseline") or {}
    whole = baseline.get("loss")
    rises = {
        place: one["loss"] - (whole or 0.0)
        for place, one in best.items()
        if one.get("loss") is not None
    }
    most = max(rises.values(), default=0.0)
    scored = any(one.get("score") is not None for one in best.values())
    rows, marked = [], set()
    for at, (place, one) in enumerate(best.items()):
        worst = most > 0 and rises.get(place) == most and len(rises) > 1
        name = Text(place_name(*place), tag="breaks most" if worst else "")
        rise = None if whole is None else rises.get(place)
        bar = max(0.0, rises.get(place, 0.0)) / most if most > 0 else 0.0
        cells = [
            name,
            f"head {one['head'] + 1}",
            numbers.compact(one.get("loss"), 4),
            Text(numbers.compact(rise, 4, "+"), bar=bar),
        ]
        if scored:
            score = _score(pruning, one.get("score"), baseline.get("score"))
            cells += [score.text, score.below or numbers.NONE]
        rows.append(cells)
        if worst:
            marked.add(at)
    head = ["only one head left in", "the best one", "loss", "change in loss"]
    name, _ = score_of(pruning)
    head += [name, f"change in {name}"] if scored else []
    return Table("One head left", head, rows, frozenset(marked))


def removal(pruning: Mapping[str, Any]) -> Table | None:
    """The model before and after its heads were removed: what is smaller, and what that costs."""
    found = pruning.get("removed") or ()
    if not found:
        return None
    first = found[0]
    rows = []
    for one in found:
        base = None if one is first else first
        rows.append(
            [
                STAGES.get(one["what"], str(one["what"])),
                _change(one, base, "heads", "{:,.0f}"),
                _change(one, base, "parameters", "{:,.0f}"),
                _change(one, base, "cache_bytes", "{:,.1f} KiB", 1 / 2**10),
                _change(one, base, "file_bytes", "{:,.2f} MiB", 1 / 2**20),
                _change(one, base, "tokens_per_second", "{:,.0f}"),
                numbers.compact(one.get("loss"), 4),
                _score(pruning, one.get("score"), None if base is None else base.get("score")),
            ]
        )
    head = ["", "heads", "parameters", "cache a sentence", "file", "tokens/s", "loss"]
    return Table("Before and after removal", [*head, score_of(pruning)[0]], rows)


def place_name(part: str, layer: int) -> str:
    """An attention as people count: "encoder, layer 1"."""
    return f"{part}, layer {layer + 1}"


def _loss(one: Mapping[str, Any]) -> float:
    found = one.get("loss")
    return float("inf") if found is None else float(found)


def _score(pruning: Mapping[str, Any], found: float | None, whole: float | None) -> Text:
    _, factor = score_of(pruning)
    if found is None:
        return Text(numbers.NONE)
    below = "" if whole is None else numbers.compact(factor * (found - whole), 1, "+")
    return Text(numbers.compact(factor * found, 1), below)


def _change(
    one: Mapping[str, Any],
    base: Mapping[str, Any] | None,
    key: str,
    text: str,
    factor: float = 1.0,
) -> Text:
    found = one.get(key)
    if found is None:
        return Text(numbers.NONE)
    whole = None if base is None else base.get(key)
    below = "" if not whole else f"{100 * (found / whole - 1):+.0f} %".replace("-", "−")
    return Text(text.format(factor * found), "" if below in ("+0 %", "−0 %") else below)
