"""The answer of a comparison in plain English. A null result is a result, and is said as one."""

import re
from collections.abc import Sequence

from attention_jax.analysis.statistics import Difference
from attention_jax.analysis.variants import Comparison, Metric


def verdict(comparison: Comparison) -> str:
    """What is best, what is worse, and what cannot be told apart, in two to four sentences.

    With the interval of the pair that matters most; where no difference is found, with how small a
    one these seeds could have shown.
    """
    preface = addendum = ""
    if comparison.missing:
        finished = comparison.expected - len(comparison.missing)
        preface = f"Preliminary, {finished} of {comparison.expected} runs finished. "
    if failed := comparison.failed:
        runs = ", ".join(f"{variant} seed {seed}" for variant, seed in failed)
        addendum = f" Left out for want of a finite {comparison.primary.label}: {runs}."
    return f"{preface}{_answer(comparison)}{addendum}"


def _answer(comparison: Comparison) -> str:
    metric, best = comparison.primary, comparison.best
    scored = {row.variant: row.cells[metric.name] for row in comparison.rows}
    scored = {variant: cell.difference for variant, cell in scored.items() if cell.values}
    if not scored:
        return "There is nothing to compare yet."
    if len(scored) == 1:
        return f"Only {listed(list(scored))} so far: there is nothing to compare with yet."
    if best is None:
        return "No seed has finished for all of these, so they cannot be compared yet."

    rivals = {variant: found for variant, found in scored.items() if found is not None}
    counts = sorted({len(found.seeds) for found in rivals.values()})
    winner = best[0].upper() + best[1:]
    lead = f"{winner} came out with the {_word(metric, 'est')} {metric.label}"
    than = f"{_word(metric, 'er')} than with"
    if counts[-1] == 1:
        return f"One seed cannot tell a difference from chance. {lead}."
    clear = {variant: found for variant, found in rivals.items() if found.clear}
    unclear = {variant: found for variant, found in rivals.items() if not found.clear}
    if any((found.mean > 0) != (metric.better == "lower") for found in clear.values()):
        return f"{lead} on the seeds that all share, but not on all: finish the missing runs first."

    over = f"over {' to '.join(dict.fromkeys((str(counts[0]), str(counts[-1]))))} seeds"
    if not clear:
        return (
            f"No difference found: {over}, no interval of a paired difference in {metric.label} "
            f"excludes zero. {lead}, which may be chance."
            f"{_example('farthest', unclear, comparison)}{_sight(unclear, metric)}"
        )
    nearest = _example("nearest", clear, comparison)
    if not unclear:
        return (
            f"{winner} did best: {over}, the {metric.label} is {than} {listed(list(clear))}, and "
            f"every interval of a paired difference excludes zero.{nearest}"
        )
    return (
        f"{lead} {over}: {than} {listed(list(clear))}, by intervals that exclude zero.{nearest} "
        f"No difference found from {listed(list(unclear))}.{_sight(unclear, metric)}"
    )


def listed(labels: Sequence[str]) -> str:
    """Labels as English: "1, 2 and 4 heads" where they count one thing, else "wide and narrow"."""
    counted = [re.fullmatch(r"([\d.,]+) (.+)", label) for label in labels]
    nouns = [found[2] for found in counted if found]
    names = list(labels)
    if len(nouns) == len(labels) and len({_singular(noun) for noun in nouns}) == 1:
        names = [found[1] for found in counted if found]
        names[-1] = f"{names[-1]} {max(nouns, key=len)}"  # the plural, if one is there
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def _singular(noun: str) -> str:
    return noun.removesuffix("s")


def _word(metric: Metric, ending: str) -> str:
    return f"low{ending}" if metric.better == "lower" else f"high{ending}"


def _example(which: str, found: dict[str, Difference], comparison: Comparison) -> str:
    """The variant nearest to the best or farthest from it, with its interval."""
    pick = min if which == "nearest" else max
    variant = pick(found, key=lambda one: abs(found[one].mean))
    one, metric = found[variant], comparison.primary
    if one.low is None or one.high is None:
        return ""
    ends = (one.low, one.high) if metric.better == "lower" else (-one.high, -one.low)
    low, high = (_size(end, metric) for end in ends)
    mean = _size(one.mean if metric.better == "lower" else -one.mean, metric)
    together = f", {comparison.pairs} pairs at once" if comparison.pairs > 1 else ""
    which = f"The {which} is {variant}, behind by" if len(found) > 1 else "The difference is"
    return (
        f" {which} {mean}{_UNITS.get(metric.style, '')} "
        f"({100 * comparison.level:g}% interval {low} to {high}{together})."
    )


def _sight(found: dict[str, Difference], metric: Metric) -> str:
    """How large a difference these seeds would not have missed."""
    sizes = [one.detectable for one in found.values() if one.detectable is not None]
    if not sizes:
        return ""
    smallest = f"{_size(max(sizes), metric)}{_UNITS.get(metric.style, '')}"
    return f" These seeds would show a true difference of {smallest} four times in five."


_UNITS = {"percent": " points", "bytes": " bytes", "seconds": " s"}


def _size(number: float, metric: Metric) -> str:
    number *= 100 if metric.style == "percent" else 1
    text = f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"
    return text.replace("-", "−")
