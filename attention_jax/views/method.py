"""How a comparison was made, and what to keep in mind: from what the runs themselves say."""

from collections.abc import Mapping, Sequence
from typing import Any

from attention_jax.analysis.statistics import half_width
from attention_jax.analysis.variants import Comparison
from attention_jax.views.comparison_tables import kind


def method(comparison: Comparison, records: Sequence[Mapping[str, Any]]) -> list[str]:
    """What differs, what is held equal, what decides, and what the intervals are."""
    seeds = sorted({record["seed"] for record in records})
    equal = len({row.parameters for row in comparison.rows}) < 2
    variants = ", ".join(row.variant for row in comparison.rows)
    points = [f"Differs: {variants}."] if variants else []
    points += [
        "Held equal across variants, seed by seed: initial weights wherever shapes are equal, "
        f"batches and their order, {'number of parameters, ' if equal else ''}optimizer, schedule "
        "and number of steps.",
        f"Seeds: {', '.join(map(str, seeds)) or 'none yet'}.",
        f"Decided by: {comparison.primary.label}. The best variant has the best mean over the "
        "seeds that all variants have finished.",
        f"Intervals: {kind(comparison)}, of differences paired by seed. The best is picked after "
        f"looking, so they are widened (Bonferroni) to hold at once for all pairs "
        f"({comparison.pairs}) of variants.",
    ]
    return points


def caveats(comparison: Comparison, records: Sequence[Mapping[str, Any]]) -> list[str]:
    """Missing runs, runs that are not alike, few seeds, and what speed is of."""
    found = []
    if comparison.missing:
        runs = ", ".join(f"{variant} seed {seed}" for variant, seed in comparison.missing)
        found.append(f"Missing runs: {runs}.")
    for name in ("parameters", "steps"):
        values = sorted({record[name] for record in records if record.get(name) is not None})
        if len(values) > 1:
            shown = ", ".join(f"{value:,}" for value in values)
            found.append(
                f"The runs do not have equal {name} ({shown}): a difference may come from that."
            )
    count = len(comparison.shared)
    if 2 <= count < 5:
        ratio = half_width(count, level=comparison.level, comparisons=comparison.pairs)
        ratio /= half_width(5, level=comparison.level, comparisons=comparison.pairs)
        found.append(
            f"{count} seeds make wide intervals; with five they would be about {ratio:.1f} times "
            "narrower at the same spread. No difference found does not mean that there is none."
        )
    if records:
        found.append(
            "Speed and memory are of this device and of whatever else ran on it at the time."
        )
    return found
