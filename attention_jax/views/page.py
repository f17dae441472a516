"""What a report says, before it is HTML or Markdown."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from attention_jax.analysis.variants import Comparison
from attention_jax.views.pictures import Picture

if TYPE_CHECKING:
    from attention_jax.analysis.significance import BleuTest

Sample = tuple[str, str, str]
T = TypeVar("T")


@dataclass(frozen=True)
class Page:
    """What a report says: its data, its figures, its words.

    Attributes:
      title: heading of the page.
      comparison: the variants side by side.
      records: the runs, in the order of the table of runs.
      command: what to type to get this report again.
      environment: versions, device, commit; shown as a table.
      caveats: what to keep in mind.
      plots: figures of all variants.
      maps: attention maps, by variant.
      samples: (source, reference, hypothesis), by variant.
      significance: tests of BLEU over sentences.
      heads: what each head does (`heads.json`), by variant.
      head_pictures: figures of that, by variant.
      pruning: what pruning leaves (`pruning.json`), by variant.
      pruning_pictures: figures of that, by variant.
    """

    title: str
    comparison: Comparison
    records: Sequence[Mapping[str, Any]]
    command: str
    environment: Mapping[str, Any]
    caveats: Sequence[str]
    plots: Sequence[Picture] = ()
    maps: Mapping[str, Sequence[Picture]] = field(default_factory=dict)
    samples: Mapping[str, Sequence[Sample]] = field(default_factory=dict)
    significance: Sequence["BleuTest"] = ()
    heads: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    head_pictures: Mapping[str, Sequence[Picture]] = field(default_factory=dict)
    pruning: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    pruning_pictures: Mapping[str, Sequence[Picture]] = field(default_factory=dict)

    def ordered(self, found: Mapping[str, T]) -> list[tuple[str, T]]:
        """By variant, in the order of the table; variants without a run come last."""
        rows = [row.variant for row in self.comparison.rows]
        return [(name, found[name]) for name in dict.fromkeys((*rows, *found)) if name in found]

    def shown_first(self, found: Iterable[str]) -> str | None:
        """The variant whose part of a section stands open: the best one, else the last."""
        names = list(found)
        best = self.comparison.best
        return best if best in names else (names[-1] if names else None)

    def pictures(self) -> list[Picture]:
        """Every picture of the page."""
        grouped = (self.head_pictures, self.pruning_pictures, self.maps)
        return [*self.plots, *(p for found in grouped for each in found.values() for p in each)]

    def facts(self) -> list[str]:
        """How much was run, of what size, and on what."""
        comparison = self.comparison
        done = comparison.expected - len(comparison.missing)
        seeds = len({record["seed"] for record in self.records})
        sizes = sorted({row.parameters for row in comparison.rows if row.parameters is not None})
        facts = [f"{done} of {comparison.expected} runs", f"{seeds} seed{'s' * (seeds != 1)}"]
        if sizes:
            ends = " to ".join(f"{size:,}" for size in dict.fromkeys((sizes[0], sizes[-1])))
            facts.append(f"{ends} parameters")
        if device := self.environment.get("device"):
            facts.append(str(device))
        return facts
