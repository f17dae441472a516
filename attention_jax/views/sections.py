"""The sections of the page, in the order in which a reader asks: how good, why, how found."""

import base64
import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from attention_jax.views import comparison_tables, head_tables
from attention_jax.views.head_words import best_aligned, legend
from attention_jax.views.method import method
from attention_jax.views.page import Page
from attention_jax.views.pictures import Picture
from attention_jax.views.tables import Table, html_table


@dataclass(frozen=True)
class Section:
    """One section: its place in links, its name there, its heading, and its HTML."""

    anchor: str
    short: str
    title: str
    body: str


def sections(page: Page) -> list[Section]:
    """Those sections that have something to say."""
    every = (
        Section("table", "Table", "Side by side", _tables(page)),
        Section("plots", "Plots", "Plots", _figures(page.plots)),
        Section("heads", "Heads", "What each head does", _heads(page)),
        Section("pruning", "Pruning", "What if heads were gone", _pruning(page)),
        Section("attention", "Attention", "Where heads look in one sentence", _maps(page)),
        Section("translations", "Translations", "Sample translations", _samples(page)),
        Section("method", "Method", "Method", _method(page)),
        Section("caveats", "Caveats", "Caveats", _listed(page.caveats)),
    )
    return [section for section in every if section.body]


def _tables(page: Page) -> str:
    comparison = page.comparison
    if not comparison.rows:
        return ""
    first = comparison_tables.main_metrics(comparison)
    rest = [metric for metric in comparison.metrics if metric not in first]
    parts = [html_table(comparison_tables.side_by_side(comparison, first))]
    parts.append(_note(comparison_tables.explanation(comparison)))
    sure = comparison_tables.certainty(comparison, page.significance)
    if sure is not None:
        parts += ["<h3>How sure is that?</h3>\n", html_table(sure)]
        parts.append(_note(comparison_tables.certainty_explanation(comparison, page.significance)))
    if rest:
        table = comparison_tables.side_by_side(comparison, rest)
        parts.append(_folded("More metrics", html_table(table)))
    table = comparison_tables.every_run(comparison, page.records)
    parts.append(_folded("Every run", html_table(table)))
    return "".join(parts)


def _heads(page: Page) -> str:
    shown = {name: found for name, found in page.heads.items() if page.head_pictures.get(name)}
    if not shown:
        return ""
    first = page.shown_first(shown)
    parts = [
        "<p>A row is an attention of the model, a column a head of it. Each large map has "
        f"its own scale of colours. {escape(legend())}</p>\n"
    ]
    for variant, found in page.ordered(shown):
        figures = "".join(figure(one, wide=True) for one in page.head_pictures[variant])
        table = html_table(head_tables.head_numbers(found))
        origin = _note(" ".join(filter(None, (best_aligned(found), _measured_on(found)))))
        body = f'<div class="maps">\n{figures}</div>\n{origin}{_folded("Every head", table)}'
        parts.append(_folded(variant, body, opened=variant == first))
    return "".join(parts)


def _pruning(page: Page) -> str:
    if not page.pruning:
        return ""
    first = page.shown_first(page.pruning)
    parts = []
    for variant, found in page.ordered(page.pruning):
        body = _figures(page.pruning_pictures.get(variant, ()))
        for heading, table, note in pruning_tables(found):
            body += f"<h3>{escape(heading)}</h3>\n{html_table(table)}{_note(note)}"
        parts.append(_folded(variant, body + _note(_measured_on(found)), opened=variant == first))
    return "".join(parts)


def pruning_tables(found: Mapping[str, Any]) -> list[tuple[str, Table, str]]:
    """Heading, table and note of what pruning has to show in numbers."""
    every = (
        (
            "One head left",
            head_tables.one_left(found),
            "All heads of one attention zeroed but one, everything else whole; of each attention "
            "the head that serves best alone (Michel et al. 2019).",
        ),
        (
            "Before and after removal",
            head_tables.removal(found),
            "Masked and removed models compute the same; only the second is smaller. Below each "
            "number its change from the first row.",
        ),
    )
    return [(heading, table, note) for heading, table, note in every if table is not None]


def _maps(page: Page) -> str:
    if not page.maps:
        return ""
    parts = [
        "<p>One sentence through each model. A row is a position that looks, a column one that is "
        "looked at; every row sums to one.</p>\n"
    ]
    for variant, pictures in page.ordered(page.maps):
        figures = "".join(figure(picture, wide=True) for picture in pictures)
        parts.append(_folded(variant, f'<div class="maps">\n{figures}</div>'))
    return "".join(parts)


def _samples(page: Page) -> str:
    grouped: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for variant, samples in page.ordered(page.samples):
        for source, reference, hypothesis in samples:
            grouped.setdefault((source, reference), []).append((variant, hypothesis))
    if not grouped:
        return ""
    note = "✓ equals the reference; words that the reference does not have there are underlined."
    parts = [_note(note)]
    for (source, reference), hypotheses in grouped.items():
        lines = "".join(
            f'<dt>{escape(variant)}</dt><dd dir="auto">{_marked(hypothesis, reference)}</dd>\n'
            for variant, hypothesis in hypotheses
        )
        parts.append(
            f'<article class="sample"><dl>\n<dt>source</dt><dd dir="auto">{escape(source)}</dd>\n'
            f'<dt>reference</dt><dd dir="auto" class="reference">{escape(reference)}</dd>\n'
            f"{lines}</dl></article>\n"
        )
    return "".join(parts)


def _method(page: Page) -> str:
    rows = "".join(
        f'<tr><th scope="row">{escape(str(name))}</th><td>{escape(said(found))}</td></tr>\n'
        for name, found in page.environment.items()
    )
    table = f'<div class="scroll"><table class="pairs"><tbody>\n{rows}</tbody></table></div>\n'
    return (
        f"{_listed(method(page.comparison, page.records))}"
        f"<h3>Command</h3>\n<pre>{escape(page.command)}</pre>\n"
        + (f"<h3>Environment</h3>\n{table}" if rows else "")
    )


def figure(picture: Picture, *, wide: bool = False) -> str:
    """A picture with its caption; a wide one keeps its size and scrolls by itself."""
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


def _figures(pictures: Sequence[Picture]) -> str:
    figures = "".join(figure(picture) for picture in pictures)
    return f'<div class="figures">\n{figures}</div>\n' if figures else ""


def _folded(summary: str, body: str, *, opened: bool = False) -> str:
    state = " open" if opened else ""
    return f"<details{state}><summary>{escape(summary)}</summary>\n{body}</details>\n"


def _note(text: str) -> str:
    return f'<p class="note">{escape(text)}</p>\n' if text else ""


def _listed(points: Sequence[str]) -> str:
    items = "".join(f"<li>{escape(point)}</li>\n" for point in points)
    return f"<ul>\n{items}</ul>\n" if items else ""


def _measured_on(found: Mapping[str, Any]) -> str:
    """Of which run, on what, and after how many steps."""
    facts = []
    if found.get("name"):
        facts.append(f"run {found['name']}")
    if found.get("sentences") is not None:
        facts.append(f"{found['sentences']:,} sentences")
    if found.get("split"):
        facts.append(f"of the {found['split']} split")
    if found.get("step") is not None:
        facts.append(f"after {found['step']:,} steps")
    return f"Measured: {', '.join(facts)}." if facts else ""


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


def said(found: Any) -> str:
    """A part of the environment in words."""
    if isinstance(found, Mapping):
        known = {name: inner for name, inner in found.items() if inner is not None}
        return ", ".join(f"{name} {said(inner)}" for name, inner in known.items())
    if isinstance(found, list | tuple):
        return " ".join(said(inner) for inner in found)
    return "not known" if found is None else str(found)
