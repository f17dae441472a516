"""The same report in Markdown, for a README, a message or a terminal.

Verdict and tables come first, without a second-level heading before them, so that all above the
first "## " is the short form.
"""

from attention_jax.analysis.verdict import verdict
from attention_jax.views import comparison_tables, head_tables
from attention_jax.views.head_words import best_aligned, coloured_by, counted, legend
from attention_jax.views.method import method
from attention_jax.views.page import Page
from attention_jax.views.sections import pruning_tables, said
from attention_jax.views.tables import markdown_table, plain


def markdown(page: Page) -> str:
    """Verdict, tables, heads, pruning, method and pictures."""
    comparison = page.comparison
    parts = [f"# {plain(page.title)}", plain(verdict(comparison))]
    if comparison.rows:
        columns = comparison_tables.main_metrics(comparison)
        parts.append(markdown_table(comparison_tables.side_by_side(comparison, columns)))
        parts.append(plain(comparison_tables.explanation(comparison)))
        sure = comparison_tables.certainty(comparison, page.significance)
        if sure is not None:
            parts.append(markdown_table(sure))
            note = comparison_tables.certainty_explanation(comparison, page.significance)
            parts += [plain(note)] if note else []
    command = " ".join(page.command.split()).replace("`", "'")  # between backticks all else is text
    parts.append(f"Command: `{command}`")
    parts += [_listed(page.caveats)] if page.caveats else []
    parts += [*_heads(page), *_pruning(page), *_method(page)]
    if pictures := page.pictures():
        parts.append("## Pictures")
        parts += [f"![{_label(one.caption)}]({one.name}.png)" for one in pictures]
    return "\n\n".join(parts) + "\n"


def _heads(page: Page) -> list[str]:
    shown = {name: found for name, found in page.heads.items() if found.get("heads")}
    if not shown:
        return []
    parts = ["## What each head does", plain(legend())]
    for variant, found in page.ordered(shown):
        measure = coloured_by([found])
        number = f" The number: {measure.label} ({measure.meaning})." if measure else ""
        parts.append(f"### {plain(variant)}")
        parts.append(plain(f"{len(found['heads'])} heads: {counted(found)}.{number}"))
        parts.append(markdown_table(head_tables.map_of_words(found)))
        parts += filter(None, [best_aligned(found)])
    return parts


def _pruning(page: Page) -> list[str]:
    parts = []
    for variant, found in page.ordered(page.pruning):
        for heading, table, note in pruning_tables(found):
            parts += [f"### {plain(variant)}: {heading.lower()}", markdown_table(table), note]
    return ["## What if heads were gone", *parts] if parts else []


def _method(page: Page) -> list[str]:
    rows = [f"{name}: {said(found)}" for name, found in page.environment.items()]
    points = _listed(method(page.comparison, page.records))
    return ["## Method", points, *(["### Environment", _listed(rows)] if rows else [])]


def _listed(points) -> str:
    return "\n".join(f"- {plain(point)}" for point in points)


def _label(text: str) -> str:
    return plain(text).replace("[", "(").replace("]", ")")
