"""The answer of a comparison in plain English. A null result is a result, and is said as one."""

from collections.abc import Sequence

from attention_jax.analysis.head_counts import Comparison


def verdict(comparison: Comparison) -> str:
    """What is best, what is worse, and what cannot be told apart, in two or three sentences."""
    preface = addendum = ""
    if comparison.missing:
        finished = comparison.expected - len(comparison.missing)
        preface = f"Preliminary, {finished} of {comparison.expected} runs finished. "
    if failed := comparison.failed:
        runs = ", ".join(f"{listed([heads])} seed {seed}" for heads, seed in failed)
        addendum = f" Left out for want of a finite {comparison.primary.label}: {runs}."
    return f"{preface}{_answer(comparison)}{addendum}"


def _answer(comparison: Comparison) -> str:
    name, label = comparison.primary.name, comparison.primary.label
    scored = [row for row in comparison.rows if row.cells[name].values]
    if not scored:
        return "There is nothing to compare yet."
    if len(scored) == 1:
        return f"Only {listed([scored[0].heads])} so far: there is nothing to compare with yet."
    if comparison.best is None:
        return "No seed has finished for all of these head counts, so they cannot be compared yet."

    lower = comparison.primary.better == "lower"
    winner = listed([comparison.best])
    lead = f"{winner} came out with the {'lowest' if lower else 'highest'} {label}"
    than = "lower than with" if lower else "higher than with"
    differences = {row.heads: row.cells[name].difference for row in scored}
    del differences[comparison.best]
    counts = sorted({len(found.seeds) for found in differences.values() if found is not None})
    if counts[-1] == 1:
        return f"One seed cannot tell a difference from chance. {lead}."

    over = f"over {' to '.join(dict.fromkeys((str(counts[0]), str(counts[-1]))))} seeds"
    clear = [heads for heads, found in differences.items() if found is not None and found.clear]
    unclear = [heads for heads in differences if heads not in clear]
    if not clear:
        return (
            f"No difference found: {over}, no interval of a paired difference in {label} "
            f"excludes zero. {lead}, which may be chance."
        )
    if not unclear:
        return (
            f"{winner} {'is' if comparison.best == 1 else 'are'} best: {over}, the {label} is "
            f"{than} {listed(clear)}, and every interval of a paired difference excludes zero."
        )
    return (
        f"{lead} {over}: {than} {listed(clear)}, by intervals that exclude zero. "
        f"No difference found from {listed(unclear)}."
    )


def listed(heads: Sequence[int]) -> str:
    """Head counts as English: "1 head", "1, 2 and 4 heads"."""
    if len(heads) == 1:
        return f"{heads[0]} head" if heads[0] == 1 else f"{heads[0]} heads"
    return f"{', '.join(map(str, heads[:-1]))} and {heads[-1]} heads"
