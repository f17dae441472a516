"""How well runs translate short and long sentences.

BLEU of a bin is corpus BLEU of its sentences: matches are added up, not sentences' scores averaged.
Two intervals stand beside it, and neither stands for the other. One says whether training again
would give the same answer (Student's t over seeds), one whether other sentences would (a bootstrap
over the bin's sentences, with these very models).

Source: Bahdanau et al. 2014, figure 2 (BLEU by length); Koehn 2004 (the bootstrap).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from attention_jax.analysis.statistics import Summary, half_width, paired_difference, summarise

Interval = tuple[float, float]


class Lines(NamedTuple):
    """What one run made of some sentences, line by line."""

    sources: list[str]
    references: list[str]
    translations: list[str]


@dataclass(frozen=True)
class Bin:
    """Sentences of about one length.

    Attributes:
      shortest: words of the shortest source.
      longest: words of the longest.
      length: words of a source, in the mean.
      sentences: how many there are.
      bleu: 0 to 100, by seed.
      exact_match: 0 to 1, by seed.
      over_sentences: 95 % bootstrap interval of the seeds' mean BLEU: of other such sentences.
    """

    shortest: int
    longest: int
    length: float
    sentences: int
    bleu: Mapping[int, float]
    exact_match: Mapping[int, float]
    over_sentences: Interval

    @property
    def summary(self) -> Summary:
        """BLEU over seeds."""
        return summarise(self.bleu.values())

    @property
    def over_seeds(self) -> Interval | None:
        """Student's t interval of 95 % of the mean BLEU: of other seeds; None for a single one."""
        found = self.summary
        if found.deviation is None:
            return None
        reach = half_width(found.count) * found.deviation
        return found.mean - reach, found.mean + reach

    def __str__(self) -> str:
        same = self.shortest == self.longest
        return f"{self.longest} words" if same else f"{self.shortest} to {self.longest} words"


def read_lines(folder: str | Path, splits: Sequence[str] = ()) -> Lines:
    """A finished run's held-out sentences and their translations.

    Args:
      folder: of the run.
      splits: which; all whose name begins with "test" where none is named.

    Raises:
      ValueError: there are none.
    """
    path = Path(folder) / "translations.jsonl"
    # By line feeds alone: text may hold other ends of lines.
    text = path.read_text("utf-8") if path.exists() else ""
    lines = [json.loads(line) for line in text.split("\n") if line]
    wanted = [
        one
        for one in lines
        if (one["split"] in splits if splits else one["split"].startswith("test"))
    ]
    if not wanted:
        name = " or ".join(splits) or "test"
        raise ValueError(f"found no translations of the split {name} in {path}")
    columns = ([one[name] for one in wanted] for name in ("source", "reference", "translation"))
    return Lines(*columns)


def lengths_of(sources: Sequence[str]) -> Int[np.ndarray, " N"]:
    """Words of each source, as `text.split()` counts them."""
    return np.array([len(source.split()) for source in sources])


def ends_of(lengths: Int[Any, " N"], bins: int) -> list[int]:
    """The longest length of each bin, so that all hold about as many sentences.

    No length lies in two bins, so there may be fewer than asked for.

    Args:
      lengths: of the sentences.
      bins: how many, at most.

    Raises:
      ValueError: there are no lengths, or `bins` is below 1.
    """
    lengths = np.sort(np.asarray(lengths))
    if bins < 1 or not lengths.size:
        raise ValueError(f"found {bins} bins of {lengths.size} sentences; one or more would fit")
    last = np.arange(1, bins + 1) * lengths.size // bins - 1
    return sorted({int(lengths[max(place, 0)]) for place in last})


def by_length(
    runs: Mapping[int, Lines],
    ends: Sequence[int],
    *,
    tokenize: str = "13a",
    samples: int = 1_000,
) -> list[Bin]:
    """BLEU and exact matches by source length, of runs of one model.

    Args:
      runs: by seed; all of the same sentences.
      ends: the longest length of each bin, rising; longer sentences count in none.
      tokenize: how sacreBLEU splits text; see `training.metrics.bleu`.
      samples: how often the sentences are drawn for the bootstrap; always alike.

    Returns:
      A bin for each end that has sentences, shortest first.

    Raises:
      ValueError: there are no runs, their sentences differ, or the ends do not rise.
    """
    if not runs:
        raise ValueError("found no runs; one or more would fit")
    first = next(iter(runs.values()))
    for seed, lines in runs.items():
        if lines[:2] != first[:2]:
            raise ValueError(f"found other sentences in the run of seed {seed} than in the first")
    if list(ends) != sorted(set(ends)):
        raise ValueError(f"found ends={list(ends)}; rising lengths would fit")
    lengths = lengths_of(first.sources)
    counts = {seed: _counts(lines, tokenize) for seed, lines in runs.items()}
    equal = {
        seed: np.array([one.strip() == other.strip() for _, one, other in zip(*lines, strict=True)])
        for seed, lines in runs.items()
    }
    found, bottom = [], 0
    for end in ends:
        here = np.flatnonzero((lengths > bottom) & (lengths <= end))
        bottom = end
        if not here.size:
            continue
        found.append(
            Bin(
                int(lengths[here].min()),
                int(lengths[here].max()),
                float(lengths[here].mean()),
                here.size,
                {seed: _bleu(mine[here].sum(0)) for seed, mine in counts.items()},
                {seed: float(mine[here].mean()) for seed, mine in equal.items()},
                _bootstrap([mine[here] for mine in counts.values()], samples),
            )
        )
    return found


def of_runs(
    folders: Mapping[str, Mapping[int, Path]], *, bins: int, tokenize: str = "13a"
) -> dict[str, list[Bin]]:
    """BLEU by source length of several models, all in the same bins of about as many sentences.

    Args:
      folders: of finished runs, by model and seed; their splits whose name begins with "test".
      bins: how many, at most.
      tokenize: how sacreBLEU splits text.

    Raises:
      ValueError: there are no runs, or they have translated other sentences.
    """
    runs = {
        model: {seed: read_lines(folder) for seed, folder in mine.items()}
        for model, mine in folders.items()
    }
    sources = {tuple(lines.sources) for mine in runs.values() for lines in mine.values()}
    if len(sources) != 1:
        raise ValueError(f"found {len(sources)} sets of test sentences; runs of one would fit")
    ends = ends_of(lengths_of(sources.pop()), bins)
    return {model: by_length(mine, ends, tokenize=tokenize) for model, mine in runs.items()}


def curves(found: Mapping[str, Sequence[Bin]]) -> dict[str, tuple[list[float], ...]]:
    """Mean BLEU against mean length, as `plots.lines` draws it: a line a model.

    The band is the 95 % interval over seeds, where there are several, else over sentences; it ends
    where BLEU does.
    """
    drawn = {}
    for model, mine in found.items():
        ends = [one.over_seeds or one.over_sentences for one in mine]
        drawn[model] = (
            [one.length for one in mine],
            [one.summary.mean for one in mine],
            [max(low, 0.0) for low, _ in ends],
            [min(high, 100.0) for _, high in ends],
        )
    return drawn


def table(found: Mapping[str, Sequence[Bin]]) -> str:
    """A Markdown table: BLEU by length, and what is lost from the first bin to the last.

    Each cell is the mean over seeds and half of the t interval; the loss is paired, seed by seed.
    """
    first = next(iter(found.values()))
    rows = [["", *map(str, first), "last − first"], ["---"] * (len(first) + 2)]
    for model, mine in found.items():
        fall = paired_difference(mine[-1].bleu, mine[0].bleu)
        change = f"{fall.mean:+.1f}" if fall else ""
        if fall and fall.low is not None:
            change += f" [{fall.low:+.1f}, {fall.high:+.1f}]"
        rows.append([model, *map(_cell, mine), change.replace("-", "−")])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cell(one: Bin) -> str:
    mean, ends = one.summary.mean, one.over_seeds
    return f"{mean:.1f}" + (f" ± {ends[1] - mean:.1f}" if ends else "")


def _counts(lines: Lines, tokenize: str) -> Int[np.ndarray, "N C"]:
    """What BLEU adds up, of each sentence: matches of 1 to 4 words, chances, and both lengths."""
    from sacrebleu.metrics.bleu import BLEU

    metric = BLEU(tokenize=tokenize, force=True)
    each = (
        metric.corpus_score([translation], [[reference]])
        for _, reference, translation in zip(*lines, strict=True)
    )
    return np.array([[*one.counts, *one.totals, one.sys_len, one.ref_len] for one in each])


def _bleu(sums: Int[np.ndarray, " C"]) -> float:
    """Corpus BLEU of added counts, smoothed as `training.metrics.bleu` has it."""
    from sacrebleu.metrics.bleu import BLEU

    *counts, ours, theirs = sums.tolist()
    return BLEU.compute_bleu(counts[:4], counts[4:], ours, theirs, smooth_method="exp").score


def _bootstrap(runs: Sequence[Int[np.ndarray, "N C"]], samples: int) -> Interval:
    """95 % of the mean BLEU when the sentences are drawn again, the same ones for all runs."""
    count = len(runs[0])
    chance = np.random.default_rng(0)
    drawn = chance.multinomial(count, np.full(count, 1 / count), samples)
    means = np.mean([[_bleu(sums) for sums in drawn @ mine] for mine in runs], axis=0)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)
