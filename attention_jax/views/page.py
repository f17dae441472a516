"""The page of a report: one HTML file that needs nothing else, no script and no network.

Everything that comes from data goes through `html.escape`; a content policy inside the page forbids
whatever could be fetched or run all the same.
"""

import base64
import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from importlib import resources
from typing import Any

from attention_jax.analysis.head_counts import Comparison, Metric, read
from attention_jax.analysis.verdict import listed, verdict
from attention_jax.views import numbers
from attention_jax.views.pictures import Picture

Sample = tuple[str, str, str]


@dataclass(frozen=True)
class Page:
    """What a report says, before it is HTML.

    Attributes:
      title: heading of the page.
      comparison: the head counts side by side.
      records: the runs, in the order of the table of runs.
      command: what to type to get this report again.
      environment: versions, device, commit; shown as a table.
      caveats: what to keep in mind.
      plots: figures of all head counts.
      maps: attention maps, by head count.
      samples: (source, reference, hypothesis), by head count.
    """

    title: str
    comparison: Comparison
    records: Sequence[Mapping[str, Any]]
    command: str
    environment: Mapping[str, Any]
    caveats: Sequence[str]
    plots: Sequence[Picture] = ()
    maps: Mapping[int, Sequence[Picture]] = field(default_factory=dict)
    samples: Mapping[int, Sequence[Sample]] = field(default_factory=dict)


def html(page: Page) -> str:
    """The whole page as one HTML document."""
    style = resources.files("attention_jax.views").joinpath("report.css").read_text("utf-8")
    sections = [_tables(page), _plots(page), _maps(page), _samples(page), _method(page)]
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{escape(page.title)}</title>
<link rel="icon" href="data:,">
<style>
{style}</style>
</head>
<body>
<main>
<header>
<h1>{escape(page.title)}</h1>
<p class="facts">{escape(" · ".join(_facts(page)))}</p>
<div class="verdict"><p>{escape(verdict(page.comparison))}</p></div>
</header>
{"".join(sections)}
</main>
</body>
</html>
"""


def main_metrics(comparison: Comparison) -> list[Metric]:
    """The columns of the first table: the deciding split, the validation loss, speed and memory."""
    split = comparison.primary.name.rsplit("_", 1)[0]
    wanted = [f"{split}_{name}" for name in ("loss", "exact", "bleu")]
    wanted += ["validation_loss", "tokens_per_second", "memory"]
    known = {metric.name: metric for metric in comparison.metrics}
    return [known[name] for name in dict.fromkeys(wanted) if name in known]


def explanation(comparison: Comparison) -> str:
    """How to read the tables, in one paragraph."""
    if len(comparison.rows) < 2 or comparison.best is None:
        return "Each cell: mean ± sample standard deviation over seeds."
    best = listed([comparison.best])
    together = f" at once for all {comparison.pairs} pairs" if comparison.pairs > 1 else ""
    return (
        "Each cell: mean ± sample standard deviation over seeds; below it the paired difference "
        f"from {best}, seed by seed, and its Student t interval "
        f"({comparison.level:.0%}{together}). Bold where the interval excludes zero."
    )


def _facts(page: Page) -> list[str]:
    comparison = page.comparison
    done = comparison.expected - len(comparison.missing)
    seeds = len({record["seed"] for record in page.records})
    parameters = sorted({row.parameters for row in comparison.rows if row.parameters is not None})
    facts = [f"{done} of {comparison.expected} runs", f"{seeds} seed{'' if seeds == 1 else 's'}"]
    if parameters:
        sizes = " to ".join(f"{size:,}" for size in dict.fromkeys((parameters[0], parameters[-1])))
        facts.append(f"{sizes} parameters")
    if device := page.environment.get("device"):
        facts.append(str(device))
    return facts


def _tables(page: Page) -> str:
    comparison = page.comparison
    if not comparison.rows:
        return ""
    first = main_metrics(comparison)
    rest = [metric for metric in comparison.metrics if metric not in first]
    parts = ["<section>\n<h2>Head counts side by side</h2>\n", _comparison(comparison, first)]
    parts.append(f'<p class="note">{escape(explanation(comparison))}</p>\n')
    if rest:
        parts += ["<details><summary>More metrics</summary>\n", _comparison(comparison, rest)]
        parts.append("</details>\n")
    parts += ["<details><summary>Every run</summary>\n", _runs(page), "</details>\n</section>\n"]
    return "".join(parts)


def _comparison(comparison: Comparison, columns: Sequence[Metric]) -> str:
    head = "".join(f'<th scope="col">{escape(metric.label)}</th>' for metric in columns)
    rows = []
    for row in comparison.rows:
        best = row.heads == comparison.best and len(comparison.rows) > 1
        tag = ' <span class="tag">best mean</span>' if best else ""
        cells = []
        for metric in columns:
            cell, below = row.cells[metric.name], ""
            if (found := cell.difference) is not None:
                looks = "difference"
                if found.clear:
                    better = (found.mean < 0) == (metric.better == "lower")
                    looks += " clear better" if better else " clear"
                text = escape(numbers.difference(found, metric)).replace(" ", "<br>", 1)
                below = f'<span class="{looks}">{text}</span>'
            cells.append(f"<td>{escape(numbers.mean(cell, metric))}{below}</td>")
        rows.append(
            f'<tr{" class=best" if best else ""}><th scope="row">{row.heads}{tag}</th>'
            f"<td>{len(row.seeds)}</td>{''.join(cells)}</tr>\n"
        )
    return _scrolled(
        "Comparison of head counts",
        f'<table>\n<thead><tr><th scope="col">heads</th><th scope="col">seeds</th>{head}'
        "</tr></thead>\n"
        f"<tbody>\n{''.join(rows)}</tbody>\n</table>",
    )


def _runs(page: Page) -> str:
    columns = page.comparison.metrics
    head = "".join(f'<th scope="col">{escape(metric.label)}</th>' for metric in columns)
    rows = []
    for record in page.records:
        cells = "".join(
            f"<td>{escape(numbers.value(read(record, metric), metric))}</td>" for metric in columns
        )
        rows.append(
            f'<tr><th scope="row">{record["heads"]}</th><td>{record["seed"]}</td>{cells}</tr>\n'
        )
    return _scrolled(
        "Every run",
        f'<table>\n<thead><tr><th scope="col">heads</th><th scope="col">seed</th>{head}'
        "</tr></thead>\n"
        f"<tbody>\n{''.join(rows)}</tbody>\n</table>",
    )


def _scrolled(label: str, table: str) -> str:
    # Reachable by keyboard, or its right end is not.
    return f'<div class="scroll" role="region" aria-label="{label}" tabindex="0">{table}</div>\n'


def _plots(page: Page) -> str:
    if not page.plots:
        return ""
    figures = "".join(_figure(picture) for picture in page.plots)
    return f'<section>\n<h2>Plots</h2>\n<div class="figures">\n{figures}</div>\n</section>\n'


def _maps(page: Page) -> str:
    if not page.maps:
        return ""
    parts = [
        "<section>\n<h2>What each head looks at</h2>\n"
        "<p>One sentence through each model. A row is a position that looks, a column one that is "
        "looked at; every row sums to one.</p>\n"
    ]
    for heads, pictures in sorted(page.maps.items()):
        figures = "".join(_figure(picture, wide=True) for picture in pictures)
        parts.append(
            f"<details><summary>{listed([heads])}</summary>\n"
            f'<div class="maps">\n{figures}</div></details>\n'
        )
    return f"{''.join(parts)}</section>\n"


def _figure(picture: Picture, *, wide: bool = False) -> str:
    light, dark = (
        f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"
        for png in (picture.light, picture.dark)
    )
    image = (
        f'<picture><source media="(prefers-color-scheme: dark)" srcset="{dark}">'
        f'<img src="{light}" width="{picture.width}" height="{picture.height}" '
        f'alt="{escape(picture.alt)}"></picture>'
    )
    if wide:
        label = escape(picture.caption)
        image = f'<div class="wide" role="region" aria-label="{label}" tabindex="0">{image}</div>'
    return f"<figure>{image}<figcaption>{escape(picture.caption)}</figcaption></figure>\n"


def _samples(page: Page) -> str:
    grouped: dict[tuple[str, str], list[tuple[int, str]]] = {}
    for heads, samples in sorted(page.samples.items()):
        for source, reference, hypothesis in samples:
            grouped.setdefault((source, reference), []).append((heads, hypothesis))
    if not grouped:
        return ""
    parts = [
        "<section>\n<h2>Sample translations</h2>\n"
        '<p class="note">✓ equals the reference; words that the reference does not have there are '
        "underlined.</p>\n"
    ]
    for (source, reference), hypotheses in grouped.items():
        lines = "".join(
            f'<dt>{listed([heads])}</dt><dd dir="auto">{_marked(hypothesis, reference)}</dd>\n'
            for heads, hypothesis in hypotheses
        )
        parts.append(
            f'<article class="sample"><dl>\n<dt>source</dt><dd dir="auto">{escape(source)}</dd>\n'
            f'<dt>reference</dt><dd dir="auto" class="reference">{escape(reference)}</dd>\n'
            f"{lines}</dl></article>\n"
        )
    return f"{''.join(parts)}</section>\n"


def _marked(hypothesis: str, reference: str) -> str:
    if hypothesis == reference:
        return f'{escape(hypothesis)} <span class="equal">✓ equal</span>'
    words, wanted = hypothesis.split(), reference.split()
    if not words:
        return '<span class="note">(empty)</span>'
    parts = []
    matcher = difflib.SequenceMatcher(a=wanted, b=words, autojunk=False)
    for kind, _, _, start, end in matcher.get_opcodes():
        if start < end:
            text = escape(" ".join(words[start:end]))
            parts.append(text if kind == "equal" else f"<mark>{text}</mark>")
    return " ".join(parts)


def _method(page: Page) -> str:
    comparison = page.comparison
    seeds = sorted({record["seed"] for record in page.records})
    points = (
        "Differs: the number of heads. The width stays, so a head gets narrower as heads get more.",
        "Held equal across head counts, seed by seed: initial weights, batches and their order, "
        "number of parameters, optimizer, schedule and number of steps.",
        f"Seeds: {', '.join(map(str, seeds)) or 'none yet'}.",
        f"Decided by: {comparison.primary.label}. The best head count has the best mean over the "
        "seeds that all head counts have finished.",
        "Intervals: Student t, of differences paired by seed. The best is picked after looking, so "
        f"they are widened (Bonferroni) to hold at once for all pairs ({comparison.pairs}) of head "
        "counts. A bootstrap over so few seeds would be too narrow.",
    )
    listing = "".join(f"<li>{escape(point)}</li>\n" for point in points)
    caveats = "".join(f"<li>{escape(caveat)}</li>\n" for caveat in page.caveats)
    rows = "".join(
        f'<tr><th scope="row">{escape(str(name))}</th><td>{escape(_said(found))}</td></tr>\n'
        for name, found in page.environment.items()
    )
    table = f'<div class="scroll"><table class="pairs"><tbody>\n{rows}</tbody></table></div>\n'
    return (
        f"<section>\n<h2>Method</h2>\n<ul>\n{listing}</ul>\n"
        f"<h3>Command</h3>\n<pre>{escape(page.command)}</pre>\n"
        + (f"<h3>Environment</h3>\n{table}" if rows else "")
        + "</section>\n"
        + (f"<section>\n<h2>Caveats</h2>\n<ul>\n{caveats}</ul>\n</section>\n" if caveats else "")
    )


def _said(found: Any) -> str:
    if isinstance(found, Mapping):
        known = {name: inner for name, inner in found.items() if inner is not None}
        return ", ".join(f"{name} {_said(inner)}" for name, inner in known.items())
    if isinstance(found, list | tuple):
        return " ".join(_said(inner) for inner in found)
    return "not known" if found is None else str(found)
